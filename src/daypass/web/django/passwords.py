"""Ends the sessions of a user whose password was changed.

AUTH_PASSWORD_VALIDATORS = [{"NAME": "daypass.web.django.passwords.EndSessions"}, …]
"""

from typing import Any

from daypass.issuer import AsyncDaypass, Daypass
from daypass.web.browser_login import BrowserLogin
from daypass.web.django.configured import configured_sync
from daypass.web.django.current import current_request


class EndSessions:
    """A password validator that accepts every password; Django calls it after each change of a password.

    It ends the user's sessions however the password was changed: by a form, the admin, a command, or ``set_password``
    and ``save``. Upgrading a hash ends nothing. A user who changes their own password on a page stays logged in there:
    the session of that request is kept, if `daypass.web.django.pages.Pages` is in ``MIDDLEWARE``.

    Args:
        auth: the issuer, or its dotted path; by default that of the setting ``DAYPASS``.

    Raises:
        ConfigurationError: there is no such issuer, or it is an `AsyncDaypass`, which a save cannot await; raised when
            the validator is first used.
    """

    def __init__(self, auth: Daypass | AsyncDaypass | str | None = None) -> None:
        self._auth = auth

    def validate(self, password: str, user: Any = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        """Return the text that a form shows beside the rules for passwords."""
        return "A new password logs you out on all other devices."

    def password_changed(self, password: str, user: Any = None) -> None:  # noqa: ARG002 - as Django calls it
        """End the user's sessions, except that of the request in which the user changes their own password.

        Raises:
            StoreError: the sessions may continue; the new password is saved, unless the project's transaction is rolled
                back.
        """
        if user is not None and user.pk is not None:
            subject = str(user.pk)
            auth = configured_sync(self._auth, "ending sessions when a password is saved")
            auth.end_all(subject, keep=_own_session(subject))


def _own_session(subject: str) -> str | None:
    """Return the session of the request that is being answered, if it is this user's."""
    login = getattr(current_request(), "daypass", None)
    token = login.token if isinstance(login, BrowserLogin) else None
    return token.session_id if token is not None and token.subject == subject else None
