"""The source of the service's users: its own store, your webhook, or your database."""

from typing import Any, Protocol

from daypass.errors import ConfigurationError, StoreUnavailable
from daypass.unknown_options import refuse_unknown
from daypass.user import User

FIELDS = ("subject", "username", "email", "scope", "disabled", "claims")
"""What a source may say of a user."""


class UserSource(Protocol):
    """Checks who logs in, and loads the user at each refresh.

    Both methods raise `StoreUnavailable` if the source cannot be asked: that is a 503, and logs no user out.
    """

    hashes: bool
    """Whether checking a password takes this process's time."""

    async def check(self, identifier: str, password: str) -> User | None:
        """Return the user with this name or address and this password, None if they are wrong."""

    async def load(self, subject: str) -> User | None:
        """Return the user with this subject, None if the user is gone: their session ends."""

    async def close(self) -> None:
        """Close what it holds open."""


def user_of(answer: Any, source: str) -> User | None:
    """Return the user in the response of a source; None for None.

    Raises:
        StoreUnavailable: the response is not a user; nothing was decided.
    """
    if answer is None:
        return None
    try:
        if not isinstance(answer, dict):
            raise ConfigurationError("a user must be an object")
        refuse_unknown(answer, FIELDS, "field")
        if not isinstance(answer.get("claims", {}), dict):
            raise ConfigurationError("claims must be an object")
        if not isinstance(answer.get("disabled", False), bool):
            raise ConfigurationError("disabled must be true or false")
        fields: dict[str, Any] = {"subject": None} | answer
        return User(**fields)
    except (ConfigurationError, TypeError) as error:
        raise StoreUnavailable(f"{source} gave an invalid answer: {error}") from None
