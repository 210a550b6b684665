"""The options that all store URLs and constructors share."""

from datetime import timedelta

import pytest

from daypass import ConfigurationError
from daypass.duration import Duration
from daypass.stores.options import read_count, read_timeout


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
    """The message names the option, the value and what is possible."""
    with pytest.raises(ConfigurationError, match=r"invalid pool_size .*: expected a whole number, 1 or more"):
        read_count("pool_size", value)


def test_a_count_may_be_text() -> None:
    """As it stands in a URL."""
    assert [7, 7] == [read_count("pool_size", each) for each in (7, "7")]
