"""The servers that are compared: how each is started, and how a client logs in, refreshes and asks."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.browser.npm import NODE
from tests.servers.reaching import wait_for

ROOT = Path(__file__).parents[1]
SERVERS = Path(__file__).parent / "servers"
INSTALLED = ROOT / "build" / "compare"
"""Where `make compare` installs the others."""

PYTHON = INSTALLED / "python" / "bin" / "python"
UVICORN = ("-m", "uvicorn", "--log-level", "error", "--no-access-log", "--port", "{port}")
GRANIAN = ("-m", "granian", "--interface", "wsgi", "--no-access-log", "--log-level", "error", "--port", "{port}")
REFUSED = range(400, 500)


@dataclass(frozen=True)
class Tokens:
    """What a login or a refresh gave; a field is empty where it gave none."""

    access: str = ""
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True)
class Kind:
    """One server.

    Attributes:
        name: as the table has it.
        packages: whose versions the table shows.
        command: what starts it; ``{port}`` is filled in.
        refreshing: path, and the fields of the body beside the refresh token; a form if ``form``.
        named: the fields of the refresh and the access token in requests and answers.
        form: whether bodies are forms, as OAuth has them.
        login: path and body of a login.
        me: a path that requires an access token.
        logout: path of a logout, where there is one.
        prepare: a command that is run once before.
        daypass: whether it is this project, which is installed elsewhere.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    login: tuple[str, Mapping[str, Any]] = ("/login", {"username": "ann", "password": "x"})
    refreshing: tuple[str, Mapping[str, Any]] = ("/refresh", {})
    named: tuple[str, str] = ("refresh", "access")
    form: bool = False
    me: str = "/me"
    logout: str | None = None
    prepare: tuple[str, ...] = ()
    daypass: bool = False


KINDS = (
    Kind(
        "Daypass",
        ("daypass",),
        (str(ROOT / ".venv" / "bin" / "python"), *UVICORN, "daypass_app:app"),
        login=("/auth/login", {"username": "ann", "password": "x", "tokenDelivery": "body"}),
        refreshing=("/auth/refresh", {}),
        named=("refreshToken", "accessToken"),
        logout="/auth/logout",
        daypass=True,
    ),
    Kind(
        "django-oauth-toolkit",
        ("django-oauth-toolkit", "django"),
        (str(PYTHON), *GRANIAN, "django_app:app"),
        login=("/o/token/", {"grant_type": "password", "username": "ann", "password": "x", "client_id": "app"}),
        refreshing=("/o/token/", {"grant_type": "refresh_token", "client_id": "app"}),
        named=("refresh_token", "access_token"),
        form=True,
        me="/oauth-me",
        logout="/o/revoke_token/",
        prepare=(str(PYTHON), "django_app.py"),
    ),
    Kind(
        "simplejwt, rotation and blacklist",
        ("djangorestframework-simplejwt", "django"),
        (str(PYTHON), *GRANIAN, "django_app:app"),
        logout="/logout",
        prepare=(str(PYTHON), "django_app.py"),
    ),
    Kind("Flask-JWT-Extended", ("flask-jwt-extended",), (str(PYTHON), *GRANIAN, "flask_jwt_extended_app:app")),
    Kind("AuthX", ("authx",), (str(PYTHON), *UVICORN, "authx_app:app")),
    Kind(
        "oidc-provider, rotation",
        ("oidc-provider",),
        (str(NODE), "oidc_provider.mjs"),
        login=("/seed", {}),
        refreshing=("/token", {"grant_type": "refresh_token", "client_id": "app"}),
        named=("refresh_token", "access_token"),
        form=True,
        me="/me",
        logout="/token/revocation",
    ),
    Kind("Express and jsonwebtoken", ("express", "jsonwebtoken"), (str(NODE), "express_jsonwebtoken.mjs")),
)


class Peer:
    """A server that runs, as its clients see it.

    Args:
        kind: of it.
        url: where it is.
        pid: of its process.
    """

    def __init__(self, kind: Kind, url: str, pid: int) -> None:
        self.kind = kind
        self.url = url
        self.pid = pid
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200)
        self.client = httpx2.Client(base_url=url, timeout=60, limits=limits)

    def log_in(self) -> Tokens:
        """Start a session."""
        path, body = self.kind.login
        answer = self._post(path, body)
        assert answer.status_code < 300, answer.text
        return self._tokens(answer)

    def refresh(self, token: str) -> Tokens | None:
        """Refresh; None if the token was refused. A server that is too busy is asked again."""
        path, body = self.kind.refreshing
        for _ in range(20):
            answer = self._post(path, {**body, self.kind.named[0]: token}, bearer=token)
            if answer.status_code == 409 and self.kind.daypass:
                return Tokens(refresh=token)  # stale: the client has a newer one, and keeps it
            if answer.status_code in REFUSED:
                return None
            if answer.status_code < 300:
                return self._tokens(answer)
            time.sleep(0.05)
        return None

    def admits(self, access: str) -> bool:
        """Tell whether an access token opens the application."""
        return self.client.get(self.kind.me, headers={"Authorization": f"Bearer {access}"}).status_code < 300

    def log_out(self, tokens: Tokens) -> bool:
        """Log out; False if the server cannot."""
        if self.kind.logout is None:
            return False
        body = {"token": tokens.refresh, "client_id": "app"} if self.kind.form else {self.kind.named[0]: tokens.refresh}
        return self._post(self.kind.logout, body).status_code < 300

    def _post(self, path: str, body: Mapping[str, Any], bearer: str = "") -> httpx2.Response:
        headers = (
            {"Authorization": f"Bearer {bearer}"} if bearer and not self.kind.form and not self.kind.daypass else {}
        )
        if self.kind.form:
            return self.client.post(path, data=dict(body), headers=headers)
        return self.client.post(path, json=dict(body), headers=headers)

    def _tokens(self, answer: httpx2.Response) -> Tokens:
        body = answer.json()
        refresh, access = self.kind.named
        return Tokens(body.get(access, ""), body.get(refresh, "") or body.get("refresh", ""))


@contextmanager
def running(kind: Kind, folder: Path, *, grace: int = 2) -> Iterator[Peer]:
    """Run a server with its data in ``folder``; with this grace period in seconds, if it has one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
    environment = os.environ | {"PORT": port, "GRACE": str(grace), "PYTHONPATH": str(SERVERS)}
    folder.mkdir(parents=True, exist_ok=True)
    in_folder: Callable[[str], str] = lambda word: (  # noqa: E731
        str(SERVERS / word) if (SERVERS / word).is_file() else word.replace("{port}", port)
    )
    if kind.command[0] == str(NODE):  # Node looks for packages beside the program
        program = INSTALLED / "node" / kind.command[1]
        program.write_text((SERVERS / kind.command[1]).read_text())
        command = [kind.command[0], str(program)]
    else:
        command = [in_folder(word) for word in kind.command]
    if kind.prepare:
        subprocess.run([in_folder(word) for word in kind.prepare], cwd=folder, env=environment, check=True)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(int(port), process, folder / "server.log")
            yield Peer(kind, f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            process.wait(20)
