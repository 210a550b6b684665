"""A token of a key that a node has not read yet is accepted, or answered with 503; only a later read rejects it."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daypass import AsyncDaypass, Daypass, StoreError, StoreUnavailable, TokenRejected, User
from daypass.store_steps import ReadKeys, StoreStep
from daypass.stores.memory import MemoryStore
from daypass.testing import Clock

from .stores import STORES

pytestmark = pytest.mark.anyio

ADA = User("user-1", "ada")
MANY = 20
DELAY = 0.01


class Reads:
    """Runs before each read of the keys; a test counts, delays or fails them here."""

    def __init__(self) -> None:
        self.count = 0
        self.fails: Callable[[int], bool] = lambda _: False
        self.rotates: Callable[[], object] = lambda: None

    def before(self) -> None:
        self.count += 1
        if self.fails(self.count):
            raise StoreUnavailable("down")

    def after(self) -> None:
        rotates, self.rotates = self.rotates, lambda: None
        rotates()


class SlowStore(MemoryStore):
    """Reads keys slowly: the answer comes a moment later."""

    def __init__(self, reads: Reads, shared: MemoryStore) -> None:
        super().__init__()
        self.reads, self.shared = reads, shared

    def perform(self, step: StoreStep[Any]) -> Any:
        if not isinstance(step, ReadKeys):
            return self.shared.perform(step)
        self.reads.before()
        found = self.shared.perform(step)
        self.reads.after()
        time.sleep(DELAY)
        return found


class AsyncSlowStore:
    """The same for `AsyncDaypass`."""

    def __init__(self, reads: Reads, shared: MemoryStore) -> None:
        self.reads, self.shared = reads, shared

    async def perform(self, step: StoreStep[Any]) -> Any:
        if not isinstance(step, ReadKeys):
            return self.shared.perform(step)
        self.reads.before()
        found = self.shared.perform(step)
        self.reads.after()
        await asyncio.sleep(DELAY)
        return found

    async def close(self) -> None:
        """Nothing is open."""


class Nodes:
    """One node that adds keys, and one that has not read them yet."""

    def __init__(self, colour: str) -> None:
        self.clock, self.reads, self.shared = Clock(), Reads(), MemoryStore()
        self.adding = self._issuer(Daypass, self.shared)
        self.asynchronous = colour == "async"
        self.late: Any = (
            self._issuer(AsyncDaypass, AsyncSlowStore(self.reads, self.shared))
            if self.asynchronous
            else self._issuer(Daypass, SlowStore(self.reads, self.shared))
        )
        self.sessions = [self.adding.start(ADA) for _ in range(MANY)]
        self._threads = ThreadPoolExecutor(MANY + 1)

    def _issuer(self, kind: Any, store: Any) -> Any:
        return kind(store, issuer="https://issuer.example", secret="s" * 32, load_user=lambda _: ADA, clock=self.clock)

    def add_keys(self) -> None:
        """Add keys, let their time come, and give every session tokens made with them."""
        self.adding.rotate_keys(at_once=True)
        self.clock.advance(31_000)
        self.sessions = [self.adding.refresh(each.refresh_token) for each in self.sessions]

    async def ask(self, ask: str, text: str) -> str:
        """Ask the late node, in a task or in a thread; return the kind of its answer."""
        one: Any = getattr(self.late, ask)
        try:
            answer = await (one(text) if self.asynchronous else self._in_thread(one, text))
        except StoreError:
            return "503"
        except TokenRejected:
            return "rejected"
        return "accepted" if answer else "nothing"

    def _in_thread(self, one: Callable[[str], Any], text: str) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, one, text)

    async def at_once(self, ask: str, texts: list[str]) -> Counter[str]:
        """Ask all of it at once; count the kinds of answers."""
        return Counter(await asyncio.gather(*[self.ask(ask, text) for text in texts]))

    async def warm_up(self) -> None:
        """Have the late node read the keys that there are."""
        asked = self.late.verify(self.sessions[0].access_token)
        await asked if self.asynchronous else None

    async def close(self) -> None:
        """End the upkeep."""
        closing = self.late.close()
        await closing if self.asynchronous else None
        self.adding.close()
        self._threads.shutdown()


@pytest.fixture(params=["sync", "async"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    made = Nodes(request.param)
    await made.warm_up()
    yield made
    await made.close()


KINDS = pytest.mark.parametrize(
    ("ask", "token"), [("refresh", "refresh_token"), ("verify", "access_token"), ("logout", "refresh_token")]
)


@KINDS
async def test_many_tokens_of_a_new_key_at_once(nodes: Nodes, ask: str, token: str) -> None:
    """All are accepted by a node that has not read the key: they share a read that begins after they came."""
    nodes.add_keys()
    before = nodes.reads.count
    assert Counter(accepted=MANY) == await nodes.at_once(ask, [getattr(each, token) for each in nodes.sessions])
    assert nodes.reads.count - before <= 3


@KINDS
async def test_a_key_that_is_added_while_the_keys_are_read(nodes: Nodes, ask: str, token: str) -> None:
    """A read that began before the token came, and missed its key, rejects nothing: another one follows."""
    nodes.reads.rotates = nodes.add_keys
    before, garbage = nodes.reads.count, forged(nodes)
    leading = asyncio.ensure_future(nodes.ask("verify", garbage))
    while nodes.reads.count == before or nodes.reads.rotates == nodes.add_keys:  # noqa: ASYNC110 - threads count
        await asyncio.sleep(0)
    assert Counter(accepted=MANY) == await nodes.at_once(ask, [getattr(each, token) for each in nodes.sessions])
    assert "rejected" == await leading


@KINDS
async def test_while_the_keys_cannot_be_read(nodes: Nodes, ask: str, token: str) -> None:
    """It is 503 and never a rejection; when the store is back, the same tokens are accepted."""
    nodes.add_keys()
    texts = [getattr(each, token) for each in nodes.sessions]
    nodes.reads.fails = lambda _: True
    for _ in range(2):
        assert Counter({"503": MANY}) == await nodes.at_once(ask, texts)
    nodes.reads.fails = lambda _: False
    assert Counter(accepted=MANY) == await nodes.at_once(ask, texts)


async def test_a_failed_read_says_nothing_about_the_next_token(nodes: Nodes) -> None:
    """Where each second read fails, a good token is accepted or answered with 503."""
    nodes.add_keys()
    nodes.reads.fails = lambda count: count % 2 == 1
    texts = [each.refresh_token for each in nodes.sessions]
    for _ in range(3):
        assert 0 == (await nodes.at_once("refresh", texts))["rejected"]


async def test_a_flood_of_made_up_keys(nodes: Nodes) -> None:
    """It costs a bounded number of reads, each forged token is rejected, and good tokens do not wait."""
    before, began = nodes.reads.count, time.monotonic()
    forgeries = [forged(nodes) for _ in range(MANY)]
    good = nodes.sessions[0].access_token
    longest = 0.0
    flood = asyncio.ensure_future(nodes.at_once("verify", forgeries * 10))
    while not flood.done():
        asked = time.perf_counter()
        verified = nodes.late.verify(good)
        verified = await verified if nodes.asynchronous else verified
        longest = max(longest, time.perf_counter() - asked)
        await asyncio.sleep(0.001)
    assert Counter(rejected=10 * MANY) == await flood
    assert nodes.reads.count - before <= 3 + 20 * (time.monotonic() - began)
    assert longest < 0.05, "a good token waited for a read that forged ones caused"


def forged(nodes: Nodes) -> str:
    """Return an access token of an issuer with another key."""
    other = Daypass("memory:", issuer="https://issuer.example", load_user=lambda _: ADA, clock=nodes.clock)
    return other.start(ADA).access_token


def test_an_older_read_that_ends_later_changes_nothing() -> None:
    """Keys that a later read has found stay, though a read that began before it ends after it."""
    nodes = Nodes("sync")
    store, reached, go_on = nodes.late._store, threading.Event(), threading.Event()
    nodes.late.verify(nodes.sessions[0].access_token)

    class Held(SlowStore):
        def perform(self, step: StoreStep[Any]) -> Any:
            found = self.shared.perform(step)
            if isinstance(step, ReadKeys) and not reached.is_set():
                reached.set()
                assert go_on.wait(10)
            return found

    nodes.late._store = Held(nodes.reads, nodes.shared)
    slow = threading.Thread(target=lambda: nodes.late.run(nodes.late._upkeep.load(nodes.clock())))
    slow.start()
    assert reached.wait(10)
    nodes.add_keys()
    good = nodes.sessions[0].access_token
    assert ADA.subject == nodes.late.verify(good).subject
    go_on.set()
    slow.join()
    for _ in range(2):
        nodes.late._upkeep.verifier.forget()
        reads = nodes.reads.count
        assert ADA.subject == nodes.late.verify(good).subject
        assert reads == nodes.reads.count
    nodes.late._store = store
    nodes.late.close()


@pytest.mark.parametrize("store", STORES)
def test_on_every_store(store: str, tmp_path: Path) -> None:
    """Two issuers on one store, keys replaced in a hurry, 20 refreshes at once: all are refreshed."""
    clock = Clock()
    one, other = (
        Daypass(
            STORES[store].open(tmp_path),
            issuer="https://issuer.example",
            secret="s" * 32,
            load_user=lambda _: ADA,
            clock=clock,
        )
        for _ in range(2)
    )
    texts = [one.start(ADA).refresh_token for _ in range(MANY)]
    other.refresh(texts[0])
    for _ in itertools.repeat(None, 3):
        one.rotate_keys(at_once=True)
        clock.advance(31_000)
        texts = [one.refresh(text).refresh_token for text in texts]
        clock.advance(31_000)
        with ThreadPoolExecutor(MANY) as threads:
            refreshed = list(threads.map(other.refresh, texts))
        texts = [each.refresh_token for each in refreshed]
        with ThreadPoolExecutor(MANY) as threads:
            assert MANY == len(list(threads.map(one.verify, [each.access_token for each in refreshed])))
    one.close()
    other.close()
