"""The options that all store URLs and constructors share."""

from datetime import timedelta
from pathlib import Path

import pytest

from daypass import ConfigurationError
from daypass.databases.options import read_count, read_timeout
from daypass.duration import Duration
from daypass.stores import open_async_store, open_store
from daypass.stores.sqlite import SqliteStore


@pytest.mark.parametrize("value", [5, 5.0, "5", "5.0", "5s", "5000ms", timedelta(seconds=5)])
def test_a_timeout_may_be_a_number_or_a_duration(value: Duration) -> None:
    """A bare number means seconds, in a URL and in Python."""
    assert 5.0 == read_timeout(value)


@pytest.mark.parametrize("value", [0, "0", "0s", -1, "-1", "nan", "inf", "soon", "5 years", True, None, [], b"5"])
def test_an_impossible_timeout_is_refused(value: Duration) -> None:
    """With a message that repeats it; there is no timeout of zero, and none without end."""
    with pytest.raises(ConfigurationError):
        read_timeout(value)


@pytest.mark.parametrize("value", [0, -1, "0", "x", "1.5", 1.5, "", True, None])
def test_an_impossible_count_is_refused(value: int) -> None:
    """The message names the option, the value and the allowed range."""
    with pytest.raises(ConfigurationError, match=r"invalid pool_size .*: expected a whole number, 1 or more"):
        read_count("pool_size", value)


def test_a_count_may_be_text() -> None:
    """As in a URL."""
    assert [7, 7] == [read_count("pool_size", each) for each in (7, "7")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "sqlite:///app.db?synchronus=NORMAL",
            "'synchronus': did you mean 'synchronous'",
        ),
        ("sqlite:///app.db?timeout=5", "unknown option in the SQLite URL 'timeout'"),
        ("sqlite:///app.db?synchronous=OFF", "synchronous='OFF'"),
        (
            "postgresql://host/app?pgbouncr=true",
            "'pgbouncr': did you mean 'pgbouncer'",
        ),
        ("postgresql://host/app?bogus=1", "unknown option in the PostgreSQL URL 'bogus'"),
        ("postgresql://host/app?timeout=soon", "invalid duration 'soon'"),
        ("postgresql://host/app?pgbouncer=yes", "invalid pgbouncer 'yes': write true or false"),
        ("postgresql://user:a%zz@host/app", "a % that is not followed by two hexadecimal digits"),
        ("postgresql://host:80x/app", "a port that is not a number"),
        ("redis://host/0?prefx=a", "did you mean 'prefix'"),
        ("memory:?x=1", "write memory:"),
        ("postgress://host/app", "did you mean postgres"),
        ("sqlite:app.db", "not the URL of a SQLite file"),
        ("mysql://host/app", "no store is called 'mysql'"),
    ],
)
def test_a_wrong_store_url_says_what_to_write(url: str, message: str) -> None:
    """An unknown option is refused, and the nearest known one is named."""
    for opening in (open_store, open_async_store):
        with pytest.raises(ConfigurationError) as caught:
            opening(url)
        assert message in str(caught.value)


@pytest.mark.parametrize("value", ["5", "5s", "5000ms"])
def test_a_timeout_means_the_same_in_every_url(value: str) -> None:
    """PostgreSQL and Redis read it alike."""
    for url in ("postgresql://host/app", "redis://host/0", "valkey://host/0"):
        settings = getattr(open_store(f"{url}?timeout={value}"), "_settings")  # noqa: B009 - stores have no such name in common
        assert 5.0 == settings.timeout


def test_a_sqlite_url_may_say_how_to_write(tmp_path: Path) -> None:
    """The option reaches the database, and is no part of the file's name."""
    store = open_store(f"sqlite:///{tmp_path}/app.db?synchronous=NORMAL")
    assert isinstance(store, SqliteStore)
    assert tmp_path / "app.db" == store.path
