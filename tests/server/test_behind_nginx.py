"""The service behind a real nginx that ends TLS: as docs/serve.md shows it, and with nothing but ``proxy_pass``."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2

from ..servers import nginx
from .certificates import write_certificate
from .processes import PASSWORD, SECRET, Service, add_user, running

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
LOGIN = {"username": "alice", "password": PASSWORD}


@contextmanager
def behind(service: Service, folder: Path, location: str) -> Iterator[httpx2.Client]:
    """Run nginx with TLS and a location before the service; give a browser."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    pem, key = write_certificate(folder)
    server = f"listen 127.0.0.1:{port} ssl;\nssl_certificate {pem};\nssl_certificate_key {key};\n{location}"
    with nginx.serving(folder, port, f"server {{\n{server}}}\n"):
        trusted = ssl.create_default_context(cafile=pem)
        with httpx2.Client(base_url=f"https://localhost:{port}", verify=trusted, timeout=30) as client:
            yield client


def test_the_documented_location(tmp_path: Path) -> None:
    """As the page shows it, cookies are ``__Host-`` and ``Secure``, a refresh goes through, and nothing is logged."""
    add_user(tmp_path)
    (shown,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with running("--issuer", "https://localhost", folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service:
        location = shown.replace("http://127.0.0.1:8000", service.address)
        with behind(service, tmp_path, location) as client:
            own_page = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
            answer = client.post("/auth/login", json=LOGIN, headers=own_page)
            assert 200 == answer.status_code
            assert re.match(r"__Host-daypass=.*; Secure", answer.headers["set-cookie"])
            assert 200 == client.post("/auth/refresh", headers={"origin": own_page["origin"]}).status_code
        assert 0 == service.end()
    assert "" == service.stderr


def test_proxy_pass_alone_is_warned_of(tmp_path: Path) -> None:
    """With an https issuer, the log says once that cookies are not ``Secure``, and what to write in nginx."""
    add_user(tmp_path)
    with running("--issuer", "https://localhost", folder=tmp_path, given={"DAYPASS_SECRET": SECRET}) as service:
        location = f"location / {{ proxy_pass {service.address}; }}\n"
        with behind(service, tmp_path, location) as client:
            statuses = [client.post("/auth/login", json=LOGIN).status_code for _ in range(3)]
        assert 0 == service.end()
    assert 3 * [200] == statuses
    assert 1 == service.stderr.count("cookies are set without Secure")
    assert "proxy_set_header X-Forwarded-Proto $scheme" in service.stderr
