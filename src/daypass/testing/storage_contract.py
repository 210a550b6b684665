"""The suite that every client storage must pass; use it to test your own storage.

Your storage is correct when this passes (only pytest is needed)::

    import pytest
    from daypass.testing import StorageContract

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def open_storage(self, tmp_path):
            return lambda: MyStorage(tmp_path / "session")  # empty at first; each call opens the same place again

For a storage for many machines, which has ``needs_turn = True``, use `SharedStorageContract`.
"""

# ruff: noqa: S101, SIM300 - these are tests: they assert, and asserts read `expected == actual`

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from daypass.client.storage.base import Facts, Kept, Storage

OpenStorage = Callable[[], Storage]

RACERS = 6
"""How many callers compete, each with a storage that it opened itself."""

PATIENCE = 20.0
LEASE = 0.4


class StorageContract:
    """Tests of everything that a `Storage` must do; subclass it and override the fixture ``open_storage``."""

    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        """Return a function that opens the same place again, as another process would. It is empty at first."""
        raise NotImplementedError("override the fixture open_storage: return a function that opens your storage")

    def test_empty_at_first(self, open_storage: OpenStorage) -> None:
        """A new storage is empty, and removing its text is not an error."""
        storage = open_storage()
        storage.save(None)
        assert (None, None) == (storage.load(), storage.read().text)

    @pytest.mark.parametrize(
        "text", ["text", "{}", "ä€𝄞" * 100, "x" * 64_000], ids=["short", "json", "unicode", "long"]
    )
    def test_keeps_one_text_as_a_whole(self, open_storage: OpenStorage, text: str) -> None:
        """The last written text is read by everyone who opens the same place, until it is removed."""
        storage = open_storage()
        for each in ("before, and longer" * 10, text):
            storage.save(each)
            assert (each, each) == (storage.load(), open_storage().load())
        open_storage().save(None)
        assert storage.load() is None

    def test_age_grows(self, open_storage: OpenStorage) -> None:
        """A storage with its own clock returns the age of the text; others return None."""
        storage = open_storage()
        storage.save("text")
        first = storage.read().age
        time.sleep(0.05)
        later = open_storage().read().age
        assert (first is None) == (later is None)
        assert first is None or (later or 0) >= first + 30

    def test_replaces_what_is_expected(self, open_storage: OpenStorage) -> None:
        """Nothing is written if the content is different, or if the comparison raises."""
        storage = open_storage()

        def refuse(_: Kept) -> bool:
            raise ValueError("told")

        assert storage.replace(lambda kept: kept.text is None, "one", Facts())
        assert not storage.replace(lambda kept: kept.text is None, "two", Facts())
        with pytest.raises(ValueError, match="told"):
            storage.replace(refuse, "two", Facts())
        assert "one" == open_storage().load()
        assert storage.replace(lambda kept: kept.text == "one", None, Facts())
        assert open_storage().load() is None

    def test_compare_and_write_is_one_step(self, open_storage: OpenStorage) -> None:
        """If many replace the same text at once, one succeeds; no increment is lost."""
        open_storage().save("0")
        start = threading.Barrier(RACERS)

        def count(_: int) -> int:
            storage, done = open_storage(), 0
            start.wait()
            while done < 5:
                text = storage.load() or ""
                done += storage.replace(lambda kept: kept.text == text, str(int(text) + 1), Facts())  # noqa: B023 - it is called at once
            return done

        with ThreadPoolExecutor(RACERS) as pool:
            assert [5] * RACERS == list(pool.map(count, range(RACERS)))
        assert str(5 * RACERS) == open_storage().load()

    def test_one_has_the_turn(self, open_storage: OpenStorage) -> None:
        """All get the turn to refresh, one after another."""
        open_storage().save("text")
        start, holding, most = threading.Barrier(RACERS), [0], [0]

        def take(_: int) -> bool:
            storage = open_storage()
            start.wait()
            with storage.turn(lambda _: False, PATIENCE, PATIENCE) as turn:
                holding[0] += 1
                most[0] = max(most[0], holding[0])
                time.sleep(0.02)
                holding[0] -= 1
                return turn.held

        with ThreadPoolExecutor(RACERS) as pool:
            assert [True] * RACERS == list(pool.map(take, range(RACERS)))
        assert 1 == most[0]

    def test_turn_is_waited_for_no_longer_than_asked(self, open_storage: OpenStorage) -> None:
        """A waiting caller gives up in time; the turn is free again after an exception."""
        open_storage().save("text")

        def fail() -> None:
            with open_storage().turn(lambda _: False, 1, PATIENCE) as first:
                with open_storage().turn(lambda _: False, 0.1, PATIENCE) as second:
                    assert (True, False) == (first.held, second.held)
                raise ValueError("told")

        with pytest.raises(ValueError, match="told"):
            fail()
        with open_storage().turn(lambda _: False, 0.1, PATIENCE) as third:
            assert third.held

    def test_result_is_written_under_the_turn(self, open_storage: OpenStorage) -> None:
        """The holder's text is stored before the next one has the turn."""
        open_storage().save("old")
        storage = open_storage()
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            assert storage.replace(lambda kept: kept.text == "old", "new", Facts(1_000), turn)
        with open_storage().turn(lambda _: False, 1, PATIENCE):
            assert "new" == open_storage().load()

    def test_logout_waits_for_no_refresh(self, open_storage: OpenStorage) -> None:
        """The text can be removed while another holds the turn; the holder's write then fails."""
        open_storage().save("old")
        storage = open_storage()
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            start = time.monotonic()
            open_storage().save(None)
            assert time.monotonic() - start < PATIENCE / 2
            assert not storage.replace(lambda kept: kept.text == "old", "new", Facts(), turn)
        assert open_storage().load() is None


