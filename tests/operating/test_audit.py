"""The audit trail: complete, bounded, written beside the requests, and without secrets."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from daypass import AsyncDaypass, ConfigurationError, Daypass, Device, Event, EventCode, User
from daypass.audit import NOISY_A_SECOND, WAITING_AT_MOST, AuditTrail
from daypass.drive import run
from daypass.errors import StoreUnavailable, TokenReused
from daypass.operator_steps import MINUTE_COUNTS, AuditRecord, NoteEvents, ReadEvents
from daypass.stores.memory import MemoryStore
from daypass.stores.sqlite import AsyncSqliteStore, SqliteStore
from daypass.tally import Tally
from daypass.testing.clock import START, Clock

USER = User("user-1", "ada")
SECRET = "a master secret that is long enough, and stands nowhere"


def records(store: Any, **filters: Any) -> tuple[AuditRecord, ...]:
    return store.perform_operator(ReadEvents(**filters))  # type: ignore[no-any-return]


def codes(store: Any, **filters: Any) -> list[str]:
    return [record.code for record in records(store, **filters)]


def issuer(store: Any, **options: Any) -> Daypass:
    chosen = {"audit_ttl": "90d", "issuer": "https://issuer.example", "secret": SECRET} | options
    return Daypass(store, load_user=lambda _: USER, **chosen)


def test_everything_but_ordinary_refreshes_is_kept(tmp_path: Path) -> None:
    """A login, a theft, a logout and the keys are in the trail when the issuer is closed; no token is."""
    store = SqliteStore(tmp_path / "app.db")
    clock = Clock()
    auth = issuer(store, clock=clock, grace_period=0)
    tokens = [auth.start(USER, device=Device(address="192.0.2.7"))]
    for _ in range(4):
        clock.now += 60_000
        tokens.append(auth.refresh(tokens[-1].refresh_token))
    with pytest.raises(TokenReused):
        auth.refresh(tokens[0].refresh_token)
    auth.logout(auth.start(USER).refresh_token)
    auth.rotate_keys()
    auth.close()
    assert {"key_added": 2, "started": 2, "reused": 1, "ended": 0, "logged_out": 1, "rotated": 0} == {
        code: codes(store).count(code) for code in ("key_added", "started", "reused", "ended", "logged_out", "rotated")
    }
    started = records(store, codes=("started",))[0]
    assert ("192.0.2.7", "user-1", tokens[0].session.id) == (started.address, started.subject, started.session_id)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [] == [each for each in tokens if each.refresh_token.encode() in written]
    assert SECRET.encode() not in written
    store.close()


class Watched(MemoryStore):
    """Notes who performs which step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, str]] = []

    def perform(self, step: Any) -> Any:
        self.steps.append((threading.current_thread().name, type(step).__name__))
        return super().perform(step)

    def perform_operator(self, step: Any) -> Any:
        self.steps.append((threading.current_thread().name, type(step).__name__))
        return super().perform_operator(step)


def test_requests_do_not_wait_for_the_trail() -> None:
    """A login is one step of the store; its records are written soon, by the upkeep."""
    store, own = Watched(), threading.current_thread().name
    with issuer(store) as auth:
        auth.jwks()
        before = len(store.steps)
        auth.start(USER)
        assert ["Insert"] == [step for thread, step in store.steps[before:] if thread == own]
        until = time.monotonic() + 10
        while not any(record.code == "started" for record in store._events.values()):
            assert time.monotonic() < until, "it was not written beside the requests"
            time.sleep(0.02)
        assert {"daypass-upkeep"} == {thread for thread, step in store.steps if step == "NoteEvents"}


def test_an_async_issuer_writes_its_trail_too(tmp_path: Path) -> None:
    """Without `verify` and without ``async with``: the first event begins it, and closing writes the rest."""

    async def use() -> list[str]:
        store = AsyncSqliteStore(tmp_path / "app.db")
        auth = AsyncDaypass(
            store, issuer="https://issuer.example", secret=SECRET, load_user=lambda _: USER, audit_ttl="1d"
        )
        await auth.start(USER)
        await auth.close()
        found = [record.code for record in await store.perform_operator(ReadEvents())]
        await store.close()
        return found

    assert ["started"] == (asyncio.run(use()))


def trail(kept: int | None = None) -> tuple[AuditTrail, Tally]:
    tally = Tally()
    return AuditTrail(kept, tally, "0123456789abcdef"), tally


def started(number: int) -> Event:
    return Event(EventCode.STARTED, START + number, f"{number:032x}", "user-1")


def failing(_: Any) -> Any:
    raise StoreUnavailable("down")


