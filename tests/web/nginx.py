"""A real nginx, with the configuration that the docs show."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ..servers.reaching import wait_for

BINARY = Path("/usr/sbin/nginx")
PAGE = Path(__file__).parents[2] / "docs" / "forward-auth.md"
_BLOCK = re.compile(r"^```nginx\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shown() -> str:
    """Return the configuration in the docs."""
    (block,) = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return str(block)


@contextmanager
def proxying(folder: Path, daypass: str, application: str, *, scope: str | None = None) -> Iterator[str]:
    """Run nginx in a folder of its own, before these two addresses; give its own.

    With a ``scope``, it is asked for as the page says.
    """
    if not BINARY.exists():
        pytest.skip(f"there is no {BINARY}")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    changes = {
        "127.0.0.1:8001": daypass.removeprefix("http://"),
        "127.0.0.1:8002": application.removeprefix("http://"),
        "listen 8080;": f"listen 127.0.0.1:{port};",
    }
    site = shown()
    for old, new in changes.items():
        assert 1 == site.count(old)
        site = site.replace(old, new)
    if scope is not None:
        asking = "proxy_pass http://daypass/auth/verify?scope=read;"
        assert f"`{asking}`" in PAGE.read_text(encoding="utf-8")
        before, internal, after = site.partition("internal;\n")
        site = before + internal + after.replace("proxy_pass http://daypass;", asking.replace("read", scope), 1)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"master_process off;\ndaemon off;\npid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\nclient_max_body_size 0;\n{temporary}{site}}}\n"
    )
    command: list[str | Path] = [BINARY, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    process = subprocess.Popen(command)
    try:
        wait_for(port, process, folder / "error.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
