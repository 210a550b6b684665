"""Arguments and functions that an application gives: what cannot work is refused when it is given, and says why."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from daypass import (
    AsyncDaypass,
    AsyncRemoteVerifier,
    ConfigurationError,
    Daypass,
    Policy,
    RemoteVerifier,
    Tokens,
    User,
)

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example"


async def load_async(subject: str) -> User:
    return User(subject)


class AsyncFunction:
    """An object that is called like an async function."""

    async def __call__(self, *_: str) -> None:
        return None


@pytest.mark.parametrize(
    ("make", "name", "nearest"),
    [
        (functools.partial(Daypass, "memory:", issuer=ISSUER, load_user=User), "acess_ttl", "access_ttl"),
        (functools.partial(AsyncDaypass, "memory:", issuer=ISSUER, load_user=User), "grace_perio", "grace_period"),
        (functools.partial(Daypass, "memory:", issuer=ISSUER, load_user=User), "autenticate", "authenticate"),
        (functools.partial(RemoteVerifier, ISSUER), "jwk_url", "jwks_url"),
        (functools.partial(AsyncRemoteVerifier, ISSUER), "audiance", "audience"),
        (Policy.of, "idle_tl", "idle_ttl"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_an_unknown_argument_is_refused(make: Callable[..., Any], name: str, nearest: str) -> None:
    """It is never ignored, and the error names the nearest one that there is."""
    with pytest.raises(ConfigurationError, match=f"unknown .* '{name}': did you mean '{nearest}'"):
        make(**{name: "15m"})


def test_a_wrong_duration_is_named() -> None:
    """The error names the wrong duration, and the value that was given."""
    with pytest.raises(ConfigurationError, match=r"idle_ttl: .*'30 fortnights'"):
        Daypass("memory:", issuer=ISSUER, load_user=User, idle_ttl="30 fortnights")


@pytest.mark.parametrize("name", ["load_user", "authenticate", "on_event"])
@pytest.mark.parametrize(
    "function",
    [load_async, functools.partial(load_async, "1"), AsyncFunction(), AsyncFunction().__call__],
    ids=["function", "partial", "object", "method"],
)
def test_an_async_function_is_refused_by_the_sync_issuer(name: str, function: Any) -> None:
    """When the issuer is made, not at the first login or refresh."""
    functions: dict[str, Any] = {"load_user": User, name: function}
    with pytest.raises(ConfigurationError, match=f"{name} is async; use AsyncDaypass"):
        Daypass("memory:", issuer=ISSUER, **functions)
    AsyncDaypass("memory:", issuer=ISSUER, **functions)


async def test_a_number_as_subject_is_refused() -> None:
    """The sessions of user "1" are not found by 1; without an error they would seem to be ended."""
    sync = Daypass("memory:", issuer=ISSUER, load_user=User)
    coloured = AsyncDaypass("memory:", issuer=ISSUER, load_user=User)
    number: Any = 1
    for call in (sync.end_all, sync.sessions):
        with pytest.raises(ConfigurationError, match=r"text, not int: write str\(user\.id\)"):
            call(number)
    for awaited in (coloured.end_all, coloured.sessions):
        with pytest.raises(ConfigurationError, match=r"text, not int: write str\(user\.id\)"):
            await awaited(number)


async def test_load_user_returns_the_user_it_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """A token never has another user's data: the refresh fails, the log says why, and the session continues."""
    wrong = [True]

    def load(subject: str) -> User:
        return User("user-2", "bob") if wrong else User(subject, "ada")

    sync = Daypass("memory:", issuer=ISSUER, load_user=load)
    coloured = AsyncDaypass("memory:", issuer=ISSUER, load_user=load)
    first, other = sync.start(User("user-1")), await coloured.start(User("user-1"))
    with pytest.raises(ConfigurationError, match=r"load_user.*'user-1'.*'user-2'"):
        sync.refresh(first.refresh_token)
    with pytest.raises(ConfigurationError, match=r"load_user.*'user-1'.*'user-2'"):
        await coloured.refresh(other.refresh_token)
    assert 2 == len([record for record in caplog.records if record.levelno == logging.ERROR])
    wrong.clear()
    refreshed: list[Tokens] = [sync.refresh(first.refresh_token), await coloured.refresh(other.refresh_token)]
    assert ["ada", "ada"] == [each.user.username for each in refreshed]


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b[2K", "\u2028", "\x85"], ids=ascii)
def test_a_subject_forges_no_log_line(sign: str, caplog: pytest.LogCaptureFixture) -> None:
    """A line break or a terminal's control sequence in a subject is escaped in the log."""
    subject = f"1{sign}CRITICAL daypass: session revoked"
    auth = Daypass("memory:", issuer=ISSUER, load_user=User)
    with caplog.at_level(logging.DEBUG, logger="daypass"):
        tokens = auth.start(User(subject))
        auth.logout(auth.refresh(tokens.refresh_token).refresh_token)
    assert 3 == len(caplog.records)
    assert [] == [record for record in caplog.records if not record.getMessage().isprintable()]
