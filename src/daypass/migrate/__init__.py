"""Moves users from another library to Daypass without logging them out.

auth = Daypass(…, migrate=simplejwt())

Each function here reads the tokens of one library, with that library itself and its settings. A token that it would
refuse, such as a blacklisted one, Daypass refuses too. For any other library, write an `OldTokens`.
``docs/migrate/index.md`` shows each step, and the way back.
"""

from daypass.migrate.cookies import django_session, flask_session, starlette_session
from daypass.migrate.databases import fastapi_users_database, oauth_toolkit
from daypass.migrate.jwt import authx, fastapi_users_jwt, flask_jwt_extended, simplejwt
from daypass.migrate.leaving import auser_of, user_of
from daypass.old_tokens import OldToken, OldTokens

__all__ = [
    "OldToken",
    "OldTokens",
    "auser_of",
    "authx",
    "django_session",
    "fastapi_users_database",
    "fastapi_users_jwt",
    "flask_jwt_extended",
    "flask_session",
    "oauth_toolkit",
    "simplejwt",
    "starlette_session",
    "user_of",
]
