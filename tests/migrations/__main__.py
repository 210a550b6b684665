"""Deploys Daypass over another library, node by node and under load, and then the old application again.

python -m tests.migrations [--users N] [--seed N] [--libraries FOLDER] [NAME …]

Two nodes serve users. Each node is restarted in the next mode while users go on: ``old``, ``ready``, ``move``, then
``ready``, ``back`` and ``old`` again (sessions in cookies need only ``old``, ``move`` and ``old``). Users refresh at a
random node, repeat requests whose answer they lose, and refresh in two tabs at once. A user who has to log in again
counts as a logout: there may be none. Each library is installed in a folder of its own.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser.npm import NODE, NPM

ROOT = Path(__file__).parents[2]
AUTH_JS = ROOT / "tests" / "migrations" / "auth_js"
PATH = os.pathsep.join([str(NODE.parent), str(NPM.parent), os.environ["PATH"]])
"""Finds Node itself, and the npm of the development requirements."""

CALLERS = 16
TOKENS = ("old", "ready", "move", "ready", "back", "old")
COOKIES = ("old", "move", "old")


@dataclass(frozen=True)
class Library:
    """A library, and how it is tried.

    Attributes:
        module: its application in `tests.migrations.apps`.
        packages: what is installed for it.
        modes: the modes that the nodes go through.
        mark: a file in the nodes' folder that tells the application of a variant.
        fragile: whether the old library itself logs users out who lose an answer or have two tabs.
        node: whether it is a package of npm, in ``tests/migrations/auth_js``.
    """

    module: str
    packages: tuple[str, ...]
    modes: tuple[str, ...] = TOKENS
    mark: str | None = None
    fragile: bool = False
    node: bool = False


_SIMPLEJWT = ("djangorestframework-simplejwt", "django", "djangorestframework", "waitress")
_FASTAPI_USERS = ("fastapi-users[sqlalchemy]", "aiosqlite", "fastapi", "uvicorn")
LIBRARIES = {
    "simplejwt": Library("simplejwt", _SIMPLEJWT),
    "simplejwt-blacklist": Library("simplejwt", _SIMPLEJWT, mark="blacklist", fragile=True),
    "flask-jwt-extended": Library("flask_jwt_extended", ("flask-jwt-extended", "flask", "waitress")),
    "oauth-toolkit": Library("oauth_toolkit", ("django-oauth-toolkit", "django", "djangorestframework", "waitress")),
    "fastapi-users-jwt": Library("fastapi_users", _FASTAPI_USERS),
    "fastapi-users-database": Library("fastapi_users", _FASTAPI_USERS, mark="database"),
    "authx": Library("authx", ("authx", "fastapi", "uvicorn")),
    "flask-session": Library("flask_session", ("flask", "flask-login", "waitress"), COOKIES),
    "starlette-session": Library("starlette_session", ("starlette", "itsdangerous", "uvicorn"), COOKIES),
    "django-session": Library("django_session", ("django", "waitress"), COOKIES),
    "auth-js": Library("auth_js", ("starlette", "uvicorn"), COOKIES, node=True),
}


def environment(library: Library, folder: Path) -> Path:
    """Return the interpreter of a virtual environment with the library and this Daypass; install what is missing."""
    place = folder / "-".join(sorted(each.split("[")[0] for each in library.packages))
    python = place / "bin" / "python"
    if not (place / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", str(ROOT), *library.packages], check=True)
        (place / ".ready").touch()
    if library.node and not (AUTH_JS / "node_modules").exists():
        command = ["npm", "ci", "--silent", "--ignore-scripts"]
        subprocess.run(command, cwd=AUTH_JS, env=os.environ | {"PATH": PATH}, check=True)
    return python


def free_port() -> int:
    """Return a port that is free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Node:
    """One node of the application, as a process."""

    def __init__(self, python: Path, module: str, folder: Path) -> None:
        self._command = [str(python), "-m", f"tests.migrations.apps.{module}"]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.mode = ""

    async def start(self, mode: str) -> None:
        """Start in a mode; end what runs before."""
        self.stop()
        arguments = [*self._command, mode, str(self.port), str(self._folder)]
        with (self._folder / "nodes.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                arguments, cwd=ROOT, env=os.environ | {"PATH": PATH}, stdout=log, stderr=log
            )
        for _ in range(1200):
            if self._process.poll() is not None:
                raise SystemExit(f"a node has ended: {(self._folder / 'nodes.log').read_text()[-3000:]}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.mode = mode
                return
            await asyncio.sleep(0.05)
        raise SystemExit("a node did not start within a minute")

    def stop(self) -> None:
        """End it, if it runs."""
        self.mode = ""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None


@dataclass
class User:
    """One user and what their client keeps."""

    name: str
    tokens: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    subject: str = ""


class Logout(Exception):
    """A user would have to log in again."""


class Campaign:
    """Users and nodes of one library."""

    def __init__(self, library: Library, nodes: list[Node], chance: random.Random) -> None:
        self.library, self.nodes, self.chance = library, nodes, chance
        self.by_cookie = library.modes == COOKIES
        self.counts: Counter[str] = Counter()
        self.logouts: list[str] = []
        self.http: aiohttp.ClientSession

    async def ask(self, user: User, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any], list[str]]:
        """Send a request to a node at random, to the other one if that cannot be reached."""
        headers = {"Host": "localhost", **arguments.pop("headers", {})}
        if user.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in user.cookies.items())
        for attempt in range(400):
            up = [node for node in self.nodes if node.mode] or self.nodes
            node = self.chance.choice(up)
            try:
                url = f"http://127.0.0.1:{node.port}{path}"
                async with self.http.request(method, url, headers=headers, **arguments) as response:
                    body = await response.json()
                    if response.status < 500:
                        self.counts["requests"] += 1
                        return response.status, body, response.headers.getall("Set-Cookie", [])
                    self.counts["errors"] += 1
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                self.counts["not reached"] += 1
            await asyncio.sleep(min(1, 0.05 * (attempt + 1)))
        raise SystemExit("no node answers")

    async def log_in(self, user: User) -> None:
        """Log in by the old library."""
        status, body, cookies = await self.ask(user, "POST", "/login", json={"user": user.name})
        assert status == 200, body
        user.tokens = body
        keep(user, cookies)
        user.subject = await self.who(user) or "nobody"

    async def who(self, user: User) -> str | None:
        """Return whom the application takes the user for; None if it wants a new access token."""
        headers = {} if self.by_cookie else {"Authorization": f"Bearer {user.tokens['access']}"}
        status, body, cookies = await self.ask(user, "GET", "/me", headers=headers)
        if self.by_cookie and self.chance.random() >= 0.05:
            keep(user, cookies)
        return str(body["user"]) if status == 200 else None

    async def visit(self, user: User) -> None:
        """Use the application once, and see that it knows the user."""
        try:
            if not self.by_cookie and self.chance.random() < 0.5:
                await self.refresh(user)
            seen = await self.who(user)
            for _ in range(0 if self.by_cookie else 3):  # some libraries revoke the other tab's access token
                if seen is None:
                    await self.refresh(user)
                    seen = await self.who(user)
            if seen != user.subject:
                raise Logout(f"{user.name} is taken for {seen}")
        except Logout as error:
            self.logouts.append(f"{'/'.join(node.mode for node in self.nodes)}: {error}")
            user.cookies.clear()
            await self.log_in(user)
        self.counts["visits"] += 1

    async def refresh(self, user: User) -> None:
        """Refresh, sometimes in two tabs at once, sometimes again because the answer was lost."""
        calm = self.library.fragile and any(node.mode != "move" for node in self.nodes)
        way = 1.0 if calm else self.chance.random()
        if way < 0.1:
            self.counts["two tabs"] += 1
            answers = await asyncio.gather(*(self.send_refresh(user) for _ in range(2)))
            user.tokens = self.chance.choice(answers)
        else:
            if way < 0.2:
                self.counts["lost answers"] += 1
                await self.send_refresh(user)
            user.tokens = await self.send_refresh(user)

    async def send_refresh(self, user: User) -> dict[str, str]:
        """Send one refresh; return the tokens that the user has then."""
        text = user.tokens["refresh"]
        status, body, _ = await self.ask(user, "POST", "/refresh", json={"refresh": text})
        self.counts["refreshes"] += 1
        if status == 409:
            return user.tokens
        if status != 200:
            raise Logout(f"{user.name}: {status} {body} for {text[:8]}…")
        return {**user.tokens, **body}

    async def all_of(self, users: list[User], do: Callable[[User], Any]) -> None:
        """Do something for each user, `CALLERS` at a time."""
        waiting = iter(users)

        async def work() -> None:
            for user in waiting:
                await do(user)

        await asyncio.gather(*(work() for _ in range(CALLERS)))

    async def change(self, users: list[User], node: Node, mode: str) -> None:
        """Restart a node in another mode, while users go on."""
        going = asyncio.create_task(self.all_of(self.chance.sample(users, max(1, len(users) // 10)), self.visit))
        await node.start(mode)
        await going

    async def run(self, users: list[User]) -> None:
        """Deploy, and go back."""
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=64, force_close=False)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as self.http:
            for node in self.nodes:
                await node.start(self.library.modes[0])
            await self.all_of(users, self.log_in)
            for mode in self.library.modes[1:]:
                for node in self.nodes:
                    await self.change(users, node, mode)
                if mode in ("move", "back", self.library.modes[-1]):
                    await self.all_of(users, self.visit if mode != "back" else self.renew)

    async def renew(self, user: User) -> None:
        """Get tokens of the old library."""
        try:
            user.tokens = await self.send_refresh(user)
        except Logout as error:
            self.logouts.append(f"back: {error}")
            await self.log_in(user)


def keep(user: User, set_cookies: list[str]) -> None:
    """Do what a browser does with these headers."""
    for header in set_cookies:
        for name, cookie in SimpleCookie(header).items():
            if cookie["max-age"] == "0" or "1970" in cookie["expires"]:
                user.cookies.pop(name, None)
            else:
                user.cookies[name] = cookie.value


def migrate(name: str, users: int, seed: int, libraries: Path) -> bool:
    """Try one library; return whether no user was logged out."""
    library = LIBRARIES[name]
    python = environment(library, libraries)
    folder = Path(tempfile.mkdtemp(prefix="daypass-migration-"))
    if library.mark:
        (folder / library.mark).touch()
    nodes = [Node(python, library.module, folder) for _ in range(2)]
    campaign = Campaign(library, nodes, random.Random(seed))
    began = time.monotonic()
    try:
        asyncio.run(campaign.run([User(f"user-{number}") for number in range(users)]))
    finally:
        for node in nodes:
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(campaign.counts.items()))
    modes = " → ".join(library.modes)
    sys.stdout.write(
        f"{name}: {users:,} sessions, {len(campaign.logouts)} logouts, {seconds:.0f} s ({modes}; {counts})\n"
    )
    for logout in campaign.logouts[:10]:
        sys.stdout.write(f"    {logout}\n")
    sys.stdout.flush()
    return not campaign.logouts


def main() -> int:
    """Try the libraries that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(LIBRARIES)}")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--libraries", type=Path, default=ROOT / ".migrations", help="where they are installed")
    options = parser.parse_args()
    unknown = set(options.names) - LIBRARIES.keys()
    if unknown:
        parser.error(f"unknown library {', '.join(unknown)}: choose from {', '.join(LIBRARIES)}")
    names = options.names or list(LIBRARIES)
    outcomes = [migrate(name, options.users, options.seed, options.libraries) for name in names]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
