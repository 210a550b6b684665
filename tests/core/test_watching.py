"""Open connections end with their session and with their access token, and cost nothing while they are open."""

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daypass import (
    AsyncDaypass,
    ConfigurationError,
    Daypass,
    SessionRevoked,
    TokenExpired,
    TokenMalformed,
    TokenRejected,
    User,
)
from daypass.duration import MINUTE
from daypass.testing import Clock

ANN = User("ann")
WITHIN = 5.0
"""Seconds that a slow machine has for what takes one."""


async def load(_: str) -> User:
    return ANN


def issuer(store: str, clock: Clock | None = None, kind: type[Any] = Daypass) -> Any:
    return kind(
        store,
        issuer="https://api.example.com",
        secret="a master secret of thirty-two bytes and more",
        load_user=load if kind is AsyncDaypass else lambda _: ANN,
        clock=clock or Clock(),
    )


@contextmanager
def issuers(store: str, number: int = 2) -> Iterator[list[Daypass]]:
    clock = Clock()
    made = [issuer(store, clock) for _ in range(number)]
    try:
        yield made
    finally:
        for each in made:
            each.close()


def ends(watched: Any) -> bool:
    return bool(watched.wait(WITHIN))


# ---- threads


@pytest.mark.parametrize(
    ("end", "everyone"),
    [
        (lambda auth, tokens: auth.logout(tokens.refresh_token), False),
        (lambda auth, tokens: auth.end_session("ann", tokens.session.id), False),
        (lambda auth, _: auth.end_all("ann"), False),
        (lambda auth, _: auth.end_everyone(), True),
    ],
    ids=["logout", "end_session", "end_all", "end_everyone"],
)
def test_a_connection_ends_with_its_session_on_another_node(
    tmp_path: Path, end: Callable[[Daypass, Any], object], *, everyone: bool
) -> None:
    """What ends a session on one node ends its connections on every other one; those of other users go on."""
    with issuers(f"sqlite:///{tmp_path / 'app.db'}") as (here, there):
        tokens, others = here.start(ANN), there.start(User("bob"))
        told: list[TokenRejected] = []
        with here.watch(tokens.access_token, on_end=told.append) as watched, here.watch(others.access_token) as other:
            watched.check()
            end(there, tokens)
            assert ends(watched)
            assert (1, SessionRevoked) == (len(told), type(told[0]))
            with pytest.raises(SessionRevoked):
                watched.check()
            assert other.wait(WITHIN if everyone else 0.6) is everyone


def test_a_connection_ends_when_its_access_token_expires() -> None:
    """The connection lasts until the access token expires by the issuer's clock, and no longer."""
    clock = Clock()
    auth = issuer("memory:", clock)
    with auth, auth.watch(auth.start(ANN).access_token) as watched:
        clock.advance(14 * MINUTE)
        assert not watched.wait(1.1)
        clock.advance(1 * MINUTE)
        assert ends(watched)
        assert isinstance(watched.ended, TokenExpired)


def test_a_newer_access_token_keeps_a_connection_open() -> None:
    """A newer access token of the same session extends the connection; one of another session does not, nor garbage."""
    clock = Clock()
    auth = issuer("memory:", clock)
    tokens = auth.start(ANN)
    with auth, auth.watch(tokens.access_token) as watched:
        clock.advance(10 * MINUTE)
        newer = watched.renew(auth.refresh(tokens.refresh_token).access_token)
        assert newer is watched.token
        for refused in (auth.start(ANN).access_token, "garbage"):
            with pytest.raises(TokenMalformed):
                watched.renew(refused)
        clock.advance(10 * MINUTE)
        assert not watched.wait(1.1)
        clock.advance(5 * MINUTE)
        assert ends(watched)


def test_an_older_access_token_does_not_shorten_a_connection() -> None:
    """Messages may come in another order: an access token that expires earlier changes nothing."""
    clock = Clock()
    auth = issuer("memory:", clock)
    tokens = auth.start(ANN)
    clock.advance(10 * MINUTE)
    newer = auth.refresh(tokens.refresh_token).access_token
    with auth, auth.watch(newer) as watched:
        watched.renew(tokens.access_token)
        clock.advance(6 * MINUTE)
        assert not watched.wait(1.1)


def test_an_access_token_that_is_refused_opens_nothing() -> None:
    """A connection with an expired token, or one whose session has ended, is not opened."""
    clock = Clock()
    auth = issuer("memory:", clock)
    tokens = auth.start(ANN)
    auth.logout(tokens.refresh_token)
    with pytest.raises(SessionRevoked), auth.watch(tokens.access_token):
        pytest.fail("it was opened")
    expired = auth.start(ANN).access_token
    clock.advance(15 * MINUTE)
    with pytest.raises(TokenExpired), auth.watch(expired):
        pytest.fail("it was opened")


def test_a_stream_ends_with_its_session() -> None:
    """A streamed response stops before the next item once its session has ended."""
    auth = issuer("memory:")
    tokens = auth.start(ANN)

    def numbers() -> Iterator[int]:
        yield 1
        auth.logout(tokens.refresh_token)
        yield from range(2, 100)

    assert [1] == list(auth.watch(tokens.access_token).until_end(numbers()))


def test_an_on_end_that_fails_ends_the_other_connections_too(caplog: pytest.LogCaptureFixture) -> None:
    """An error of on_end is logged, and no other connection stays open because of it."""
    auth = issuer("memory:")
    tokens = auth.start(ANN)

    def fail(_: TokenRejected) -> None:
        raise RuntimeError("the socket is gone")

    with auth.watch(tokens.access_token, on_end=fail) as one, auth.watch(tokens.access_token, on_end=fail) as other:
        auth.logout(tokens.refresh_token)
        assert ends(one)
        assert ends(other)
    assert 2 == caplog.text.count("on_end failed")


