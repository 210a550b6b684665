"""Libraries that keep their tokens in a database: django-oauth-toolkit, fastapi-users.

Each library is imported when a token is read, so it must stay installed during the migration.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from daypass.old_tokens import OldToken, OldTokens


def oauth_toolkit(*, access: bool = True) -> OldTokens:
    """Accept tokens of django-oauth-toolkit, for the `daypass.web.clients.Client` with the application's ``client_id``.

    Tokens without a user, of the client credentials grant, start no session.

    Args:
        access: whether its access tokens are accepted until they expire.
    """

    def read(text: str) -> OldToken | None:
        from oauth2_provider.models import get_refresh_token_model
        from oauth2_provider.settings import oauth2_settings

        rows = get_refresh_token_model().objects.select_related("application", "access_token")
        row = rows.filter(token_checksum=_sha256(text), revoked__isnull=True).first()
        if row is None:
            return None
        seconds = oauth2_settings.REFRESH_TOKEN_EXPIRE_SECONDS
        seconds = seconds.total_seconds() if hasattr(seconds, "total_seconds") else seconds
        created = row.created.timestamp()
        scope = None if row.access_token is None else row.access_token.scope
        return _of_row(row, text, created, created + seconds if seconds else None, scope)

    def read_access(text: str) -> OldToken | None:
        from oauth2_provider.models import get_access_token_model

        rows = get_access_token_model().objects.select_related("application")
        row = rows.filter(token_checksum=_sha256(text)).first()
        if row is None or row.is_expired():
            return None
        return _of_row(row, text, row.created.timestamp(), row.expires.timestamp(), row.scope)

    def _of_row(row: Any, text: str, issued_at: float, expires_at: float | None, scope: str | None) -> OldToken | None:
        if row.user_id is None or row.application is None:
            return None
        return OldToken(
            _sha256(text), str(row.user_id), issued_at, expires_at, client_id=row.application.client_id, scope=scope
        )

    return OldTokens("django-oauth-toolkit", read, read_access if access else None)


def fastapi_users_database(
    find: Callable[[str], Awaitable[Any]],
    *,
    lifetime_seconds: float | None,
    cookie: str | None = None,
    access: bool = True,
) -> OldTokens:
    """Accept tokens of a ``DatabaseStrategy`` of fastapi-users; its one token starts the session.

    Args:
        find: returns the row of a token, or None: ``get_by_token`` of your ``AccessTokenDatabase``.
        lifetime_seconds: the ``lifetime_seconds`` of the ``DatabaseStrategy``.
        cookie: the name of the cookie that the token is in; None for a ``BearerTransport``.
        access: whether the token is accepted as an access token until it expires.
    """

    async def read(text: str) -> OldToken | None:
        row = await find(text)
        if row is None:
            return None
        created: datetime = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
        issued_at = created.timestamp()
        expires_at = None if lifetime_seconds is None else issued_at + lifetime_seconds
        if expires_at is not None and datetime.now(UTC).timestamp() >= expires_at:
            return None
        return OldToken(_sha256(row.token), str(row.user_id), issued_at, expires_at)

    return OldTokens("fastapi-users-database", read, read if access else None, () if cookie is None else (cookie,))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
