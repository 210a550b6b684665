"""The suite that every store must pass; use it to test your own store.

Your store is correct when this passes (only pytest is needed)::

    import pytest
    from daypass.testing import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            store = MyStore(...)          # empty: each test gets its own
            yield store
            store.close()

For an async store, use `AsyncStoreContract` and override ``async_store`` in the same way: a plain fixture that yields
the store. The tests are the same; they call it through `Performing`, on a private event loop. To see values in failed
assertions, put ``pytest.register_assert_rewrite("daypass.testing")`` in your ``conftest.py``.

No test here waits or reads a clock: the time is an argument of the steps.
"""

# ruff: noqa: S101, SIM300 - these are tests: they assert, and asserts read `expected == actual`

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar, cast

import pytest

from daypass.account_steps import AccountStep, AsyncAccountStore
from daypass.keys import KeyRecord
from daypass.operator_steps import AsyncOperatorStore, OperatorStep
from daypass.rotation import NEVER_ROTATED, Expectation
from daypass.session import Device, EndReason, Session
from daypass.store_steps import (
    DEVICE_SIZE,
    DEVICES,
    AddKey,
    Admit,
    Advance,
    Advanced,
    Amend,
    Bind,
    End,
    EndAll,
    EndEveryone,
    Ending,
    Endings,
    Find,
    Insert,
    ListSessions,
    Migrate,
    Probe,
    ReadClock,
    ReadEndings,
    ReadKeys,
    RemoveKey,
    Rewrap,
    StoreStep,
    Swap,
    Sweep,
    Swept,
)
from daypass.stores import AsyncStore, Store
from daypass.testing.clock import START

A = TypeVar("A")

CALLERS = 16
KEY = "k" * 43
"""How many callers compete."""


class Performing:
    """Wraps an async store as a sync one: it runs on its own event loop, in its own thread."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="daypass-testing", daemon=True)
        self._thread.start()

    def perform(self, step: StoreStep[A]) -> A:
        """Perform ``step`` and return its result."""
        return asyncio.run_coroutine_threadsafe(self._store.perform(step), self._loop).result()

    def perform_account(self, step: AccountStep[A]) -> A:
        """Perform a step for built-in users."""
        store = cast("AsyncAccountStore", self._store)
        return asyncio.run_coroutine_threadsafe(store.perform_account(step), self._loop).result()

    def perform_operator(self, step: OperatorStep[A]) -> A:
        """Perform a step for operators."""
        store = cast("AsyncOperatorStore", self._store)
        return asyncio.run_coroutine_threadsafe(store.perform_operator(step), self._loop).result()

    def race(self, steps: Sequence[StoreStep[Any]]) -> list[Any]:
        """Perform ``steps`` concurrently, each in a task, and return their results."""
        return asyncio.run_coroutine_threadsafe(self._gather(steps), self._loop).result()

    def close(self) -> None:
        """Close the store; performing a step opens it again."""
        asyncio.run_coroutine_threadsafe(self._store.close(), self._loop).result()

    def end(self) -> None:
        """Close the store and end the event loop."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _gather(self, steps: Sequence[StoreStep[Any]]) -> list[Any]:
        return list(await asyncio.gather(*map(self._store.perform, steps)))


def session(number: int = 1, **fields: Any) -> Session:
    """Return a session for a test: fresh at `START` with an expiry an hour later, except for ``fields``."""
    made = Session(
        id=f"{number:032x}",
        subject="user-1",
        client_id="daypass",
        generation=0,
        branch=b"branch-0",
        rotated_at=NEVER_ROTATED,
        created_at=START,
        expires_at=START + 3_600_000,
    )
    return replace(made, **fields)


def advance(found: Session, now: int, **fields: Any) -> Advance:
    """Return the step that moves ``found`` one generation on at ``now`` without grace period, except for ``fields``."""
    step = Advance(
        session_id=found.id,
        expected=Expectation(found.generation, found.branch, now),
        generation=found.generation + 1,
        branch=b"branch-n",
        now=now,
        idle_ttl=3_600_000,
        absolute_ttl=7_200_000,
    )
    return replace(step, **fields)


def key(number: int = 1, **fields: Any) -> KeyRecord:
    """Return a key for a test, made ``number`` milliseconds after `START`, except for ``fields``."""
    made = KeyRecord(f"kid-{number}", "ES256", f"wrapped-{number}", START + number, START + number)
    return replace(made, **fields)


def sweep(now: int, **fields: Any) -> Sweep:
    """Return the step that sweeps, at ``now``, what ended a second before, except for ``fields``."""
    step = Sweep(
        now=now,
        before=now - 1000,
        absolute_ttl=7_200_000,
        access_ttl=900_000,
        batch=1000,
        pause=1000,
        rest=60_000,
        regardless=True,
    )
    return replace(step, **fields)


