"""Connects the project's own users, of django.contrib.auth, to Daypass.

auth = Daypass("sqlite:///sessions.db", issuer="…", load_user=users.load_user, authenticate=users.authenticate)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import auth as contrib
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError

from daypass.user import User
from daypass.web.django.current import current_request

if TYPE_CHECKING:  # it is a model, which cannot be imported before the settings are there
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = [
    "Users",
    "afind",
    "as_user",
    "find",
]


def as_user(person: "AbstractBaseUser", **known: Any) -> User:
    """Return the `daypass.User` for one of Django's users.

    The subject is the text of the primary key; a user who is not ``is_active`` is disabled.

    Args:
        person: an object of the project's user model.
        known: fields to add or replace: ``claims``, ``scope``, ``email``, …

    Raises:
        ConfigurationError: a part is invalid.
    """
    email = getattr(person, person.get_email_field_name(), None)
    found: dict[str, Any] = {"username": person.get_username() or None, "email": email or None}
    return User(str(person.pk), **(found | {"disabled": not person.is_active} | known))


class Users:
    """The users of a project: ``authenticate`` and ``load_user``, and their async forms, which begin with ``a``.

    Args:
        describe: returns the `daypass.User` for one of Django's; your own function can call `as_user` with ``claims``
            or a ``scope``, which access tokens then have.
    """

    def __init__(self, describe: Callable[[Any], User] = as_user) -> None:
        self._describe = describe

    def authenticate(self, identifier: str, password: str) -> User | None:
        """Return the user that one of the project's ``AUTHENTICATION_BACKENDS`` finds for a name and a password.

        The backends get the request, and ``user_logged_in`` is sent with it, so ``last_login`` is kept. A disabled user
        may not log in, and no signal is sent for them.
        """
        request = current_request()
        person = contrib.authenticate(request, username=identifier, password=password)
        if person is None:
            return None
        user = self._describe(person)
        if not user.disabled:
            user_logged_in.send(sender=type(person), request=request, user=person)
        return user

    async def aauthenticate(self, identifier: str, password: str) -> User | None:
        """`authenticate` for an `AsyncDaypass`."""
        request = current_request()
        person = await contrib.aauthenticate(request, username=identifier, password=password)
        if person is None:
            return None
        user = self._describe(person)
        if not user.disabled:
            await user_logged_in.asend(sender=type(person), request=request, user=person)
        return user

    def load_user(self, subject: str) -> User | None:
        """Return the user with a subject as the database has it now, None if it is gone."""
        person = find(subject)
        return None if person is None else self._describe(person)

    async def aload_user(self, subject: str) -> User | None:
        """`load_user` for an `AsyncDaypass`."""
        person = await afind(subject)
        return None if person is None else self._describe(person)


def find(subject: str) -> Any:
    """Return Django's own user with a subject, None if the user does not exist."""
    try:
        return contrib.get_user_model()._default_manager.filter(pk=subject).first()  # noqa: SLF001 - the documented name
    except (ValueError, ValidationError):  # the subject is not a possible primary key of this model
        return None


async def afind(subject: str) -> Any:
    """Async form of `find`."""
    try:
        return await contrib.get_user_model()._default_manager.filter(pk=subject).afirst()  # noqa: SLF001 - as above
    except (ValueError, ValidationError):
        return None


_users = Users()
authenticate, load_user = _users.authenticate, _users.load_user
aauthenticate, aload_user = _users.aauthenticate, _users.aload_user
