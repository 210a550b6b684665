"""A real nginx with TLS, Debian's by default."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .reaching import wait_for

NGINX = Path("/usr/sbin/nginx")
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def serving(folder: Path, port: int, http: str, program: Path = NGINX) -> Iterator[None]:
    """Run nginx with its files in ``folder``.

    Args:
        folder: for its configuration, its log and what it keeps meanwhile.
        port: that it listens on, as ``http`` says.
        http: the content of the ``http`` block.
        program: the nginx to run.
    """
    if not program.exists():
        pytest.skip(f"there is no {program}")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in _TEMPORARY)
    configuration, log = folder / "nginx.conf", folder / "log"
    configuration.write_text(
        f"master_process off;\ndaemon off;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n"
        f"{temporary}{http}}}\n"
    )
    with log.open("wb") as output:
        process = subprocess.Popen([program, "-p", folder, "-c", configuration, "-e", "stderr"], stderr=output)
    try:
        wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
