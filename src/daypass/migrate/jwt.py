"""Libraries whose tokens are JWTs: djangorestframework-simplejwt, Flask-JWT-Extended, fastapi-users, AuthX.

Each library is imported when a token is read, so it must stay installed during the migration.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from daypass.old_tokens import OldToken, OldTokens


def simplejwt(*, access: bool = True) -> OldTokens:
    """Accept tokens of djangorestframework-simplejwt, by the settings in ``SIMPLE_JWT``, and check its blacklist.

    Args:
        access: whether its access tokens are accepted until they expire.
    """

    def read(text: str) -> OldToken | None:
        from rest_framework_simplejwt.tokens import RefreshToken

        return _read(RefreshToken, text)

    def read_access(text: str) -> OldToken | None:
        from rest_framework_simplejwt.tokens import AccessToken

        return _read(AccessToken, text)

    def _read(kind: Any, text: str) -> OldToken | None:
        from rest_framework_simplejwt.exceptions import TokenError
        from rest_framework_simplejwt.settings import api_settings

        try:
            claims = kind(text).payload
        except TokenError:
            return None
        return _from_claims(claims, claims.get(api_settings.USER_ID_CLAIM), claims.get(api_settings.JTI_CLAIM), text)

    return OldTokens("simplejwt", read, read_access if access else None)


def flask_jwt_extended(app: Any, *, access: bool = True) -> OldTokens:
    """Accept tokens of Flask-JWT-Extended, in a body or in its refresh cookie, and ask its blocklist callback.

    Args:
        app: the Flask application that has the ``JWTManager``.
        access: whether its access tokens are accepted until they expire.
    """

    def read(text: str) -> OldToken | None:
        return _read(text, refresh=True)

    def read_access(text: str) -> OldToken | None:
        return _read(text, refresh=False)

    def _read(text: str, *, refresh: bool) -> OldToken | None:
        from flask_jwt_extended import decode_token, get_unverified_jwt_headers
        from flask_jwt_extended.exceptions import JWTExtendedException
        from flask_jwt_extended.internal_utils import verify_token_not_blocklisted, verify_token_type
        from jwt import PyJWTError

        with app.app_context():
            try:
                claims = decode_token(text)
                verify_token_type(claims, refresh)
                verify_token_not_blocklisted(get_unverified_jwt_headers(text), claims)
            except (JWTExtendedException, PyJWTError):
                return None
        return _from_claims(claims, claims.get(app.config["JWT_IDENTITY_CLAIM"]), claims.get("jti"), text)

    in_cookies = "cookies" in app.config["JWT_TOKEN_LOCATION"]
    cookies = (app.config["JWT_REFRESH_COOKIE_NAME"],) if in_cookies else ()
    return OldTokens("flask-jwt-extended", read, read_access if access else None, cookies)


def fastapi_users_jwt(strategy: Any, *, cookie: str | None = None, access: bool = True) -> OldTokens:
    """Accept tokens of a ``JWTStrategy`` of fastapi-users. It has no refresh tokens: its one token starts the session.

    Args:
        strategy: the ``JWTStrategy``, such as ``get_jwt_strategy()``.
        cookie: the name of the cookie that the token is in; None for a ``BearerTransport``.
        access: whether the token is accepted as an access token until it expires.
    """

    def read(text: str) -> OldToken | None:
        import jwt
        from fastapi_users.jwt import decode_jwt

        try:
            claims = decode_jwt(text, strategy.decode_key, strategy.token_audience, [strategy.algorithm])
        except jwt.PyJWTError:
            return None
        issued_at = claims.get("iat", claims.get("exp", 0) - (strategy.lifetime_seconds or 0))
        return _from_claims({**claims, "iat": issued_at}, claims.get("sub"), claims.get("jti"), text)

    return OldTokens("fastapi-users-jwt", read, read if access else None, () if cookie is None else (cookie,))


def authx(manager: Any, *, access: bool = True) -> OldTokens:
    """Accept tokens of AuthX, in a body or in its refresh cookie, and ask its blocklist callback.

    Args:
        manager: the ``AuthX`` object.
        access: whether its access tokens are accepted until they expire.
    """

    async def read(text: str) -> OldToken | None:
        return await _read(text, "refresh")

    async def read_access(text: str) -> OldToken | None:
        return await _read(text, "access")

    async def _read(text: str, kind: str) -> OldToken | None:
        from authx import RequestToken
        from authx.exceptions import AuthXException

        try:
            payload = manager.verify_token(
                RequestToken(token=text, type=kind, location="headers"), verify_csrf=False, verify_fresh=False
            )
        except AuthXException:
            return None
        if payload.type != kind or await manager.is_token_in_blocklist(text):
            return None
        claims = payload.model_dump()
        return _from_claims(
            {**claims, "iat": _seconds(payload.iat), "exp": _seconds(payload.exp)}, payload.sub, payload.jti, text
        )

    config = manager.config
    cookies = (config.JWT_REFRESH_COOKIE_NAME,) if "cookies" in config.JWT_TOKEN_LOCATION else ()
    return OldTokens("authx", read, read_access if access else None, cookies)


def _from_claims(claims: Mapping[str, Any], subject: object, jti: object, text: str) -> OldToken | None:
    """Return the old token with these verified claims; None if they do not name its user."""
    if subject is None:
        return None
    return OldToken(
        id=str(jti) if jti else signed_part(text),
        subject=str(subject),
        issued_at=claims.get("iat") or 0,
        expires_at=claims.get("exp"),
        claims=claims,
    )


def signed_part(text: str) -> str:
    """Return a digest of the part of a JWT or cookie that is signed: the signature itself has several spellings."""
    return hashlib.sha256(text.rpartition(".")[0].encode()).hexdigest()


def _seconds(time: Any) -> float | None:
    return time if time is None else float(time.timestamp() if hasattr(time, "timestamp") else time)
