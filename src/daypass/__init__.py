"""Keeps users logged in: invisible refresh of access tokens, on the server and on the client."""

from daypass.access_token import AccessToken
from daypass.errors import (
    ConfigurationError,
    CredentialsRejected,
    DaypassError,
    KeysUnavailable,
    LoginRequired,
    RefreshUnavailable,
    ScopeInsufficient,
    ScopeRejected,
    SessionRevoked,
    StoreContended,
    StoreError,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    TokenRejected,
    TokenReused,
    TokenStale,
    TokenUnknown,
)
from daypass.event import Event, EventCode
from daypass.issuer import AsyncDaypass, Daypass
from daypass.policy import Policy
from daypass.session import Device, Session, Tokens
from daypass.stores import AsyncStore, Store
from daypass.user import User
from daypass.verifier import AsyncRemoteVerifier, RemoteVerifier

__all__ = [
    "AccessToken",
    "AsyncDaypass",
    "AsyncRemoteVerifier",
    "AsyncStore",
    "ConfigurationError",
    "CredentialsRejected",
    "Daypass",
    "DaypassError",
    "Device",
    "Event",
    "EventCode",
    "KeysUnavailable",
    "LoginRequired",
    "Policy",
    "RefreshUnavailable",
    "RemoteVerifier",
    "ScopeInsufficient",
    "ScopeRejected",
    "Session",
    "SessionRevoked",
    "Store",
    "StoreContended",
    "StoreError",
    "StoreUnavailable",
    "TokenExpired",
    "TokenMalformed",
    "TokenRejected",
    "TokenReused",
    "TokenStale",
    "TokenUnknown",
    "Tokens",
    "User",
]