class StoreContract:
    """Tests that every store must pass; a subclass gives the store with the fixture ``store``."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store; override this."""
        raise NotImplementedError("override the fixture `store`: it gives an empty store")

    def race(self, store: Store, steps: Sequence[StoreStep[Any]]) -> list[Any]:
        """Perform ``steps`` concurrently, each by its own caller, and return their results."""
        start = threading.Barrier(len(steps))

        def caller(step: StoreStep[Any]) -> Any:
            start.wait(timeout=30)
            return store.perform(step)

        with ThreadPoolExecutor(len(steps)) as callers:
            return list(callers.map(caller, steps))

    # ---- sessions: adding and finding

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"device": Device("Ada's phone \N{MOBILE PHONE}", "Mozilla/5.0 (X11) \u00e9", "2001:db8::1")},
            {"branch": bytes(range(248, 256)), "generation": 2**31, "rotated_at": START + 1},
            {"branch": bytes(8), "created_at": 1, "expires_at": 2**53 - 1},
            {"subject": "'; DROP TABLE sessions; --", "client_id": '"{}%_\\ \u4f60\u597d'},
            {"client_id": "reader", "scope": "read write " + "x" * 100},
            {"idle_ttl": 7_200_000, "ends_at": START + 3_600_000, "extras": '{"p":0}'},
            {"extras": '{"k":{"dpop":{}},"crit":["k"]}', "key_thumbprint": "t" * 43},
            {"extras": '{"c":{"org":"\u4f60\u597d ' + "x" * 5000 + '"}}'},
            {"id": "f" * 32, "ended_at": START + 5, "end_reason": EndReason.REUSE},
        ],
    )
    def test_an_inserted_session_is_found(self, store: Store, fields: dict[str, Any]) -> None:
        """A session comes back with every field as it went in."""
        store.perform(Insert(session(**fields)))
        assert session(**fields) == store.perform(Find(session(**fields).id))

    @pytest.mark.parametrize(
        "session_id",
        [f"{2:032x}", f"{1:031x}", f"{1:033x}", "", "no id", f"{0xAB:032X}", f" {0xAB:032x}", "\u00e9" * 32],
    )
    def test_an_unknown_session_is_not_found(self, store: Store, session_id: str) -> None:
        """An unknown id, or a text that is not an id, finds nothing and is not an error."""
        store.perform(Insert(session(1)))
        store.perform(Insert(session(0xAB)))
        assert store.perform(Find(session_id)) is None
        assert store.perform(End(session_id, START, EndReason.ENDED)) is None
        assert Advanced(None, moved=False) == store.perform(advance(session(1), START, session_id=session_id))
        assert session(1) == store.perform(Find(session(1).id))

    def test_closing_loses_nothing(self, store: Store) -> None:
        """A closed store opens again by itself, with its content unchanged."""
        store.close()
        store.perform(Insert(session()))
        store.close()
        assert session() == store.perform(Find(session().id))
        store.close()
        store.close()

    def test_callers_do_not_get_each_others_answers(self, store: Store) -> None:
        """If many call at once, each gets its own result."""
        every = [session(number, subject=f"user-{number}") for number in range(1, CALLERS + 1)]
        self.race(store, [Insert(each) for each in every])
        assert every == self.race(store, [Find(each.id) for each in every])
        moved = self.race(store, [advance(each, START + 1) for each in every])
        assert [(each.id, True) for each in every] == [(answer.session.id, answer.moved) for answer in moved]

    # ---- Advance

    def test_advance_moves_a_session_from_its_expected_position(self, store: Store) -> None:
        """Only position, rotation time and idle expiry change, in one step."""
        store.perform(Insert(session(device=Device("phone"))))
        moved = session(
            device=Device("phone"),
            generation=1,
            branch=b"branch-n",
            rotated_at=START + 1000,
            expires_at=START + 1000 + 3_600_000,
        )
        assert Advanced(moved, moved=True, rotated_at=session().rotated_at) == store.perform(
            advance(session(), START + 1000)
        )
        assert moved == store.perform(Find(session().id))

    def test_advance_never_passes_the_absolute_expiry(self, store: Store) -> None:
        """A session ends when its absolute time to live has passed, however recently it was used."""
        store.perform(Insert(session()))
        moved = store.perform(advance(session(), START + 3_000_000, absolute_ttl=4_000_000))
        assert START + 4_000_000 == moved.session.expires_at  # type: ignore[union-attr]  # fails just as well on None

    @pytest.mark.parametrize(
        ("own", "step", "expected"),
        [
            ({"idle_ttl": 600_000}, {}, 601_000),
            ({"idle_ttl": 9_000_000}, {}, 3_601_000),
            ({"ends_at": START + 3_600_000}, {}, 3_600_000),
            ({"ends_at": START + 9_000_000}, {"absolute_ttl": 3_600_000}, 3_600_000),
            ({"idle_ttl": 600_000, "ends_at": START + 3_600_000}, {"absolute_ttl": 500_000}, 500_000),
            ({"expires_at": START + 60_000}, {"passive": True}, 60_000),
            ({"idle_ttl": 600_000, "expires_at": START + 60_000}, {"passive": True}, 60_000),
            ({}, {"passive": True, "absolute_ttl": 5000}, 5000),
        ],
        ids=[
            "own idle time",
            "the policy's idle time",
            "own end",
            "the policy's end",
            "all times",
            "passive",
            "passive, own idle time",
            "passive, the policy's end",
        ],
    )
    def test_advance_keeps_to_the_shortest_time(
        self, store: Store, own: dict[str, Any], step: dict[str, Any], expected: int
    ) -> None:
        """A session's own times count if they are shorter than the step's; a passive step extends nothing."""
        store.perform(Insert(session(**own)))
        moved = store.perform(advance(session(), START + 1000, **step))
        assert moved.moved
        assert START + expected == moved.session.expires_at  # type: ignore[union-attr]  # fails just as well on None
        assert moved.session == store.perform(Find(session().id))

    @pytest.mark.parametrize(
        ("device", "expected"),
        [
            (Device("ignored", "agent " + "x" * 200, "10.0.0.2"), Device("phone", "agent " + "x" * 200, "10.0.0.2")),
            (Device(user_agent="b"), Device("phone", "b", "10.0.0.1")),
            (Device(address="10.0.0.2"), Device("phone", "a" * 100, "10.0.0.2")),
            (Device(), Device("phone", "a" * 100, "10.0.0.1")),
        ],
        ids=["longer", "shorter", "the address alone", "nothing is known"],
    )
    def test_advance_replaces_agent_and_address(self, store: Store, device: Device, expected: Device) -> None:
        """After a rotation a session has the user agent and the address of the request, if known."""
        store.perform(Insert(session(device=Device("phone", "a" * 100, "10.0.0.1"))))
        moved = store.perform(advance(session(), START + 1000, device=device))
        assert expected == moved.session.device  # type: ignore[union-attr]  # fails just as well on None
        assert moved.session == store.perform(Find(session().id))

    @pytest.mark.parametrize(
        ("stored", "step"),
        [
            ({"generation": 1}, {}),
            ({"branch": b"branch-x"}, {}),
            ({"rotated_at": START + 1}, {}),
            ({"rotated_at": START + 2}, {}),
            ({"ended_at": START, "end_reason": EndReason.LOGOUT}, {}),
            ({"expires_at": START + 1}, {}),
            ({"expires_at": START}, {}),
            ({}, {"absolute_ttl": 1}),
        ],
        ids=["generation", "branch", "just rotated", "rotated later", "ended", "expires now", "expired", "absolute"],
    )
    def test_advance_only_finds_any_other_session(
        self, store: Store, stored: dict[str, Any], step: dict[str, Any]
    ) -> None:
        """A session with another position, rotated too recently, ended or expired, is returned unchanged."""
        store.perform(Insert(session(**stored)))
        assert Advanced(session(**stored), moved=False) == store.perform(advance(session(), START + 1, **step))
        assert session(**stored) == store.perform(Find(session().id))

    def test_one_of_many_advances(self, store: Store) -> None:
        """If many send the same token at once, exactly one moves the session; all get its new position."""
        store.perform(Insert(session()))
        answers = self.race(store, [advance(session(), START + 1)] * CALLERS)
        assert 1 == sum(answer.moved for answer in answers)
        assert {store.perform(Find(session().id))} == {answer.session for answer in answers}

    def test_one_of_many_branches_wins(self, store: Store) -> None:
        """If many move a session to different branches, exactly one succeeds, and its branch is stored."""
        store.perform(Insert(session()))
        steps = [advance(session(), START + 1, branch=bytes([number]) * 8) for number in range(CALLERS)]
        answers = self.race(store, steps)
        (winner,) = [step.branch for step, answer in zip(steps, answers, strict=True) if answer.moved]
        assert {winner} == {answer.session.branch for answer in answers}

    # ---- Swap

    def test_swap_replaces_position_expiry_and_ending(self, store: Store) -> None:
        """A session that is unchanged since it was read gets the new position and expiry, or is ended."""
        store.perform(Insert(session()))
        new = session(generation=7, branch=b"branch-7", rotated_at=START + 1, expires_at=START + 9)
        assert store.perform(Swap(session(), new)) is True
        assert new == store.perform(Find(session().id))
        moved = replace(new, device=Device(user_agent="agent", address="10.0.0.2"))
        assert store.perform(Swap(new, moved)) is True
        assert moved == store.perform(Find(session().id))
        ended = replace(moved, ended_at=START + 2, end_reason=EndReason.REUSE)
        assert store.perform(Swap(moved, ended)) is True
        assert ended == store.perform(Find(session().id))

    @pytest.mark.parametrize(
        "stored",
        [
            {"generation": 1},
            {"branch": b"branch-x"},
            {"rotated_at": START},
            {"ended_at": START, "end_reason": EndReason.ENDED},
        ],
        ids=["generation", "branch", "rotated_at", "ended"],
    )
    def test_swap_leaves_what_others_have_changed(self, store: Store, stored: dict[str, Any]) -> None:
        """A session that has changed since it was read is not changed."""
        store.perform(Insert(session(**stored)))
        assert store.perform(Swap(session(), session(generation=9))) is False
        assert session(**stored) == store.perform(Find(session().id))

    def test_swap_makes_nothing(self, store: Store) -> None:
        """A session that does not exist is not created."""
        assert store.perform(Swap(session(), session(generation=1))) is False
        assert store.perform(Find(session().id)) is None

    def test_one_of_many_swaps(self, store: Store) -> None:
        """If many replace the same session at once, exactly one succeeds, and its value is stored."""
        store.perform(Insert(session()))
        steps = [Swap(session(), session(generation=number, branch=b"swapped!")) for number in range(1, CALLERS + 1)]
        answers = self.race(store, steps)
        (winner,) = [step.new for step, swapped in zip(steps, answers, strict=True) if swapped]
        assert winner == store.perform(Find(session().id))

    # ---- Admit

    def test_admit_adds_a_session_and_names_the_surplus(self, store: Store) -> None:
        """The newest sessions stay; live sessions above the user's limit are returned, ended ones are not."""
        for number in (1, 2, 3, 4):
            store.perform(Insert(session(number, created_at=START + number)))
        store.perform(Insert(session(9, subject="user-2")))
        store.perform(End(session(4).id, START + 4, EndReason.LOGOUT))
        new = session(5, created_at=START + 5, extras='{"p":0}', device=Device("phone"))
        admitted = store.perform(Admit(new, maximum=2))
        assert (True, {session(1).id, session(2).id}) == (admitted.inserted, set(admitted.surplus))
        assert new == store.perform(Find(new.id))
        assert () == store.perform(Admit(session(6, subject="user-3"), maximum=1)).surplus

    def test_admit_refuses_a_session_too_many(self, store: Store) -> None:
        """Without ``evict`` the newest login is refused, until another session has ended."""
        admits = [Admit(session(number, created_at=START + number), maximum=2, evict=False) for number in (1, 2, 3)]
        assert [True, True, False] == [store.perform(each).inserted for each in admits]
        assert store.perform(Find(session(3).id)) is None
        assert {session(1).id, session(2).id} == {each.id for each in store.perform(ListSessions("user-1", START + 3))}
        store.perform(End(session(1).id, START + 4, EndReason.LOGOUT))
        assert store.perform(admits[2]).inserted

    @pytest.mark.parametrize("evict", [True, False])
    def test_many_who_are_admitted_at_once_keep_to_the_limit(self, store: Store, *, evict: bool) -> None:
        """However many logins come at once, exactly as many sessions remain as a user may have."""
        steps = [
            Admit(session(number, created_at=START + number % 3), maximum=3, evict=evict)
            for number in range(1, CALLERS + 1)
        ]
        for admitted in self.race(store, steps):
            for session_id in admitted.surplus:
                store.perform(End(session_id, START + 9, EndReason.ENDED))
        left = store.perform(ListSessions("user-1", START + 9))
        assert 3 == len(left)

    def test_admit_knows_the_devices_of_a_user(self, store: Store) -> None:
        """The first device is not new; any other is new once, even if the login is refused; the number is limited."""
        devices = [bytes([number]) * DEVICE_SIZE for number in range(DEVICES + 1)]

        def known(number: int, device: bytes, subject: str = "user-1") -> bool:
            new = session(number, subject=subject, created_at=START + number)
            return store.perform(Admit(new, maximum=1, evict=False, device=device)).known_device

        assert [True, True, False, True] == [known(1 + at, devices[each]) for at, each in enumerate((0, 0, 1, 1))]
        assert known(10, devices[1], "user-2")
        assert known(11, b"")
        assert [False] * (DEVICES - 2) == [known(20 + at, each) for at, each in enumerate(devices[2:DEVICES])]
        assert known(90, devices[DEVICES - 1])

    # ---- Amend

    @pytest.mark.parametrize("new", ['{"t":1}', '{"t":' + "1" * 300 + "}", None])
    def test_amend_replaces_the_extras_alone(self, store: Store, new: str | None) -> None:
        """Only the extras of a session are replaced, even if it was rotated meanwhile."""
        old = '{"c":{"org":"' + "x" * 200 + '"}}'
        store.perform(Insert(session(extras=old)))
        moved = store.perform(advance(session(), START + 1)).session
        assert store.perform(Amend(session().id, old, new)) is True
        assert replace(moved, extras=new) == store.perform(Find(session().id))  # type: ignore[type-var]  # not None
        assert store.perform(Amend(session().id, new, old)) is True
        assert replace(moved, extras=old) == store.perform(Find(session().id))  # type: ignore[type-var]  # not None

    @pytest.mark.parametrize(
        "stored", [{"extras": '{"p":0}'}, {"ended_at": START, "end_reason": EndReason.ENDED}], ids=["changed", "ended"]
    )
    def test_amend_keeps_the_changes_of_others(self, store: Store, stored: dict[str, Any]) -> None:
        """Extras that others have changed, and those of an ended session, are not changed."""
        store.perform(Insert(session(**stored)))
        assert store.perform(Amend(session().id, None, '{"t":1}')) is False
        assert session(**stored) == store.perform(Find(session().id))
        assert store.perform(Amend(session(2).id, None, '{"t":1}')) is False
        assert store.perform(Amend("no id", None, '{"t":1}')) is False
        store.perform(EndEveryone(START))
        assert store.perform(Amend(session().id, stored.get("extras"), '{"t":1}')) is False

    def test_one_of_many_amends(self, store: Store) -> None:
        """If many change the extras of a session at once, exactly one succeeds."""
        store.perform(Insert(session()))
        steps = [Amend(session().id, None, f'{{"t":{number}}}') for number in range(CALLERS)]
        answers = self.race(store, steps)
        (winner,) = [step.new for step, amended in zip(steps, answers, strict=True) if amended]
        assert session(extras=winner) == store.perform(Find(session().id))

    # ---- bound sessions

    @pytest.mark.parametrize("extras", [None, '{"p":0}'], ids=["nothing", "something"])
    def test_bind_binds_once(self, store: Store, extras: str | None) -> None:
        """A live session is bound to a key with one write, keeps everything else, and is never bound again."""
        new = '{"k":{"dpop":{"kty":"EC","x":"' + "x" * 86 + '"}},"crit":["k"]}'
        store.perform(Insert(session(extras=extras)))
        moved = store.perform(advance(session(), START + 1)).session
        bind = Bind(session().id, KEY, extras, new)
        assert store.perform(bind) is True
        bound = replace(moved, extras=new, key_thumbprint=KEY)  # type: ignore[type-var]  # not None
        assert bound == store.perform(Find(session().id))
        for again in (bind, replace(bind, old=new), Bind(session().id, "other", new, "{}")):
            assert store.perform(again) is False
        assert bound == store.perform(Find(session().id))

    @pytest.mark.parametrize(
        "stored", [{"extras": '{"p":0}'}, {"ended_at": START, "end_reason": EndReason.ENDED}], ids=["changed", "ended"]
    )
    def test_bind_leaves_what_others_have_changed(self, store: Store, stored: dict[str, Any]) -> None:
        """A session whose extras others have changed, and one that has ended, is not bound."""
        store.perform(Insert(session(**stored)))
        assert store.perform(Bind(session().id, KEY, None, "{}")) is False
        assert session(**stored) == store.perform(Find(session().id))
        assert store.perform(Bind(session(2).id, KEY, None, "{}")) is False
        assert store.perform(Bind("no id", KEY, None, "{}")) is False
        store.perform(EndEveryone(START))
        assert store.perform(Bind(session().id, KEY, stored.get("extras"), "{}")) is False

    def test_one_of_many_binds(self, store: Store) -> None:
        """If many bind a session at once, exactly one succeeds."""
        store.perform(Insert(session()))
        steps = [Bind(session().id, f"key {number}", None, f'{{"t":{number}}}') for number in range(CALLERS)]
        answers = self.race(store, steps)
        (winner,) = [step for step, bound in zip(steps, answers, strict=True) if bound]
        expected = session(extras=winner.new, key_thumbprint=winner.key_thumbprint)
        assert expected == store.perform(Find(session().id))

    @pytest.mark.parametrize("proof", [None, "another key", ""])
    def test_a_bound_session_moves_only_with_its_proof(self, store: Store, proof: str | None) -> None:
        """Without the proof of its key a bound session is returned unchanged; with it, it moves."""
        store.perform(Insert(session(key_thumbprint=KEY)))
        step = advance(session(), START + 1)
        unproven = replace(step, expected=replace(step.expected, proof=proof))
        assert Advanced(session(key_thumbprint=KEY), moved=False) == store.perform(unproven)
        proven = store.perform(replace(step, expected=replace(step.expected, proof=KEY)))
        assert proven.moved
        assert proven.session == store.perform(Find(session().id))

    def test_a_proof_does_no_harm_to_a_session_that_is_not_bound(self, store: Store) -> None:
        """A session that is not bound moves with any proof."""
        store.perform(Insert(session()))
        step = advance(session(), START + 1)
        assert store.perform(replace(step, expected=replace(step.expected, proof=KEY))).moved

    def test_swap_leaves_a_session_that_was_bound_since(self, store: Store) -> None:
        """A change that was decided before a session was bound is not written afterwards."""
        store.perform(Insert(session()))
        assert store.perform(Bind(session().id, KEY, None, '{"t":1}'))
        ended = replace(session(), ended_at=START + 1, end_reason=EndReason.REUSE)
        assert store.perform(Swap(session(), ended)) is False
        bound = session(extras='{"t":1}', key_thumbprint=KEY)
        assert bound == store.perform(Find(session().id))
        assert store.perform(Swap(bound, replace(bound, ended_at=START + 1, end_reason=EndReason.REUSE))) is True

    # ---- End and EndAll

    def test_end_is_answered_with_the_session_as_ended(self, store: Store) -> None:
        """Ending a session returns that session."""
        store.perform(Insert(session()))
        ended = session(ended_at=START + 1, end_reason=EndReason.LOGOUT)
        assert ended == store.perform(End(session().id, START + 1, EndReason.LOGOUT))
        assert ended == store.perform(Find(session().id))

    def test_a_session_is_ended_once(self, store: Store) -> None:
        """Ending a session a second time returns None; the first time and reason are kept."""
        store.perform(Insert(session()))
        first = store.perform(End(session().id, START + 1, EndReason.REUSE))
        assert store.perform(End(session().id, START + 2, EndReason.LOGOUT)) is None
        assert () == store.perform(EndAll(session().subject, START + 2, EndReason.ENDED))
        assert first == store.perform(Find(session().id))

    def test_a_session_is_ended_for_its_own_user_alone(self, store: Store) -> None:
        """If a subject is given, sessions of other subjects are not ended."""
        store.perform(Insert(session()))
        assert store.perform(End(session().id, START + 1, EndReason.ENDED, subject="user-2")) is None
        assert session() == store.perform(Find(session().id))
        assert store.perform(End(session().id, START + 1, EndReason.ENDED, subject="user-1")) is not None

    @pytest.mark.parametrize("proof", [None, "another key", ""])
    def test_a_bound_session_ends_by_its_proof_where_one_is_needed(self, store: Store, proof: str | None) -> None:
        """Where a proof is needed, a bound session ends only with its own, and a session that is not bound with any."""
        bound, other = session(key_thumbprint=KEY), session(2)
        for each in (bound, other):
            store.perform(Insert(each))
        unproven = End(bound.id, START + 1, EndReason.LOGOUT, needs_proof=True, proof=proof)
        assert store.perform(unproven) is None
        assert bound == store.perform(Find(bound.id))
        assert store.perform(replace(unproven, session_id=other.id)) is not None
        assert store.perform(replace(unproven, proof=KEY)) is not None

    def test_one_of_many_ends(self, store: Store) -> None:
        """If many end a session at once, exactly one gets the session back."""
        store.perform(Insert(session()))
        answers = self.race(store, [End(session().id, START + n, EndReason.LOGOUT) for n in range(CALLERS)])
        assert [store.perform(Find(session().id))] == [answer for answer in answers if answer is not None]

    def test_end_all_ends_a_users_live_sessions(self, store: Store) -> None:
        """All live sessions of that user except the one to keep are ended and returned; no others are."""
        live = [session(1), session(2)]
        others = [
            session(3),  # to be kept
            session(4, subject="user-2"),
            session(5, expires_at=START + 1),  # expired by itself
            session(6, ended_at=START, end_reason=EndReason.LOGOUT),
        ]
        for each in (*live, *others):
            store.perform(Insert(each))
        answer = store.perform(EndAll("user-1", START + 1, EndReason.ENDED, keep=session(3).id))
        assert [each.id for each in live] == sorted(answer)
        assert [(START + 1, EndReason.ENDED)] * 2 == [
            (found.ended_at, found.end_reason) for each in live if (found := store.perform(Find(each.id)))
        ]
        assert others == [store.perform(Find(each.id)) for each in others]

    @pytest.mark.parametrize("keep", [None, f"{99:032x}", "", "no session's id"])
    def test_end_all_keeps_nothing_that_is_not_there(self, store: Store, keep: str | None) -> None:
        """An unknown id to keep keeps no session."""
        store.perform(Insert(session()))
        assert (session().id,) == store.perform(EndAll("user-1", START + 1, EndReason.ENDED, keep=keep))

    def test_each_ended_session_is_returned_to_one_caller(self, store: Store) -> None:
        """If many end all of a user's sessions at once, each session is returned to exactly one of them."""
        every = [session(number) for number in range(1, CALLERS + 1)]
        for each in every:
            store.perform(Insert(each))
        answers = self.race(store, [EndAll("user-1", START + 1, EndReason.ENDED)] * CALLERS)
        assert [each.id for each in every] == sorted(ended for answer in answers for ended in answer)

    @pytest.mark.parametrize(
        "ending", [End(session().id, START + 2, EndReason.LOGOUT), EndAll("user-1", START + 2, EndReason.ENDED)]
    )
    def test_an_ended_session_stays_ended(self, store: Store, ending: StoreStep[Any]) -> None:
        """Sessions that are advanced, swapped and ended at once have ended afterwards, and never move again."""
        store.perform(Insert(session()))
        steps: list[StoreStep[Any]] = [advance(session(), START + 1), Swap(session(), session(generation=5))]
        self.race(store, [*steps, ending, *steps, *steps])
        found = store.perform(Find(session().id))
        assert found is not None
        assert START + 2 == found.ended_at
        assert Advanced(found, moved=False) == store.perform(advance(found, START + 100))
        assert store.perform(Swap(found, replace(found, ended_at=None))) is False
        assert found == store.perform(Find(session().id))

    def test_an_ended_session_is_remembered(self, store: Store) -> None:
        """Long after its expiry, the store still knows that a session was ended, and why."""
        store.perform(Insert(session()))
        ended = store.perform(End(session().id, START + 1, EndReason.REUSE))
        assert Advanced(ended, moved=False) == store.perform(advance(session(), START + 10**10))
        assert ended == store.perform(Find(session().id))

    def test_one_step_ends_at_most_so_many(self, store: Store) -> None:
        """Each step ends up to ``limit`` sessions; if it ended fewer, none are left."""
        for number in range(1, 6):
            store.perform(Insert(session(number)))
        step = EndAll("user-1", START + 1, EndReason.ENDED, keep=session(3).id, limit=2)
        answers = [store.perform(step) for _ in range(3)]
        assert [2, 2, 0] == [len(answer) for answer in answers]
        assert {session(number).id for number in (1, 2, 4, 5)} == {each for answer in answers for each in answer}
        assert (session(3),) == store.perform(ListSessions("user-1", START + 2))

    # ---- EndEveryone

    def test_everyone_is_ended(self, store: Store) -> None:
        """Every session created by then is ended, for every step; a newer one is not."""
        old, new = session(1), session(2, created_at=START + 1)
        store.perform(Insert(old))
        store.perform(Insert(new))
        store.perform(EndEveryone(START))
        ended = replace(old, ended_at=START, end_reason=EndReason.EVERYONE)
        assert ended == store.perform(Find(old.id))
        assert Advanced(ended, moved=False) == store.perform(advance(old, START + 5))
        assert store.perform(Swap(old, replace(old, generation=1))) is False
        assert store.perform(End(old.id, START + 5, EndReason.LOGOUT)) is None
        assert (new,) == store.perform(ListSessions("user-1", START + 5))
        assert (new.id,) == store.perform(EndAll("user-1", START + 5, EndReason.ENDED))
        assert ended == store.perform(Find(old.id))

    def test_latest_end_of_everyone_counts(self, store: Store) -> None:
        """An earlier time changes nothing, even if it comes later; the latest time is always read."""
        store.perform(Insert(session(created_at=START + 3)))
        for at in (START + 2, START + 4, START + 1):
            store.perform(EndEveryone(at))
        assert Endings((), START + 4) == store.perform(ReadEndings(START + 10**9))
        assert START + 4 == store.perform(Find(session().id)).ended_at  # type: ignore[union-attr]  # fails on None too

    def test_session_that_ended_before_everyone_keeps_its_ending(self, store: Store) -> None:
        """The first ending counts."""
        store.perform(Insert(session()))
        ended = store.perform(End(session().id, START + 1, EndReason.REUSE))
        store.perform(EndEveryone(START + 2))
        assert ended == store.perform(Find(session().id))
        assert Endings((Ending(session().id, START + 1),), START + 2) == store.perform(ReadEndings(START))

    def test_session_that_is_inserted_late_is_ended_too(self, store: Store) -> None:
        """The time of a session's login counts, not the time when it was stored."""
        store.perform(EndEveryone(START))
        store.perform(Insert(session()))
        assert EndReason.EVERYONE is store.perform(Find(session().id)).end_reason  # type: ignore[union-attr]  # as above

    def test_refreshes_while_everyone_is_ended(self, store: Store) -> None:
        """Sessions that are refreshed while everyone's are ended have all ended afterwards."""
        every = [session(number, subject=f"user-{number}") for number in range(1, CALLERS)]
        for each in every:
            store.perform(Insert(each))
        self.race(store, [*(advance(each, START + 1) for each in every), EndEveryone(START)])
        found = [each for each in map(store.perform, map(Find, (each.id for each in every))) if each is not None]
        assert {(START, EndReason.EVERYONE)} == {(each.ended_at, each.end_reason) for each in found}
        assert not any(store.perform(advance(each, START + 2)).moved for each in found)

    # ---- ListSessions

    def test_the_newest_login_is_listed_first(self, store: Store) -> None:
        """Only the user's own live sessions are listed, the newest login first."""
        middle, newest, oldest = (
            session(1, created_at=START + 5),
            session(2, created_at=START + 9, device=Device("laptop")),
            session(3, created_at=START),
        )
        for each in (middle, newest, oldest, session(4, subject="user-2")):
            store.perform(Insert(each))
        assert (newest, middle, oldest) == store.perform(ListSessions("user-1", START + 10))
        assert () == store.perform(ListSessions("user-3", START + 10))

    def test_long_list_comes_in_pages(self, store: Store) -> None:
        """A page has at most ``limit`` sessions; the next page begins after the last session of the page before."""
        places = [(START, 1), (START + 5, 2), (START + 5, 3), (START + 5, 4), (START + 9, 5)]
        every = [session(number, created_at=at) for at, number in places]
        for each in every:
            store.perform(Insert(each))
        pages, after = [], None
        while page := store.perform(ListSessions("user-1", START + 10, limit=2, after=after)):
            pages.append(page)
            after = page[-1].created_at, page[-1].id
        assert [2, 2, 1] == [len(page) for page in pages]
        assert every[::-1] == [each for page in pages for each in page]

    def test_page_goes_on_although_its_last_session_is_gone(self, store: Store) -> None:
        """The cursor is a position, not a session: the list continues even if its session was ended."""
        for number in (1, 2, 3):
            store.perform(Insert(session(number, created_at=START + number)))
        store.perform(End(session(2).id, START + 5, EndReason.ENDED))
        page = store.perform(ListSessions("user-1", START + 10, limit=1, after=(START + 2, session(2).id)))
        assert (session(1, created_at=START + 1),) == page

    def test_ended_and_expired_sessions_are_not_listed(self, store: Store) -> None:
        """A session is listed until the millisecond of its expiry, or until it is ended."""
        store.perform(Insert(session(1, expires_at=START + 10)))
        store.perform(Insert(session(2, ended_at=START + 1, end_reason=EndReason.ENDED)))
        assert (session(1, expires_at=START + 10),) == store.perform(ListSessions("user-1", START + 9))
        assert () == store.perform(ListSessions("user-1", START + 10))

    # ---- ReadEndings

    def test_endings_are_read_however_they_came(self, store: Store) -> None:
        """A session that was ended by any of the steps is among the endings, with the time it was ended."""
        for number in range(1, 6):
            store.perform(Insert(session(number, subject=f"user-{number % 2}")))
        store.perform(End(session(1).id, START + 1, EndReason.LOGOUT))
        revoked = replace(session(2, subject="user-0"), ended_at=START + 2, end_reason=EndReason.REUSE)
        assert store.perform(Swap(session(2, subject="user-0"), revoked)) is True
        store.perform(EndAll("user-1", START + 3, EndReason.ENDED))
        expected = {1: START + 1, 2: START + 2, 3: START + 3, 5: START + 3}
        found = store.perform(ReadEndings(START))
        assert {Ending(session(number).id, at) for number, at in expected.items()} == set(found.endings)
        assert 0 == found.everyone_at

    def test_endings_are_read_from_a_time_on(self, store: Store) -> None:
        """Only sessions that were ended after that time are read, not live or expired ones."""
        store.perform(Insert(session(9)))
        store.perform(Insert(session(8, expires_at=START)))
        for number in (1, 2, 3):
            store.perform(Insert(session(number)))
            store.perform(End(session(number).id, START + number, EndReason.LOGOUT))
        assert Endings((Ending(session(3).id, START + 3),)) == store.perform(ReadEndings(START + 2))
        assert Endings(()) == store.perform(ReadEndings(START + 3))

    def test_one_who_did_not_end_a_session_ends_nothing(self, store: Store) -> None:
        """Steps that ended no session are not among the endings; the first ending is there with its own time."""
        store.perform(Insert(session(1)))
        store.perform(Insert(session(2)))
        store.perform(End(session(1).id, START + 1, EndReason.REUSE))
        store.perform(End(session(1).id, START + 2, EndReason.LOGOUT))
        store.perform(End(session(2).id, START + 2, EndReason.LOGOUT, subject="user-2"))
        store.perform(End(session(3).id, START + 2, EndReason.LOGOUT))
        assert Endings((Ending(session(1).id, START + 1),)) == store.perform(ReadEndings(START))

    # ---- Sweep

    def test_expired_sessions_are_swept(self, store: Store) -> None:
        """Expired sessions are removed, and ended ones when they need not be remembered; all others stay."""
        now = START + 7_200_000
        ended = {"ended_at": START + 5, "end_reason": EndReason.REUSE}
        over = [
            session(1),
            session(2, expires_at=now - 1000),
            session(3, created_at=START - 1000, **ended),
            session(4, created_at=START - 1000, expires_at=now + 1, **ended),
        ]
        stay = [
            session(5, expires_at=now - 999),
            session(6, expires_at=now + 10**10),
            session(7, created_at=START - 999, **ended),
            session(8, subject="user-2", created_at=START, expires_at=now + 1),
        ]
        for each in (*over, *stay):
            store.perform(Insert(each))
        assert 4 == store.perform(sweep(now)).removed
        assert [None] * 4 == [store.perform(Find(each.id)) for each in over]
        assert stay == [store.perform(Find(each.id)) for each in stay]
        assert (stay[1], stay[0]) == store.perform(ListSessions("user-1", now - 1000))
        assert {stay[2].id} == {ending.session_id for ending in store.perform(ReadEndings(START)).endings}
        assert 0 == store.perform(sweep(now)).removed

    def test_devices_are_forgotten_long_after_the_last_login(self, store: Store) -> None:
        """A user's known devices are removed ``absolute_ttl`` after the last login, and not before."""
        device, other = (bytes([number]) * DEVICE_SIZE for number in (1, 2))

        def known(number: int, subject: str, at: int, device: bytes) -> bool:
            new = session(number, subject=subject, created_at=at)
            return store.perform(Admit(new, maximum=9, device=device)).known_device

        for number, (subject, at) in enumerate((("away", -1000), ("back", -1000), ("back", -999))):
            assert known(1 + number, subject, START + at, device)
        store.perform(sweep(START + 7_200_000))
        assert not known(8, "back", START, other)
        assert known(9, "away", START, other)

    def test_a_sweep_comes_to_its_end(self, store: Store) -> None:
        """The batches check every session, in no more batches than there are sessions."""
        every = [session(number * 2**120) for number in range(1, 41)]
        for each in every:
            store.perform(Insert(each))
        removed, now = 0, START + 7_200_000
        for _ in range(len(every) + 1):
            swept = store.perform(sweep(now, batch=7))
            removed += swept.removed
            assert now + (60_000 if swept.whole else 1000) == swept.due_at
            if swept.whole:
                break
        assert (len(every), True) == (removed, swept.whole)

    def test_a_sweep_is_shared(self, store: Store) -> None:
        """There is no sweep before the next batch is due; if many come then at once, only one sweeps."""
        for number in range(1, 4):
            store.perform(Insert(session(number)))
        now = START + 7_200_000
        first = store.perform(sweep(now, regardless=False))
        assert Swept(3, now + 60_000, whole=True) == first
        store.perform(Insert(session(9)))
        assert Swept(0, now + 60_000) == store.perform(sweep(now + 59_999, regardless=False))
        answers = self.race(store, [sweep(now + 60_000, regardless=False)] * CALLERS)
        assert [True] == [answer.whole for answer in answers if answer.removed]
        assert 1 == sum(answer.removed for answer in answers)

    # ---- keys

    def test_keys_are_read_newest_first(self, store: Store) -> None:
        """There are no keys at first; then each algorithm may have its own, and the newest key comes first."""
        assert () == store.perform(ReadKeys())
        store.perform(AddKey(key(1)))
        store.perform(AddKey(key(2, algorithm="HS256")))
        store.perform(AddKey(key(3, used_from=START + 600_000), newest="kid-1"))
        found = (key(3, used_from=START + 600_000), key(2, algorithm="HS256"), key(1))
        assert found == store.perform(ReadKeys())

    @pytest.mark.parametrize("newest", [None, "kid-0", "kid-2"])
    def test_a_key_follows_the_newest_alone(self, store: Store, newest: str | None) -> None:
        """If the newest key is not the expected one, no key is added."""
        store.perform(AddKey(key(1)))
        store.perform(AddKey(key(2, algorithm="HS256")))
        store.perform(AddKey(key(3), newest=newest))
        assert (key(2, algorithm="HS256"), key(1)) == store.perform(ReadKeys())

    def test_a_first_key_follows_none(self, store: Store) -> None:
        """If there is no key yet, no key is added after another."""
        store.perform(AddKey(key(1), newest="kid-0"))
        assert () == store.perform(ReadKeys())

    @pytest.mark.parametrize("newest", [None, "kid-0"])
    def test_one_of_many_keys_is_added(self, store: Store, newest: str | None) -> None:
        """If many nodes add a key at once, the first key or the next, exactly one succeeds."""
        if newest is not None:
            store.perform(AddKey(key(0)))
        self.race(store, [AddKey(key(number), newest) for number in range(1, CALLERS + 1)])
        found = store.perform(ReadKeys())
        assert (1 if newest is None else 2) == len(found)
        assert found[0] in [key(number) for number in range(1, CALLERS + 1)]

    def test_a_key_is_removed(self, store: Store) -> None:
        """A removed key is gone, the others stay, and a key can be added as before; an unknown key is not an error."""
        store.perform(AddKey(key(1)))
        store.perform(AddKey(key(2), newest="kid-1"))
        store.perform(RemoveKey("kid-1"))
        store.perform(RemoveKey("kid-1"))
        assert (key(2),) == store.perform(ReadKeys())
        store.perform(AddKey(key(3), newest="kid-2"))
        assert (key(3), key(2)) == store.perform(ReadKeys())

    def test_a_key_is_wrapped_anew_once(self, store: Store) -> None:
        """Only the wrapping of a key is replaced, and only if it is still the old one."""
        store.perform(AddKey(key(1)))
        store.perform(Rewrap("kid-1", "wrapped-1", "anew"))
        store.perform(Rewrap("kid-1", "wrapped-1", "late"))
        store.perform(Rewrap("kid-2", "wrapped-1", "lost"))
        assert (key(1, wrapped="anew"),) == store.perform(ReadKeys())

    # ---- the store itself

    def test_a_step_that_is_performed_again_does_no_harm(self, store: Store) -> None:
        """A step may be repeated if it is not known whether it was performed."""
        store.perform(Insert(session()))
        moved = store.perform(advance(session(), START + 1))
        store.perform(Insert(session()))
        assert Advanced(moved.session, moved=False) == store.perform(advance(session(), START + 1))
        store.perform(AddKey(key(1)))
        store.perform(AddKey(key(1)))
        assert (moved.session, (key(1),)) == (store.perform(Find(session().id)), store.perform(ReadKeys()))

    def test_migrating_and_probing_change_nothing(self, store: Store) -> None:
        """An up-to-date store is not changed, however many nodes upgrade it at once."""
        store.perform(Insert(session()))
        store.perform(AddKey(key(1)))
        versions = self.race(store, [Migrate()] * CALLERS)
        assert 1 == len(set(versions))
        store.perform(Probe())
        assert (session(), (key(1),)) == (store.perform(Find(session().id)), store.perform(ReadKeys()))

    def test_clock_of_the_store_goes_on(self, store: Store) -> None:
        """A store that has a clock gives milliseconds since the epoch, one without a clock always None."""
        first, second = store.perform(ReadClock()), store.perform(ReadClock())
        assert (first is None) == (second is None)
        assert first is None or second is None or 1_577_836_800_000 < first <= second  # later than 2020


class AsyncStoreContract(StoreContract):
    """The same for an `AsyncStore`; a subclass gives the store with the fixture ``async_store``."""

    @pytest.fixture
    def async_store(self) -> Any:
        """Return an empty async store; override this with a plain fixture."""
        raise NotImplementedError("override the fixture `async_store`: it gives an empty async store")

    @pytest.fixture
    def store(self, async_store: AsyncStore) -> Iterator[Performing]:
        """Return the async store wrapped for sync tests."""
        performing = Performing(async_store)
        yield performing
        performing.end()

    def race(self, store: Any, steps: Sequence[StoreStep[Any]]) -> list[Any]:
        """Perform ``steps`` concurrently, each in a task of one event loop, and return their results."""
        answers: list[Any] = store.race(steps)
        return answers
