"""Work beside the requests: every process learns of ended sessions, expired ones are removed, no thread is left."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daypass import AsyncDaypass, Daypass, Event, SessionRevoked, StoreUnavailable, User
from daypass.drive import run
from daypass.duration import DAY, HOUR, MINUTE, SECOND
from daypass.flow import Step
from daypass.steps import Emit, Listen, Now, Pause, StoreClock, Subscribe
from daypass.store_steps import Find, ReadEndings, ReadKeys, StoreStep, Sweep, Swept
from daypass.stores.memory import AsyncMemoryStore, MemoryStore
from daypass.testing import START, Clock
from daypass.upkeep import POLL_EVERY

SECRET = "a secret of thirty-two bytes long"
PATIENCE = 20.0
"""Seconds after which something that should happen by itself counts as missing."""


def issuer(store: Any, **options: Any) -> Daypass:
    return Daypass(store, issuer="https://issuer.example", load_user=User, secret=SECRET, **options)


def async_issuer(store: Any, **options: Any) -> AsyncDaypass:
    return AsyncDaypass(store, issuer="https://issuer.example", load_user=User, secret=SECRET, **options)


def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.01)


def refuses(auth: Daypass, token: str) -> bool:
    try:
        auth.verify(token)
    except SessionRevoked:
        return True
    return False


def upkeep_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "daypass-upkeep"]


def tasks_of(loop: asyncio.AbstractEventLoop) -> int:
    return sum(task.get_name() == "daypass-upkeep" for task in asyncio.all_tasks(loop))


# ---- ended means ended


ENDINGS: dict[str, Callable[[Daypass, Any], object]] = {
    "logout": lambda auth, tokens: auth.logout(tokens.refresh_token),
    "ended": lambda auth, tokens: auth.end_session("1", tokens.session.id),
    "all ended": lambda auth, _: auth.end_all("1"),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_another_process_learns_what_ended(tmp_path: Path, how: str) -> None:
    """Every verifier on the same store refuses the access tokens of a session that another process ended."""
    with issuer(f"sqlite:///{tmp_path}/app.db") as one, issuer(f"sqlite:///{tmp_path}/app.db") as other:
        tokens, stays = one.start(User("1")), one.start(User("2"))
        assert "1" == other.verify(tokens.access_token).subject
        ENDINGS[how](one, tokens)
        assert refuses(one, tokens.access_token)
        eventually(lambda: refuses(other, tokens.access_token))
        assert "2" == other.verify(stays.access_token).subject


async def test_another_task_learns_what_ended(tmp_path: Path) -> None:
    """The same with `AsyncDaypass`, by reuse, and by a user who is gone."""
    url, clock, users = f"sqlite:///{tmp_path}/app.db", Clock(), {"1": User("1"), "2": User("2")}
    options: dict[str, Any] = {"issuer": "https://issuer.example", "secret": SECRET, "load_user": users.get}
    one, other = (AsyncDaypass(url, clock=clock, **options) for _ in range(2))
    async with one, other:
        stolen, gone = await one.start(users["1"]), await one.start(users["2"])
        tokens = stolen
        for _ in range(3):
            tokens = await one.refresh(tokens.refresh_token)
            clock.advance(31 * SECOND)
        assert ("1", "2") == tuple([(await other.verify(each.access_token)).subject for each in (stolen, gone)])
        del users["2"]
        for each in (stolen, gone):
            with pytest.raises(Exception, match=r"revoked|gone"):
                await one.refresh(each.refresh_token)
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await other.verify(each.access_token)
                    except SessionRevoked:
                        break
                    await asyncio.sleep(0.01)


def test_a_process_that_starts_later_knows_what_ended(tmp_path: Path) -> None:
    """Its very first check refuses, without waiting for anything."""
    url = f"sqlite:///{tmp_path}/app.db"
    with issuer(url) as one:
        tokens = one.start(User("1"))
        one.logout(tokens.refresh_token)
    with issuer(url) as later, pytest.raises(SessionRevoked):
        later.verify(tokens.access_token)


class Counting(MemoryStore):
    """A store that keeps the steps that this thread asks, and can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[StoreStep[Any]] = []
        self.down = False
        self._mine = threading.get_ident()

    def perform(self, step: StoreStep[Any]) -> Any:
        if threading.get_ident() == self._mine:
            self.asked.append(step)
        if self.down:
            raise StoreUnavailable("down")
        return super().perform(step)


