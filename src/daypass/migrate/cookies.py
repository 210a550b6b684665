"""Sessions in cookies: of Flask, Starlette and Django.

The cookie stays as it is, so that nodes without Daypass can still use it. Each library is imported when a cookie is
read.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from daypass.migrate.jwt import signed_part
from daypass.old_tokens import OldToken, OldTokens


def flask_session(app: Any, *, user: str | Callable[[Mapping[str, Any]], Any] = "_user_id") -> OldTokens:
    """Accept the signed session cookie of a Flask application.

    Args:
        app: the application.
        user: the name under which the session has the user's id, or a function that returns it; ``_user_id`` is that of
            Flask-Login.
    """

    def read(text: str) -> OldToken | None:
        from itsdangerous import BadSignature

        serializer = app.session_interface.get_signing_serializer(app)
        lifetime = app.permanent_session_lifetime.total_seconds()
        try:
            session, signed_at = serializer.loads(text, max_age=int(lifetime), return_timestamp=True)
        except BadSignature:
            return None
        issued_at = signed_at.timestamp()
        return _old(session, user, text, issued_at, issued_at + lifetime, persistent=bool(session.get("_permanent")))

    return OldTokens("flask-session", read, cookies=(app.config["SESSION_COOKIE_NAME"],))


def starlette_session(
    secret_key: str,
    *,
    user: str | Callable[[Mapping[str, Any]], Any] = "user_id",
    cookie: str = "session",
    max_age: int | None = 14 * 24 * 60 * 60,
) -> OldTokens:
    """Accept the cookie of Starlette's ``SessionMiddleware``.

    Args:
        secret_key: the middleware's ``secret_key``.
        user: the name under which the session has the user's id, or a function that returns it.
        cookie: the middleware's ``session_cookie``.
        max_age: the middleware's ``max_age``.
    """

    def read(text: str) -> OldToken | None:
        import json
        from base64 import b64decode

        from itsdangerous import BadSignature, TimestampSigner

        try:
            data, signed_at = TimestampSigner(str(secret_key)).unsign(text, max_age=max_age, return_timestamp=True)
            session = json.loads(b64decode(data))
        except (BadSignature, ValueError):
            return None
        issued_at = signed_at.timestamp()
        expires_at = None if max_age is None else issued_at + max_age
        return _old(session, user, text, issued_at, expires_at, persistent=max_age is not None)

    return OldTokens("starlette-session", read, cookies=(cookie,))


def django_session() -> OldTokens:
    """Accept the session cookie of ``django.contrib.auth``, whichever session engine the project has.

    Whatever ends a Django session, such as a new password, ends it here too.
    """

    def read(text: str) -> OldToken | None:
        from importlib import import_module
        from types import SimpleNamespace

        from django.conf import settings
        from django.contrib.auth import get_user

        session = import_module(settings.SESSION_ENGINE).SessionStore(text)
        session.cycle_key = lambda: None  # after a new SECRET_KEY get_user would rename it, and old nodes lose it
        user = get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]  # it reads the session alone
        if not user.is_authenticated:
            return None
        lifetime, row = session.get_expiry_age(), _row(session, text)
        issued_at = time.time() if row is None else row.expire_date.timestamp() - lifetime
        return OldToken(
            id=(text.rpartition(":")[0] or text) if row is None else row.session_key,
            subject=str(user.pk),
            issued_at=issued_at,
            expires_at=issued_at + lifetime,
            persistent=not session.get_expire_at_browser_close(),
        )

    from django.conf import settings

    return OldTokens("django-session", read, cookies=(settings.SESSION_COOKIE_NAME,))


def _row(session: Any, key: str) -> Any:
    """Return the row of a Django session; None for a session in a cache or in its cookie."""
    model = getattr(session, "model", None)
    return None if model is None else model.objects.filter(session_key=key).first()


def _old(
    session: Mapping[str, Any],
    user: str | Callable[[Mapping[str, Any]], Any],
    text: str,
    issued_at: float,
    expires_at: float | None,
    *,
    persistent: bool,
) -> OldToken | None:
    subject = user(session) if callable(user) else session.get(user)
    return (
        None
        if subject is None
        else OldToken(signed_part(text), str(subject), issued_at, expires_at, persistent=persistent)
    )
