"""The suite for stores that keep an audit trail and report their state to operators.

Use it like `daypass.testing.StoreContract`: override the fixture ``store``. Wrap an async store in
`daypass.testing.Performing`.
"""

# ruff: noqa: S101, SIM300 - these are tests: they assert, and asserts read `expected == actual`

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from daypass.operator_steps import (
    EVENTS_AT_ONCE,
    MARKS_AT_ONCE,
    MINUTE_COUNTS,
    AddMark,
    AddMarkOnce,
    AuditRecord,
    DropEvents,
    NoteEvents,
    OperatorStore,
    ReadEvents,
    ReadMarks,
    ReadSettings,
    ReadStats,
)
from daypass.testing.clock import START
from daypass.testing.store_contract import sweep


def record(number: int = 1, **fields: Any) -> AuditRecord:
    """Return a record for a test, with other values for ``fields``."""
    made = AuditRecord(START + number, f"{number:016x}", "started", f"{number:032x}", f"user-{number % 2}")
    return replace(made, **fields)


class OperatorStoreContract:
    """Tests that every store with an audit trail must pass; the fixture ``store`` gives the store."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store; override this."""
        raise NotImplementedError("override the fixture `store`: it gives an empty store")

    def test_records_are_read_as_they_were_written(self, store: OperatorStore) -> None:
        """Every field comes back, with any text, ordered by time; a record that is written twice is there once."""
        whole = record(2, reason="é \"'\\ \u2028 %s :name", actor="admin", address="2001:db8::1", subject=None)
        for _ in range(2):
            store.perform_operator(NoteEvents((whole, record(1))))
        assert (record(1), whole) == store.perform_operator(ReadEvents())
        assert (whole, record(1)) == store.perform_operator(ReadEvents(newest_first=True))

    def test_records_are_filtered(self, store: OperatorStore) -> None:
        """Records are filtered by time, code, user and session; counts are only returned on request."""
        counts = record(3, code=MINUTE_COUNTS)
        store.perform_operator(NoteEvents((record(1), record(2, code="reused"), counts, record(4))))

        def numbers(**filters: Any) -> list[int]:
            return [each.at - START for each in store.perform_operator(ReadEvents(**filters))]

        assert [1, 2, 4] == numbers()
        assert [2, 4] == numbers(since=START + 2)
        assert [1, 2] == numbers(until=START + 2)
        assert [2] == numbers(codes=("reused", "ended"))
        assert [3] == numbers(codes=(MINUTE_COUNTS,))
        assert [2, 4] == numbers(subject="user-0")
        assert [4] == numbers(session_id=f"{4:032x}")
        assert [] == numbers(subject="user-0", session_id=f"{1:032x}")

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_all_pages_together_are_everything(self, store: OperatorStore, newest_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """Each record is on exactly one page, even if many have the same millisecond."""
        written = tuple(record(number, at=START + number // 7) for number in range(EVENTS_AT_ONCE + 20))
        for start in range(0, len(written), EVENTS_AT_ONCE):
            store.perform_operator(NoteEvents(written[start : start + EVENTS_AT_ONCE]))
        found: list[AuditRecord] = []
        step = ReadEvents(newest_first=newest_first, limit=100)
        while page := store.perform_operator(step):
            found += page
            step = replace(step, after=(page[-1].at, page[-1].id))
        assert list(written) == (found[::-1] if newest_first else found)

    def test_old_records_are_dropped(self, store: OperatorStore) -> None:
        """Events after one time, counts after another; the step says how many."""
        counts = tuple(record(number, code=MINUTE_COUNTS) for number in (3, 9))
        store.perform_operator(NoteEvents((record(1), record(2), record(4), *counts)))
        assert 3 == store.perform_operator(DropEvents(START + 2, START + 5))
        assert 0 == store.perform_operator(DropEvents(START + 2, START + 5))
        assert (record(4),) == store.perform_operator(ReadEvents())
        assert counts[1:] == store.perform_operator(ReadEvents(codes=(MINUTE_COUNTS,)))

    def test_it_describes_itself(self, store: OperatorStore) -> None:
        """How much there is, and how it is set up, as text."""
        store.perform_operator(NoteEvents((record(1),)))
        stats = store.perform_operator(ReadStats(START))
        assert (0, 0, 1) == (stats["sessions"], stats["keys"], stats["events"])
        settings = store.perform_operator(ReadSettings())
        assert settings["sweep_due_at"].isdigit()
        assert {str} == {type(value) for value in settings.values()}

    def test_marks_are_read_until_they_expire(self, store: OperatorStore) -> None:
        """A key has all its values, each once, and none of another key; a mark that is added again lasts longer."""
        for key, value, until in (("ab", "one", 9), ("ab", "two", 5), ("a", "three", 9), ("abc", "four", 9)):
            store.perform_operator(AddMark(key, value, START + until, START))
        store.perform_operator(AddMark("ab", "two", START + 7, START))
        assert ("one", "two") == store.perform_operator(ReadMarks("ab", START + 6))
        assert ("one",) == store.perform_operator(ReadMarks("ab", START + 7))
        assert () == store.perform_operator(ReadMarks("ab", START + 9))
        assert () == store.perform_operator(ReadMarks("b", START))

    def test_expired_marks_are_removed(self, store: OperatorStore) -> None:
        """Each new mark removes some that have expired, so they do not pile up; marks that last stay."""
        for number in range(2 * MARKS_AT_ONCE):
            store.perform_operator(AddMark("aa", f"{number:02}", START + 5, START))
        store.perform_operator(AddMark("aa", "lasts", START + 99, START))
        for number in range(3):
            store.perform_operator(AddMark("bb", str(number), START + 99, START + 50))
        assert ("lasts",) == store.perform_operator(ReadMarks("aa", START))
        assert ("0", "1", "2") == store.perform_operator(ReadMarks("bb", START))

    def test_a_mark_is_added_once(self, store: Any) -> None:
        """One of many callers adds a mark; when it has expired, it can be added again. Another key does not matter."""
        keys, callers = [digit * 32 for digit in "0a"], 8
        for key in keys:
            steps = [AddMarkOnce(key, str(number), START + 60_000, START) for number in range(callers)]
            with ThreadPoolExecutor(callers) as pool:
                assert [True] == [added for added in pool.map(store.perform_operator, steps) if added]
        assert not store.perform_operator(AddMarkOnce(keys[0], "late", START + 90_000, START + 59_999))

    def test_a_mark_that_has_expired_is_added_again(self, store: OperatorStore) -> None:
        """A mark that has expired counts as gone."""
        assert store.perform_operator(AddMarkOnce("a" * 32, "one", START + 9, START + 8))
        time.sleep(0.01)  # for stores that remove it by their own clock
        assert store.perform_operator(AddMarkOnce("a" * 32, "two", START + 99, START + 9))
        assert not store.perform_operator(AddMarkOnce("a" * 32, "three", START + 99, START + 10))

    def test_the_sweep_removes_expired_marks(self, store: Any) -> None:
        """Expired marks go also when no new ones come; marks that last stay."""
        for number in range(3 * MARKS_AT_ONCE):
            store.perform_operator(AddMark("aa", f"{number:02}", START + 5, START))
        store.perform_operator(AddMark("aa", "lasts", START + 99, START))
        while not store.perform(sweep(START + 50)).whole:
            pass
        assert ("lasts",) == store.perform_operator(ReadMarks("aa", START))