def test_a_check_costs_no_question() -> None:
    """Once the first one was made, checks ask the store nothing, and go on while it is down."""
    store = Counting()
    with issuer(store) as auth:
        tokens = auth.start(User("1"))
        auth.verify(tokens.access_token)
        store.asked.clear()
        store.down = True
        for _ in range(100):
            auth.verify(tokens.access_token)
        assert [] == store.asked


def test_the_first_check_needs_the_store() -> None:
    """A process that cannot learn what ended before its first check says so, and is ready when the store is back."""
    store = Counting()
    tokens = issuer(store).start(User("1"))
    with issuer(store) as auth:
        store.down = True
        with pytest.raises(StoreUnavailable):
            auth.verify(tokens.access_token)
        store.down = False
        assert "1" == auth.verify(tokens.access_token).subject


def test_only_what_could_still_open_is_remembered() -> None:
    """The set of ended sessions holds those whose access tokens could be alive, by any clock, and no others."""
    clock, store = Clock(), MemoryStore()
    one = issuer(store, clock=clock)
    for number in range(50):
        one.logout(one.start(User(str(number))).refresh_token)
        clock.advance(MINUTE)
    other = issuer(store, clock=clock)
    flow = other._upkeep
    answer = other._answer
    drive(flow.prepare(clock.now), answer)
    assert len(flow.verifier._ended) in (20, 21)
    clock.advance(5 * MINUTE)
    drive(flow.catch_up(clock.now), answer)
    assert len(flow.verifier._ended) in (15, 16)
    clock.advance(16 * MINUTE)
    drive(flow.catch_up(clock.now), answer)
    assert {} == flow.verifier._ended


def drive(flow: Any, answer: Callable[[Step[Any]], Any]) -> None:
    given: Any = None
    while True:
        try:
            step = flow.send(given)
        except StopIteration:
            return
        given = answer(step)


# ---- its life, step by step