class SharedStorageContract(StorageContract):
    """More tests for a storage for many machines: the turn is a lease with a fence, and reports a doubt."""

    def test_refreshes_only_with_the_turn(self, open_storage: OpenStorage) -> None:
        """It says so."""
        assert open_storage().needs_turn

    def test_settled_text_takes_no_turn(self, open_storage: OpenStorage) -> None:
        """If another has refreshed, the new text comes with the same read, even while another holds the turn."""
        open_storage().save("text")
        with (
            open_storage().turn(lambda _: False, 1, PATIENCE),
            open_storage().turn(lambda kept: kept.text == "text", PATIENCE, PATIENCE) as turn,
        ):
            assert (False, "text") == (turn.held, turn.kept and turn.kept.text)

    def test_holder_that_was_stopped_writes_nothing(self, open_storage: OpenStorage) -> None:
        """After its lease has expired, another gets the turn in doubt, and the first one's result is not stored."""
        open_storage().save("old")
        late, storage = open_storage(), open_storage()
        holding = late.turn(lambda _: False, 1, LEASE)
        first = holding.__enter__()
        first.stop_renewing()
        with storage.turn(lambda _: False, PATIENCE, PATIENCE) as second:
            assert (True, True, False) == (second.held, second.in_doubt, first.may_send())
            assert not late.replace(lambda kept: kept.text == "old", "late", Facts(), first)
            holding.__exit__(None, None, None)
            assert second.may_send()
            assert storage.replace(lambda kept: kept.text == "old", "new", Facts(), second)
        assert not late.replace(lambda _: True, "late", Facts(), first)
        assert "new" == open_storage().load()

    def test_lease_is_renewed(self, open_storage: OpenStorage) -> None:
        """A refresh that takes longer than the lease keeps its turn."""
        open_storage().save("old")
        storage = open_storage()
        with storage.turn(lambda _: False, 1, LEASE) as first:
            with open_storage().turn(lambda _: False, LEASE * 4, LEASE) as second:
                assert (True, False) == (first.may_send(), second.held)
            assert storage.replace(lambda kept: kept.text == "old", "new", Facts(), first)

    def test_login_takes_the_turn_away(self, open_storage: OpenStorage) -> None:
        """A refresh that began before a login does not overwrite it, and leaves no doubt."""
        open_storage().save("old")
        storage = open_storage()
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            turn.unanswered()
            open_storage().save("login")
            assert not storage.replace(lambda _: True, "refreshed", Facts(), turn)
        assert "login" == open_storage().load()
        with open_storage().turn(lambda _: False, 1, PATIENCE) as next_one:
            assert (True, False) == (next_one.held, next_one.in_doubt)

    def test_doubt_lasts_until_an_answer(self, open_storage: OpenStorage) -> None:
        """After a refresh without a response the next turns are in doubt, until there is a result."""
        open_storage().save("old")
        storage = open_storage()
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            turn.unanswered()
        for _ in range(2):
            with storage.turn(lambda _: False, 1, PATIENCE) as turn:
                assert (True, True) == (turn.held, turn.in_doubt)
                turn.failed("no answer again")
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            assert storage.replace(lambda _: True, "new", Facts(), turn)
        with storage.turn(lambda _: False, 1, PATIENCE) as turn:
            assert (True, False) == (turn.held, turn.in_doubt)
