"""What ends all sessions of a user whose password was changed.

AUTH_PASSWORD_VALIDATORS = [{"NAME": "daypass.web.django.passwords.EndSessions"}, …]
"""

from typing import Any

from daypass.issuer import AsyncDaypass, Daypass
from daypass.web.django.configured import configured_sync


class EndSessions:
    """A password validator that accepts every password; Django tells it of each one that was changed and saved.

    It is told whichever way that was done, by a form, the admin, a command or ``set_password`` and ``save``, and not
    when an old hash is merely made anew.

    Args:
        auth: the issuer, or its dotted path; that of the setting ``DAYPASS`` unless one is given.

    Raises:
        ConfigurationError: there is no such issuer, or it is an `AsyncDaypass`, which a save cannot wait for; when the
            validator is used first.
    """

    def __init__(self, auth: Daypass | AsyncDaypass | str | None = None) -> None:
        self._auth = auth

    def validate(self, password: str, user: Any = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        """Return what a form says of it, beside what a password has to be like."""
        return "A new password logs you out on all devices."

    def password_changed(self, password: str, user: Any = None) -> None:  # noqa: ARG002 - as Django calls it
        """End all sessions of the user.

        Raises:
            StoreError: they may live on; the new password is saved, unless the project's transaction is rolled back.
        """
        if user is not None and user.pk is not None:
            configured_sync(self._auth, "ending sessions when a password is saved").end_all(str(user.pk))