class Life:
    """The upkeep of one issuer, driven by hand, a turn at a time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore()
        self.down: StoreUnavailable | None = None
        self.subscription: object = False
        self.listened: object = False
        self.store_clock: int | None = None
        self.events: list[Event] = []
        self.asked: list[Step[Any]] = []
        auth = issuer(self.store, clock=self.clock)
        auth.jwks()
        self.flow = auth._upkeep.life()
        self._next = next(self.flow)

    def turn(self, listened: object = None) -> int:
        """Take a turn; ``listened`` is what comes of listening at its end. Return how long it would have listened."""
        self.asked = []
        while True:
            step = self._next
            self.asked.append(step)
            match step:
                case Now():
                    answer: object = self.clock.now
                case Subscribe():
                    answer = self.subscription
                case Listen():
                    answer = listened
                case Emit(event):
                    self.events.append(event)
                    answer = None
                case StoreClock():
                    answer = self.store_clock
                case _:
                    answer = self.down or self.store.perform(step)  # type: ignore[arg-type]  # fails just as well
            self._next = self.flow.throw(answer) if isinstance(answer, Exception) else self.flow.send(answer)
            if isinstance(step, Listen):
                return step.span

    @property
    def told(self) -> list[str]:
        return [event.code.value for event in self.events]


@pytest.fixture
def life() -> Life:
    return Life()


def test_a_store_that_announces_nothing_is_asked_twice_a_second(life: Life) -> None:
    """Ended sessions are known within a second, and no event is emitted for this normal case."""
    for _ in range(20):
        assert life.turn() == POLL_EVERY <= 500
        assert any(isinstance(step, ReadEndings) for step in life.asked)
        life.clock.advance(POLL_EVERY)
    assert [] == life.events


def test_a_notification_is_handled_at_once(life: Life) -> None:
    """While it listens, it polls rarely, and reads the store at once when it is notified."""
    life.subscription = True
    assert life.turn(listened=True) > POLL_EVERY
    life.turn()
    assert any(isinstance(step, ReadEndings) for step in life.asked)
    assert [] == life.events


def test_a_lost_connection_falls_back_to_polling_and_says_so(life: Life) -> None:
    """One event with the reason; then it polls, tries to listen again, and emits an event when it does."""
    life.subscription = True
    life.turn(listened=StoreUnavailable("the connection was lost"))
    life.subscription = StoreUnavailable("there is still none")
    tried = 0
    for _ in range(30):
        assert POLL_EVERY == life.turn()
        tried += any(isinstance(step, Subscribe) for step in life.asked)
        life.clock.advance(POLL_EVERY)
    assert 1 == tried
    assert (["polling"], "the connection was lost") == (life.told, life.events[0].reason)
    life.subscription = True
    for _ in range(21):
        life.turn()
        life.clock.advance(POLL_EVERY)
    assert ["polling", "listening"] == life.told


def test_a_store_that_cannot_be_listened_to_from_the_start(life: Life) -> None:
    """An event with the reason is emitted, and the store is polled."""
    life.subscription = StoreUnavailable("announcements are swallowed on the way")
    assert POLL_EVERY == life.turn()
    assert (["polling"], "announcements are swallowed on the way") == (life.told, life.events[0].reason)


def test_where_nothing_is_ever_heard_listening_is_tried_more_and_more_seldom(life: Life) -> None:
    """After five seconds, ten, twenty, and then once a minute; and where the store was down, after five again."""
    life.subscription = StoreUnavailable("announcements are swallowed on the way")
    tried = []
    for second in range(300):
        life.turn()
        tried += [second] * any(isinstance(step, Subscribe) for step in life.asked)
        life.clock.advance(SECOND)
    assert [0, 5, 15, 35, 75, 135, 195, 255] == tried
    life.down = StoreUnavailable("nobody listens there")
    life.turn()
    life.down, life.subscription = None, True
    life.clock.advance(5 * SECOND)
    life.turn()
    assert "listening" == life.told[-1]


def test_a_store_that_is_down_is_reported_once(life: Life) -> None:
    """Nothing can be learnt meanwhile: it says so once, asks on, and when it can be asked again it says that."""
    life.turn()
    life.down = StoreUnavailable("nobody listens there")
    for _ in range(5):
        assert POLL_EVERY == life.turn()
    assert (["cut_off"], "nobody listens there") == (life.told, life.events[0].reason)
    life.down = None
    life.turn()
    assert ["cut_off", "polling"] == life.told


def test_keys_are_read_once_a_minute(life: Life) -> None:
    """Exactly once a minute; a failed read is repeated a minute later, not at each step."""
    read = []
    for second in range(0, 301, 1):
        life.turn()
        if any(isinstance(step, ReadKeys) for step in life.asked):
            read.append(second)
        life.clock.advance(SECOND)
    assert [60, 120, 180, 240, 300] == read


def test_the_sweep_is_asked_for_when_it_is_due(life: Life) -> None:
    """At first, and then not before the time that the store has answered."""
    swept = []
    for _ in range(3 * 60):
        life.turn()
        swept += [step for step in life.asked if isinstance(step, Sweep)]
        life.clock.advance(MINUTE)
    assert [0, 60, 120] == [(step.now - START) // MINUTE for step in swept]
    assert all(step.before == step.now - HOUR and not step.regardless for step in swept)


# ---- expired sessions


def test_sessions_that_are_over_are_removed_beside_the_requests() -> None:
    """They are removed without a call; live sessions stay."""
    clock, store = Clock(START - 200 * DAY), MemoryStore()
    auth = issuer(store, clock=clock)
    old = auth.start(User("1")).session
    clock.now = START
    new = auth.start(User("1"))
    with auth:
        auth.verify(new.access_token)
        eventually(lambda: store.perform(Find(old.id)) is None)
    assert new.session == store.perform(Find(new.session.id))


async def test_purge_removes_all_expired_sessions(tmp_path: Path) -> None:
    """Hundreds of sessions are removed in batches; ``purge`` says how many, and they are unknown afterwards."""
    clock = Clock()
    auth = async_issuer(f"sqlite:///{tmp_path}/app.db", clock=clock)
    for chunk in range(5):
        await asyncio.gather(*(auth.start(User(str(chunk))) for _ in range(100)))
    kept = await auth.start(User("1"))
    clock.advance(20 * DAY)
    kept = await auth.refresh(kept.refresh_token)
    clock.advance(11 * DAY)
    assert 500 == await auth.purge()
    assert 0 == await auth.purge()
    assert 1 == len(await auth.sessions("1"))
    await auth.close()
    with issuer(f"sqlite:///{tmp_path}/app.db", clock=clock) as sync:
        assert 0 == sync.purge()
        assert kept.session.id == sync.refresh(kept.refresh_token).session.id


# ---- its thread, and its task


class Chattering(Counting):
    """A store that announces something all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def perform(self, step: StoreStep[Any]) -> Any:
        self.reads += isinstance(step, ReadEndings)
        return super().perform(step)

    def subscribe(self) -> "Chattering":
        return self

    def wait(self, seconds: float) -> bool:
        return True