def watching_threads() -> int:
    return sum(thread.name == "daypass-watch" for thread in threading.enumerate())


def becomes(number: int) -> bool:
    deadline = time.monotonic() + WITHIN
    while watching_threads() != number and time.monotonic() < deadline:
        time.sleep(0.02)
    return watching_threads() == number


def test_connections_share_one_thread_and_little_memory() -> None:
    """Ten thousand connections have one thread, at most 4 kB each, and leave nothing behind when they are closed."""
    auth = issuer("memory:")
    tokens = auth.start(ANN)
    assert becomes(0)
    with auth.watch(tokens.access_token):
        tracemalloc.start()
        many = [auth.watch(tokens.access_token).__enter__() for _ in range(10_000)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 1 == watching_threads()
        assert size / len(many) < 4096
        for each in many:
            each.__exit__(None, None, None)
    assert becomes(0)
    auth.close()


# ---- tasks


async def wait_for_ever() -> None:
    await asyncio.sleep(60)


def test_the_body_is_cancelled_when_the_session_ends() -> None:
    """The body is cancelled, the error says why, and the task continues."""

    async def main() -> None:
        async with issuer("memory:", kind=AsyncDaypass) as auth:
            tokens = await auth.start(ANN)
            cleaned = False

            async def serve() -> str:
                nonlocal cleaned
                try:
                    async with auth.watch(tokens.access_token) as watched:
                        assert "ann" == watched.token.subject
                        try:
                            await wait_for_ever()
                        finally:
                            cleaned = True
                except SessionRevoked:
                    await asyncio.sleep(0)  # it was not cancelled for others
                    return "ended"
                return "went on"

            serving = asyncio.create_task(serve())
            await asyncio.sleep(0.05)
            await auth.logout(tokens.refresh_token)
            assert ("ended", True) == (await asyncio.wait_for(serving, WITHIN), cleaned)

    asyncio.run(main())


def test_a_connection_whose_task_is_cancelled_is_cancelled() -> None:
    """A cancellation from elsewhere, such as the end of the server, is not taken for the end of the session."""

    async def main() -> None:
        async with issuer("memory:", kind=AsyncDaypass) as auth:
            tokens = await auth.start(ANN)

            async def serve() -> None:
                async with auth.watch(tokens.access_token):
                    await wait_for_ever()

            serving = asyncio.create_task(serve())
            await asyncio.sleep(0.05)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving

    asyncio.run(main())


def test_a_body_that_ends_first_is_not_disturbed() -> None:
    """A session that ends as the body ends cancels nothing that comes after it."""

    async def main() -> None:
        async with issuer("memory:", kind=AsyncDaypass) as auth:
            tokens = await auth.start(ANN)
            async with auth.watch(tokens.access_token) as watched:
                watched.end(SessionRevoked("as the issuer says it"))
            await asyncio.sleep(0.1)

    asyncio.run(main())


def test_a_connection_of_a_task_expires_unless_it_is_renewed() -> None:
    """The access token's expiry ends the body; a newer one lets it go on."""

    async def main() -> None:
        clock = Clock()
        async with issuer("memory:", clock, AsyncDaypass) as auth:
            tokens = await auth.start(ANN)

            async def serve() -> None:
                async with auth.watch(tokens.access_token) as watched:
                    clock.advance(10 * MINUTE)
                    await watched.renew((await auth.refresh(tokens.refresh_token)).access_token)
                    clock.advance(10 * MINUTE)
                    await asyncio.sleep(1.1)
                    assert watched.ended is None
                    clock.advance(5 * MINUTE)
                    await asyncio.sleep(WITHIN)

            with pytest.raises(TokenExpired):
                await serve()

    asyncio.run(main())


def test_an_async_stream_ends_cleanly_with_its_session() -> None:
    """The stream ends without an error, whatever its consumer waits for, and its source is closed."""

    async def main() -> list[int]:
        async with issuer("memory:", kind=AsyncDaypass) as auth:
            tokens = await auth.start(ANN)
            closed = asyncio.Event()

            async def numbers() -> AsyncIterator[int]:
                try:
                    yield 1
                    await wait_for_ever()
                finally:
                    closed.set()

            found = []
            async for each in auth.watch(tokens.access_token).until_end(numbers()):
                found.append(each)
                await auth.logout(tokens.refresh_token)
            await asyncio.wait_for(closed.wait(), WITHIN)
            return found

    assert [1] == asyncio.run(main())


def test_a_watch_that_cannot_work_is_refused() -> None:
    """``on_end`` that is not a function is refused; before the connection is watched there is no token."""
    auth = Daypass("memory:", issuer="https://api.example.com", load_user=lambda _: None)
    with pytest.raises(ConfigurationError, match="on_end has to be a function"):
        auth.watch("token", on_end="close")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(AttributeError, match="inside the with block"):
        _ = auth.watch("token").token
    auth.close()


async def test_an_async_watch_calls_on_end_instead_of_cancelling() -> None:
    """With ``on_end`` the connection's own code continues, and is called with the reason, in its event loop."""
    auth = AsyncDaypass("memory:", issuer="https://api.example.com", load_user=lambda _: None)
    tokens = await auth.start(User("ann"))
    told: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    async with auth.watch(tokens.access_token, on_end=told.set_result) as watched:
        await auth.logout(tokens.refresh_token)
        assert isinstance(await asyncio.wait_for(told, 10), SessionRevoked)
        assert watched.ended is told.result()
