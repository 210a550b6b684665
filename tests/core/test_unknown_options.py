"""A misspelt option is refused, and the message names the right one."""

import pytest

from daypass import ConfigurationError
from daypass.unknown_options import refuse_unknown

KNOWN = ("rate_limits", "trusted_proxies", "allowed_origins")


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("rate_limit", "rate_limits"), ("trusted_proxy", "trusted_proxies"), ("allowed_origin", "allowed_origins")],
)
def test_the_nearest_name_is_suggested(given: str, nearest: str) -> None:
    """An unknown name is refused, and the nearest known one is suggested."""
    with pytest.raises(ConfigurationError, match=f"^unknown option '{given}': did you mean '{nearest}'\\?$"):
        refuse_unknown(["rate_limits", given], KNOWN)


def test_all_names_are_listed_if_none_is_near() -> None:
    """An unknown name that resembles no known one is refused with a list of all."""
    with pytest.raises(ConfigurationError) as refused:
        refuse_unknown({"zzz": 1}, KNOWN, "setting")
    assert "unknown setting 'zzz': known are allowed_origins, rate_limits, trusted_proxies" == str(refused.value)


def test_known_names_pass() -> None:
    """Known names are accepted."""
    refuse_unknown(KNOWN, KNOWN)
    refuse_unknown([], [])