class AsyncChattering(AsyncMemoryStore):
    """The same to be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def perform(self, step: StoreStep[Any]) -> Any:
        self.reads += isinstance(step, ReadEndings)
        return await super().perform(step)

    async def subscribe(self) -> "AsyncChattering":
        return self

    async def wait(self, seconds: float) -> bool:
        return True


def test_announcements_that_come_together_are_acted_upon_together() -> None:
    """However many sessions are ended a second, endings are read at most about twenty times a second."""
    store = Chattering()
    with issuer(store) as auth:
        auth.verify(auth.start(User("1")).access_token)
        began = time.monotonic()
        time.sleep(1)
        assert store.reads <= 4 + (time.monotonic() - began) * 20


async def test_announcements_that_come_together_are_acted_upon_together_by_a_task() -> None:
    """The same with `AsyncDaypass`, whose event loop is free meanwhile."""
    store = AsyncChattering()
    async with async_issuer(store) as auth:
        await auth.verify((await auth.start(User("1"))).access_token)
        began = time.monotonic()
        await asyncio.sleep(1)
        assert store.reads <= 4 + (time.monotonic() - began) * 20


def test_one_thread_for_all_who_verify_at_once() -> None:
    """However many threads make the first check, there is one upkeep; closing ends it, and the next check begins it."""
    auth = issuer(MemoryStore())
    token = auth.start(User("1")).access_token
    before = len(upkeep_threads())
    for _ in range(2):
        threads = [threading.Thread(target=auth.verify, args=(token,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert before + 1 == len(upkeep_threads())
        auth.close()
        assert before == len(upkeep_threads())


def test_an_issuer_that_nobody_has_ends_its_thread() -> None:
    """It is not kept alive by its upkeep."""
    auth = issuer(MemoryStore())
    auth.verify(auth.start(User("1")).access_token)
    weak, thread = weakref.ref(auth), auth._background._thread  # type: ignore[union-attr]  # fails just as well
    del auth
    gc.collect()
    assert weak() is None
    eventually(lambda: not thread.is_alive())


async def test_a_task_ends_with_its_issuer() -> None:
    """Closing ends it; so does losing the issuer; and the next check begins another one."""
    loop = asyncio.get_running_loop()
    auth = async_issuer(AsyncMemoryStore())
    token = (await auth.start(User("1"))).access_token
    for _ in range(2):
        await asyncio.gather(*(auth.verify(token) for _ in range(16)))
        assert 1 == tasks_of(loop)
        await auth.close()
        assert 0 == tasks_of(loop)
    await auth.verify(token)
    weak = weakref.ref(auth)
    del auth
    gc.collect()
    assert weak() is None
    await asyncio.to_thread(eventually, lambda: tasks_of(loop) == 0)


def test_an_event_loop_after_another() -> None:
    """Upkeep that ended with its event loop starts again on the next one, and learns what ended in between."""
    store = AsyncMemoryStore()
    one, other = async_issuer(store), async_issuer(store)
    tokens = asyncio.run(one.start(User("1")))
    assert "1" == asyncio.run(other.verify(tokens.access_token)).subject
    asyncio.run(one.logout(tokens.refresh_token))
    with pytest.raises(SessionRevoked):
        asyncio.run(other.verify(tokens.access_token))


def test_a_failure_of_ours_does_not_end_it(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is logged, and upkeep starts again."""
    monkeypatch.setattr("daypass.background._PATIENCE", 0.01)
    broken = [ZeroDivisionError("a mistake")]

    class Broken(MemoryStore):
        def perform(self, step: StoreStep[Any]) -> Any:
            if isinstance(step, Sweep) and broken:
                raise broken.pop()
            return super().perform(step)

    with caplog.at_level(logging.ERROR, "daypass"), issuer(Broken()) as auth, issuer(auth._store) as other:
        tokens = auth.start(User("1"))
        auth.verify(tokens.access_token)
        eventually(lambda: not broken)
        other.logout(tokens.refresh_token)
        eventually(lambda: refuses(auth, tokens.access_token))
    assert any("background work failed" in record.getMessage() for record in caplog.records)


