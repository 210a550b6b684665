"""What happens to the users of each client library when things go wrong; the token server is strict, and counts."""

import json
import os
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compare.peers import INSTALLED, PYTHON, ROOT
from daypass.testing.loopback import serving
from daypass.testing.strict_server import Line, StrictServer
from tests.browser.npm import NODE

CLIENTS = Path(__file__).parent / "clients"
CALLERS = 50


@dataclass(frozen=True)
class Library:
    """One client library: its name in the table, the packages whose versions are shown, and its program."""

    name: str
    packages: tuple[str, ...]
    program: str


LIBRARIES = (
    Library("Daypass, httpx2", ("daypass", "httpx2"), "daypass_httpx2.py"),
    Library("Authlib, httpx2", ("authlib", "httpx2"), "authlib_httpx2.py"),
    Library("requests-oauthlib", ("requests-oauthlib",), "requests_oauthlib_session.py"),
    Library("axios-auth-refresh", ("axios-auth-refresh", "axios"), "axios_auth_refresh.mjs"),
    Library("axios, the usual interceptor", ("axios",), "axios_interceptor.mjs"),
)


class Client:
    """A program that uses a library, with its server.

    Attributes:
        server: what it talks to; may be changed between bursts.
    """

    def __init__(self, process: "subprocess.Popen[str]", server: StrictServer) -> None:
        self._process = process
        self.server = server

    def burst(self, count: int) -> Counter[object]:
        """Send so many requests at once; return how often each status or error came."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._process.stdout.readline()))


@contextmanager
def using(library: Library, *, grace: float = 0, lifetime: float = 900) -> Iterator[Client]:
    """Run the program of a library, logged in."""
    server = StrictServer(grace=grace, latency=0.1)
    sid, refresh = secrets.token_hex(4), secrets.token_hex()
    server.lines[sid] = Line([refresh])
    access = server._access_token(sid)
    with serving(server) as url:
        environment = os.environ | {
            "URL": url,
            "ACCESS": access,
            "REFRESH": refresh,
            "EXPIRES_AT": str(time.time() + lifetime),
        }
        process = subprocess.Popen(
            [*_command(library)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield Client(process, server)
        finally:
            process.kill()
            process.communicate()


def _command(library: Library) -> Sequence[str]:
    if library.program.endswith(".mjs"):  # Node looks for packages beside the program
        for program in (library.program, "loop.mjs"):
            (INSTALLED / "node" / program).write_text((CLIENTS / program).read_text())
        return str(NODE), str(INSTALLED / "node" / library.program)
    python = ROOT / ".venv" / "bin" / "python" if library.program.startswith("daypass") else PYTHON
    return str(python), str(CLIENTS / library.program)


def expired(library: Library) -> str:
    """Let the access token expire by its time, and ask from many callers at once."""
    with using(library, lifetime=1) as client:
        client.server.expires_in = 900
        time.sleep(2)
        client.server.revoke_access()
        return _outcome(client, client.burst(CALLERS))


def revoked(library: Library) -> str:
    """Revoke the access token before its time, and ask from many callers at once."""
    with using(library) as client:
        client.server.revoke_access()
        return _outcome(client, client.burst(CALLERS))


def unavailable(library: Library) -> str:
    """Have the token server answer 503 once; then all is well again."""
    with using(library, lifetime=1) as client:
        time.sleep(2)
        client.server.revoke_access()
        client.server.statuses = [503]
        client.burst(1)
        time.sleep(1)
        return "still logged in" if client.burst(1)[200] else "logged out"


def lost(library: Library) -> str:
    """Lose the answer to one refresh; the server gives the same answer again for a minute."""
    with using(library, lifetime=1, grace=60) as client:
        time.sleep(2)
        client.server.revoke_access()
        client.server.lose = 1
        client.burst(1)
        time.sleep(1)
        return "still logged in" if client.burst(1)[200] else "logged out"


STORMS: Sequence[tuple[str, Callable[[Library], str]]] = (
    (f"{CALLERS} callers, the token has expired", expired),
    (f"{CALLERS} callers, the token is revoked early", revoked),
    ("the token server answers 503 once", unavailable),
    ("the answer to a refresh is lost once", lost),
)


def _outcome(client: Client, found: Counter[object]) -> str:
    refreshes = client.server.counts["refreshes"]
    after = "" if client.burst(1)[200] else "; the next request fails too"
    return f"{found[200]} of {CALLERS} answered, {refreshes} refresh{'' if refreshes == 1 else 'es'}{after}"
