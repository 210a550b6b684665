"""The issuer, or verifier, that a project's settings name: ``DAYPASS = "project.auth.auth"``."""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.utils.module_loading import import_string

from daypass.access_token import AccessToken
from daypass.errors import ConfigurationError
from daypass.issuer import AsyncDaypass, Daypass
from daypass.remote_verifier import AsyncRemoteVerifier
from daypass.web.application import Application, issuer_of
from daypass.web.guard import SyncGuard, Verifying


def configured_auth(auth: Daypass | AsyncDaypass | str | None = None) -> Daypass | AsyncDaypass:
    """Return the issuer: ``auth`` itself, or the one at its dotted path, or at the path in the settings.

    Raises:
        ConfigurationError: no path is set, or it does not lead to an issuer.
        ImportError: the path cannot be imported.
    """
    found = _found(auth)
    if not isinstance(found, Daypass | AsyncDaypass):
        raise ConfigurationError(
            'set DAYPASS to the dotted path of a Daypass or an AsyncDaypass, such as "project.auth.auth"'
        )
    return found


def configured_sync(auth: Daypass | AsyncDaypass | str | None, purpose: str) -> Daypass:
    """Return the issuer, for code that cannot await an async one.

    Raises:
        ConfigurationError: there is none, or it is an `AsyncDaypass`.
        ImportError: the path cannot be imported.
    """
    found = configured_auth(auth)
    if isinstance(found, AsyncDaypass):
        raise ConfigurationError(f"{purpose} needs Daypass, not AsyncDaypass; both may use one store and one secret")
    return found


def configured_verifier(auth: Verifying | str | None, purpose: str) -> Verifying:
    """Return the checker of access tokens: the issuer, or a `daypass.RemoteVerifier` if that is another service.

    Raises:
        ConfigurationError: it is missing, or async.
        ImportError: the path cannot be imported.
    """
    found = _found(auth)
    verify = getattr(found, "verify", None)
    if isinstance(found, AsyncRemoteVerifier):
        raise ConfigurationError(f"{purpose} needs RemoteVerifier, not AsyncRemoteVerifier")
    if verify is None or iscoroutinefunction(verify):
        return configured_sync(found, purpose)
    return cast("Verifying", found)


def configured_guard(auth: Verifying | str | None, purpose: str) -> SyncGuard[AccessToken | None]:
    """Return what checks the access token of a request, if it has one; bound tokens need a proof.

    Raises:
        ConfigurationError: as `configured_verifier`.
        ImportError: the path cannot be imported.
    """
    found = configured_verifier(auth, purpose)
    named = _named(auth)
    return _guard(cast("Hashable", named if isinstance(named, Application) else found))


@lru_cache(maxsize=16)
def _guard(auth: Hashable) -> SyncGuard[AccessToken | None]:
    return SyncGuard(auth, optional=True)


def _found(auth: Any) -> Any:
    return issuer_of(_named(auth))


def _named(auth: Any) -> Any:
    found = auth if auth is not None else getattr(settings, "DAYPASS", None)
    return import_string(found) if isinstance(found, str) else found
