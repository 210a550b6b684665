"""Three nodes behind a real nginx are replaced one by one under load, and no client sees a failure."""

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2

from ..server.certificates import write_certificate
from ..server.processes import PASSWORD, PATIENCE, READY, SECRET, add_user, launch
from ..servers import nginx
from .test_files import DEPLOY

CLIENTS = 3
PAUSE = 0.03
"""Seconds between two requests of a client: nodes need some time to start."""
GIVEN = {"DAYPASS_SECRET": SECRET, "DAYPASS_RATE_LIMITS": "off"}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


class Node:
    """A node that is started again on its own port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.launch()

    def launch(self) -> None:
        options = ["--port", str(self.port), "--store", "sqlite:///app.db", "--issuer", "https://localhost"]
        self.process = launch([*options, "--cookie-name", "daypass"], self.folder, GIVEN)

    def wait(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(READY)

    def end(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


@contextlib.contextmanager
def proxy(folder: Path, nodes: list[Node]) -> Iterator[httpx2.Client]:
    """Run nginx with the configuration in ``deploy/``; give a client that trusts it."""
    port, (chain, key) = free_port(), write_certificate(folder)
    text = (DEPLOY / "compose" / "nginx.conf").read_text()
    for number, node in enumerate(nodes, 1):
        text = text.replace(f"node{number}:8000", f"127.0.0.1:{node.port}")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = re.sub(r"/etc/nginx/certificates/\w+\.pem", lambda found: str(key if "privkey" in found[0] else chain), text)
    with (
        nginx.serving(folder, port, text),
        httpx2.Client(base_url=f"https://localhost:{port}", verify=False, timeout=PATIENCE) as client,
    ):
        yield client


def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    """Logins, refreshes and checks go on through three restarts, and through the death of a node."""
    add_user(tmp_path)
    nodes = [Node(tmp_path) for _ in range(3)]
    statuses: Counter[tuple[str, int]] = Counter()
    over = threading.Event()
    try:
        for node in nodes:
            node.wait()
        with proxy(tmp_path, nodes) as first:

            def use() -> None:
                with httpx2.Client(base_url=first.base_url, verify=False, timeout=PATIENCE) as client:
                    own_page = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
                    while not over.is_set():
                        credentials = {"username": "alice", "password": PASSWORD}
                        login = client.post("/auth/login", json=credentials, headers=own_page)
                        statuses["login", login.status_code] += 1
                        for _ in range(20):
                            refreshed = client.post("/auth/refresh", headers=own_page)
                            statuses["refresh", refreshed.status_code] += 1
                            bearing = {"authorization": f"Bearer {refreshed.json().get('accessToken')}"}
                            statuses["check", client.get("/auth/me", headers=bearing).status_code] += 1
                            over.wait(PAUSE)

            users = [threading.Thread(target=use) for _ in range(CLIENTS)]
            for user in users:
                user.start()
            time.sleep(0.5)
            for node in nodes:
                assert 0 == node.end()
                node.launch()
                node.wait()
            nodes[0].process.kill()
            time.sleep(0.5)
            over.set()
            for user in users:
                user.join(PATIENCE)
    finally:
        for node in nodes:
            node.process.kill()
            node.process.communicate()
    assert {("login", 200), ("refresh", 200), ("check", 200)} == set(statuses), statuses
    assert statuses["refresh", 200] > 50
