"""Keeps users logged in: invisible refresh of access tokens, on the server and on the client.

Importing ``daypass`` imports only the errors. Every other name imports its module on first use (PEP 562), so a client
does not load the server's cryptography and stores.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from daypass.errors import (
    AuthenticationInsufficient,
    ConfigurationError,
    CredentialsRejected,
    DaypassError,
    DeviceProofMissing,
    ImpersonationRejected,
    KeysUnavailable,
    LoginRequired,
    NonceRequired,
    ProofRejected,
    RefreshUnavailable,
    ScopeInsufficient,
    ScopeRejected,
    SessionLimitReached,
    SessionRevoked,
    StepUpRequired,
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

if TYPE_CHECKING:
    from daypass.access_token import AccessToken
    from daypass.dbsc import DeviceBound
    from daypass.dpop import DPoP
    from daypass.event import Event, EventCode
    from daypass.issuer import AsyncDaypass, Daypass
    from daypass.policy import Policy
    from daypass.remote_verifier import AsyncRemoteVerifier, RemoteVerifier
    from daypass.session import Confirmed, Device, Session, Tokens
    from daypass.stores import AsyncStore, Store
    from daypass.user import User

__all__ = [
    "AccessToken",
    "AsyncDaypass",
    "AsyncRemoteVerifier",
    "AsyncStore",
    "AuthenticationInsufficient",
    "ConfigurationError",
    "Confirmed",
    "CredentialsRejected",
    "DPoP",
    "Daypass",
    "DaypassError",
    "Device",
    "DeviceBound",
    "DeviceProofMissing",
    "Event",
    "EventCode",
    "ImpersonationRejected",
    "KeysUnavailable",
    "LoginRequired",
    "NonceRequired",
    "Policy",
    "ProofRejected",
    "RefreshUnavailable",
    "RemoteVerifier",
    "ScopeInsufficient",
    "ScopeRejected",
    "Session",
    "SessionLimitReached",
    "SessionRevoked",
    "StepUpRequired",
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

_MODULES = {
    "AccessToken": "access_token",
    "AsyncDaypass": "issuer",
    "AsyncRemoteVerifier": "remote_verifier",
    "AsyncStore": "stores",
    "Confirmed": "session",
    "DPoP": "dpop",
    "Daypass": "issuer",
    "Device": "session",
    "DeviceBound": "dbsc",
    "Event": "event",
    "EventCode": "event",
    "Policy": "policy",
    "RemoteVerifier": "remote_verifier",
    "Session": "session",
    "Store": "stores",
    "Tokens": "session",
    "User": "user",
}
"""The module of each name that is loaded on first use."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("daypass")
    if name not in _MODULES:
        raise AttributeError(f"module 'daypass' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"daypass.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
