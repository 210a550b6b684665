"""The issuer that a project's settings name: ``DAYPASS = "project.auth.auth"``."""

from django.conf import settings
from django.utils.module_loading import import_string

from daypass.errors import ConfigurationError
from daypass.issuer import AsyncDaypass, Daypass


def configured_auth(auth: Daypass | AsyncDaypass | str | None = None) -> Daypass | AsyncDaypass:
    """Return the issuer: ``auth`` itself, or what stands where its dotted path, or that of the settings, leads.

    Raises:
        ConfigurationError: nothing is set, or no issuer stands there.
        ImportError: the path leads nowhere.
    """
    found = auth if auth is not None else getattr(settings, "DAYPASS", None)
    if isinstance(found, str):
        found = import_string(found)
    if not isinstance(found, Daypass | AsyncDaypass):
        raise ConfigurationError(
            'set DAYPASS to the dotted path of a Daypass or an AsyncDaypass, such as "project.auth.auth"'
        )
    return found


def configured_sync(auth: Daypass | AsyncDaypass | str | None, purpose: str) -> Daypass:
    """Return the issuer, for what cannot wait for an async one.

    Raises:
        ConfigurationError: there is none, or it is an `AsyncDaypass`.
        ImportError: the path leads nowhere.
    """
    found = configured_auth(auth)
    if isinstance(found, AsyncDaypass):
        raise ConfigurationError(f"{purpose} needs Daypass, not AsyncDaypass; both may use one store and one secret")
    return found
