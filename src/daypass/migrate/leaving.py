"""The way back: finds the user of a Daypass refresh token, so that the old library can issue its own tokens again."""

from daypass.errors import TokenMalformed
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.issuer import AsyncDaypass, Daypass
from daypass.user import User


def user_of(auth: Daypass, refresh_token: str, *, client_id: str | None = None) -> User | None:
    """Return the user of a refresh token that would be accepted now; the token is not used up.

    Args:
        auth: the issuer.
        refresh_token: as the client sent it.
        client_id: the client that presents it; the issuer's own by default.

    Raises:
        StoreError: the store could not be read; nothing was decided.
    """
    return auth.run(_user_of(auth.flows, refresh_token, auth.new_call(), client_id))


async def auser_of(auth: AsyncDaypass, refresh_token: str, *, client_id: str | None = None) -> User | None:
    """Do what `user_of` does, with an `AsyncDaypass`."""
    return await auth.run(_user_of(auth.flows, refresh_token, auth.new_call(), client_id))


def _user_of(flows: Flows, text: str, call: Call, client_id: str | None) -> Flow[User | None]:
    try:
        token = yield from flows.open(text, client_id)
    except TokenMalformed:
        return None
    found = yield from flows.examine(token, call)
    return None if found is None else found[1]