FORKING = """
    import os, sys, time
    from daypass import Daypass, SessionRevoked, User

    options = dict(issuer="https://issuer.example", load_user=User, secret="s" * 32)
    auth = Daypass(sys.argv[1], **options)
    tokens, others = auth.start(User("1")), auth.start(User("2"))
    auth.verify(tokens.access_token)
    child = os.fork()
    if child:
        auth.logout(tokens.refresh_token)
        assert os.waitpid(child, 0)[1] == 0
    else:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                auth.verify(tokens.access_token)
            except SessionRevoked:
                break
            time.sleep(0.01)
        else:
            os._exit(1)
        os._exit(0)
    auth.verify(others.access_token)
    auth.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_upkeep_of_its_own(tmp_path: Path) -> None:
    """A worker that was forked after the first check learns what the other process ends."""
    script = textwrap.dedent(FORKING)
    command = [sys.executable, "-W", "error", "-c", script, f"sqlite:///{tmp_path}/app.db"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (0, b"") == (done.returncode, done.stderr)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Check that each test here ends its threads."""
    yield
    gc.collect()
    eventually(lambda: not upkeep_threads())


def swept(auth: Daypass, removed: Callable[[int], int]) -> list[int]:
    """Sweep a store that removes so many sessions of a batch; return batches, and pauses as negative numbers."""
    taken, now = list[int](), START

    def answer(step: Step[Any]) -> Any:
        nonlocal now
        match step:
            case Sweep(batch=batch, regardless=regardless):
                assert regardless == bool(taken)
                taken.append(batch)
                now += batch // 10  # milliseconds
                return Swept(removed(batch), START + SECOND)
            case Pause(span):
                taken.append(-span)
            case Now():
                return now
        return None

    run(auth._upkeep.sweep(START), answer)
    return taken


def test_a_sweep_has_short_steps_and_long_pauses() -> None:
    """Refreshes go on meanwhile: a step removes about fifty sessions, and is followed by a pause three times as long.

    Steps look at more sessions where there is little to remove, and a sweep at no more than a thousand.
    """
    auth = issuer(MemoryStore())
    assert [50, -15] * 20 == swept(auth, lambda batch: batch)
    assert [50, -15, 100, -30, 200, -60, 400, -100, 250, -75] == swept(auth, lambda _: 0)
    assert [500, -100, 500, -100] == swept(auth, lambda _: 30)
    assert [500, -100, 250, -75, 125, -36, 62, -18, 50, -15, 13, -3] == swept(auth, lambda batch: batch)