def test_what_cannot_be_written_waits_and_what_is_lost_is_counted() -> None:
    """While the store is down the oldest records go; afterwards a record says how many, and nothing comes twice."""
    store, (audit, _) = MemoryStore(), trail()
    for number in range(WAITING_AT_MOST + 7):
        audit.add(started(number))
    run(audit.write(START), failing)
    for _ in range(2):
        run(audit.write(START), store.perform_operator)  # type: ignore[arg-type]
    found = records(store, limit=20_000)
    assert 7 == audit.lost
    assert WAITING_AT_MOST + 1 == len(found)
    assert ["7"] == [record.reason for record in found if record.code == "dropped"]


def test_an_answer_that_was_lost_writes_nothing_twice() -> None:
    """A batch is written again when it is not known whether it was written; it is in the trail once."""
    store, (audit, _) = MemoryStore(), trail()
    audit.add(started(1))

    def lost(step: Any) -> Any:
        store.perform_operator(step)
        raise StoreUnavailable("the answer was lost")

    run(audit.write(START), lost)
    run(audit.write(START), store.perform_operator)  # type: ignore[arg-type]
    assert ["started"] == codes(store)


@pytest.mark.parametrize("code", [EventCode.REJECTED, EventCode.LOGIN_FAILED, EventCode.LIMITED])
def test_a_flood_of_bad_requests_does_not_fill_the_store(code: EventCode) -> None:
    """Of events that anyone can cause, a limited number per second is kept; logins of users are all kept."""
    store, (audit, _) = MemoryStore(), trail()
    for number in range(10 * NOISY_A_SECOND):
        audit.add(Event(code, START))
        if number < 200:
            audit.add(started(number))
    run(audit.write(START), store.perform_operator)  # type: ignore[arg-type]
    found = codes(store, limit=10_000)
    assert (NOISY_A_SECOND, 200, 1) == (found.count(code.value), found.count("started"), found.count("dropped"))


def test_old_records_are_removed_by_the_service_alone() -> None:
    """A process that knows how long records are kept removes older ones; a command removes none."""
    store = MemoryStore()
    store.perform_operator(NoteEvents((AuditRecord(START - 5_000, "0" * 16, "started"),)))
    run(trail(None)[0].write(START), store.perform_operator)  # type: ignore[arg-type]
    run(trail(10_000)[0].write(START), store.perform_operator)  # type: ignore[arg-type]
    assert 1 == len(records(store))
    run(trail(4_000)[0].write(START), store.perform_operator)  # type: ignore[arg-type]
    assert () == records(store)


def test_what_happens_too_often_is_counted_each_minute() -> None:
    """A record a minute says how many ordinary refreshes there were in it."""
    store, (audit, tally) = MemoryStore(), trail()
    write: Callable[[int], None] = lambda now: run(audit.write(now), store.perform_operator)  # type: ignore[arg-type]  # noqa: E731
    write(START)
    for _ in range(3):
        tally.count_event("rotated")
    tally.count_request("POST", "/auth/refresh", 200, 0.004)
    write(START + 59_000)
    assert () == records(store, codes=(MINUTE_COUNTS,))
    write(START + 60_000)
    write(START + 120_000)
    first, second = (json.loads(each.reason or "") for each in records(store, codes=(MINUTE_COUNTS,)))
    assert {"rotated": 3, "/auth/refresh 200": 1, "t2": 1} == first
    assert {} == second


@pytest.mark.parametrize("wrong", ["59m", 0, "soon"])
def test_a_trail_that_would_keep_nothing_is_refused(wrong: Any) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=r"audit_ttl|duration"):
        issuer(MemoryStore(), audit_ttl=wrong)


def test_a_store_without_a_trail_is_refused() -> None:
    """An issuer whose store has no trail refuses the option."""

    class Bare:
        def perform(self, step: Any) -> Any: ...

        def close(self) -> None: ...

    with pytest.raises(ConfigurationError, match="Bare keeps no audit trail"):
        issuer(Bare())


def test_texts_of_any_kind_are_stored() -> None:
    """NUL, lone surrogates and long text become what every database stores."""
    store, (audit, _) = MemoryStore(), trail()
    audit.add(Event(EventCode.REJECTED, START, reason="a\0b\ud800c" + "x" * 2000))
    run(audit.write(START), store.perform_operator)  # type: ignore[arg-type]
    (record,) = records(store)
    assert record.reason is not None
    assert ("a\ufffdb?c", 500) == (record.reason[:5], len(record.reason))
    assert astuple(record) == tuple(json.loads(json.dumps(astuple(record))))
