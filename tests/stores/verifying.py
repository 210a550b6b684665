"""Those who verify over a store: threads, tasks, and another process, ``python verifying.py URL DESCRIPTOR``."""

import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from daypass import AsyncDaypass, Daypass, Event, SessionRevoked, TokenRejected, Tokens, User

OPTIONS: dict[str, Any] = {
    "issuer": "https://issuer.example",
    "load_user": User,
    "secret": "a secret of thirty-two bytes long",
    "grace_period": 0,
}
PATIENCE = 30.0


class Threads:
    """An issuer of threads; its events are kept."""

    def __init__(self, url: str) -> None:
        self.told: list[str] = []
        self._auth = Daypass(url, on_event=self._hear, **OPTIONS)

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the issuer."""
        return getattr(self._auth, method)(*arguments)

    def refuses(self, token: str) -> bool:
        """Return whether an access token is refused because its session was ended."""
        try:
            self.ask("verify", token)
        except SessionRevoked:
            return True
        return False

    @property
    def listens(self) -> bool:
        """Whether the store notifies it of ended sessions, and it does not have to poll."""
        background = getattr(self._auth, "_background", None)
        return background is not None and background._subscription is not None

    def _hear(self, event: Event) -> None:
        self.told.append(event.code.value)

    def close(self) -> None:
        """Close the issuer."""
        self._auth.close()


class Tasks(Threads):
    """An issuer of tasks, on an event loop that always runs."""

    def __init__(self, url: str, loop: Callable[[], Any] = asyncio.new_event_loop) -> None:
        self.told = []
        self._loop: asyncio.AbstractEventLoop = loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._auth: Any = AsyncDaypass(url, on_event=self._hear, **OPTIONS)

    def ask(self, method: str, *arguments: Any) -> Any:
        return self._run(getattr(self._auth, method)(*arguments))

    def _run(self, asked: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(PATIENCE)

    def close(self) -> None:
        self._run(self._auth.close())
        self._run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class Elsewhere:
    """A verifier in another process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def refuses(self, token: str) -> bool:
        """Return the same as `Threads.refuses`."""
        return bool(self._ask(token))

    @property
    def told(self) -> list[str]:
        """Its events."""
        return list(self._ask("told"))

    @property
    def listens(self) -> bool:
        """Return the same as `Threads.listens`."""
        return bool(self._ask("listens"))

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        assert self._pipe.poll(PATIENCE)
        return self._pipe.recv()


@contextlib.contextmanager
def elsewhere(url: str) -> Iterator[Elsewhere]:
    """Give a verifier in another process, which is gone afterwards."""
    ours, theirs = multiprocessing.Pipe()
    command = [sys.executable, __file__, url, str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as process:
        theirs.close()
        try:
            yield Elsewhere(ours)
            ours.send(None)
            assert 0 == process.wait(PATIENCE)
        finally:
            process.kill()


def four_ends(issuer: Threads) -> Iterator[tuple[Tokens, Callable[[], object]]]:
    """Start sessions, each with what ends it: a logout, its user, all of them at once, a token that was used twice."""
    for number, method in enumerate(("logout", "end_session", "end_all", "reuse")):
        user = f"user-{number}"
        tokens: Tokens = issuer.ask("start", User(user))
        ends: dict[str, Callable[[], object]] = {
            "logout": lambda tokens=tokens: issuer.ask("logout", tokens.refresh_token),  # type: ignore[misc]
            "end_session": lambda user=user, tokens=tokens: issuer.ask("end_session", user, tokens.session.id),  # type: ignore[misc]
            "end_all": lambda user=user: issuer.ask("end_all", user),  # type: ignore[misc]
            "reuse": lambda tokens=tokens: use_twice(issuer, tokens),  # type: ignore[misc]
        }
        yield tokens, ends[method]


def use_twice(issuer: Threads, tokens: Tokens) -> None:
    """Present a refresh token again whose successor has been used."""
    newer: Tokens = tokens
    for _ in range(2):
        threading.Event().wait(0.005)  # more than the grace period, which is 0
        newer = issuer.ask("refresh", newer.refresh_token)
    threading.Event().wait(0.005)
    with contextlib.suppress(TokenRejected):
        issuer.ask("refresh", tokens.refresh_token)


def main() -> None:
    """Answer what comes by the pipe, until it says that this is the end."""
    import uvloop

    verifier = Tasks(sys.argv[1], uvloop.new_event_loop)
    pipe = Connection(int(sys.argv[2]))
    while (asked := pipe.recv()) is not None:
        pipe.send(getattr(verifier, asked) if asked in ("told", "listens") else verifier.refuses(asked))
    verifier.close()


if __name__ == "__main__":
    main()
