"""Checks the options of guards for how recently and how a user must have been authenticated (RFC 9470). Pure."""

import re
from typing import TypedDict

from daypass.duration import SECOND, Duration, milliseconds
from daypass.errors import ConfigurationError
from daypass.unknown_options import refuse_unknown


class StepUp(TypedDict, total=False):
    """How recently and how a user must have been authenticated (RFC 9470).

    Attributes:
        max_age: the longest time since then, such as ``5m``.
        acr: the accepted authentication context classes, with spaces between them.
    """

    max_age: Duration
    acr: str


def checked_step_up(name: str, step_up: StepUp) -> tuple[int | None, str | None]:
    """Return ``max_age`` in milliseconds, and ``acr``.

    Raises:
        ConfigurationError: an option is invalid or unknown.
    """
    refuse_unknown(step_up, StepUp.__annotations__, f"argument of {name}")
    acr = step_up.get("acr")
    if acr is not None and not (type(acr) is str and _ACR.fullmatch(acr)):
        raise ConfigurationError(f"invalid acr {acr!r}: write the names of classes, such as 'mfa' or 'phr phrh'")
    try:
        max_age = milliseconds(step_up["max_age"]) if "max_age" in step_up else None
    except ConfigurationError as error:
        raise ConfigurationError(f"max_age: {error}") from None
    if max_age is not None and max_age < SECOND:
        raise ConfigurationError("max_age must be at least one second")
    return max_age, acr


_ACR = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
"""Printable ASCII without quotes: it goes into a header."""
