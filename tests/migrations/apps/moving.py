"""What a refresh endpoint does in each mode, for libraries whose tokens the client keeps itself."""

from collections.abc import Awaitable, Callable
from typing import Any

from daypass import AsyncDaypass, Daypass, TokenRejected
from daypass.migrate import auser_of, user_of

Answer = tuple[int, dict[str, Any]]
GONE: Answer = (401, {"error": "gone"})


def refresh(mode: str, auth: Daypass, text: str, old: Callable[[str], Answer], pair: Callable[[str], Any]) -> Answer:
    """Return the status and body for a refresh token.

    Args:
        mode: of the node.
        auth: the issuer.
        text: as the client sent it.
        old: what the old library answers.
        pair: new tokens of the old library, for a user's id.
    """
    ours = text.startswith("dpr_")
    if mode == "back" and ours:
        user = user_of(auth, text)
        return GONE if user is None else (200, pair(user.subject))
    if mode != "move" and not ours:
        return old(text)
    try:
        tokens = auth.refresh(text)
    except TokenRejected as error:
        return error.status, {"error": error.code}
    return 200, {"access": tokens.access_token, "refresh": tokens.refresh_token}


async def arefresh(
    mode: str,
    auth: AsyncDaypass,
    text: str,
    old: Callable[[str], Awaitable[Answer]],
    pair: Callable[[str], Awaitable[Any]],
) -> Answer:
    """Do the same with an `AsyncDaypass`."""
    ours = text.startswith("dpr_")
    if mode == "back" and ours:
        user = await auser_of(auth, text)
        return GONE if user is None else (200, await pair(user.subject))
    if mode != "move" and not ours:
        return await old(text)
    try:
        tokens = await auth.refresh(text)
    except TokenRejected as error:
        return error.status, {"error": error.code}
    return 200, {"access": tokens.access_token, "refresh": tokens.refresh_token}
