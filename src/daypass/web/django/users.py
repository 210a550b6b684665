"""The project's own users, of django.contrib.auth, as Daypass asks for them.

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
    """Return the `daypass.User` that stands for a user of Django's.

    The subject is the text of the primary key; who is not ``is_active`` is disabled.

    Args:
        person: of whatever model the project has for its users.
        known: more of it, or something else: ``claims``, ``scope``, ``email``, …

    Raises:
        ConfigurationError: a part is not what it has to be.
    """
    email = getattr(person, person.get_email_field_name(), None)
    found: dict[str, Any] = {"username": person.get_username() or None, "email": email or None}
    return User(str(person.pk), **(found | {"disabled": not person.is_active} | known))


class Users:
    """The users of a project: ``authenticate`` and ``load_user``, and both with an ``a`` before them, to be awaited.

    Args:
        describe: returns the `daypass.User` for one of Django's; a function of yours that calls `as_user` with
            ``claims`` or a ``scope`` puts those into access tokens.
    """

    def __init__(self, describe: Callable[[Any], User] = as_user) -> None:
        self._describe = describe

    def authenticate(self, identifier: str, password: str) -> User | None:
        """Return the user whom one of the project's ``AUTHENTICATION_BACKENDS`` knows by a name and a password.

        The backends are given the request, and ``user_logged_in`` is sent with it, so ``last_login`` is kept; who is
        disabled may not log in and is not told of.
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
        """Do the same, to be awaited, for an `AsyncDaypass`."""
        request = current_request()
        person = await contrib.aauthenticate(request, username=identifier, password=password)
        if person is None:
            return None
        user = self._describe(person)
        if not user.disabled:
            await user_logged_in.asend(sender=type(person), request=request, user=person)
        return user

    def load_user(self, subject: str) -> User | None:
        """Return the user with a subject as the database knows it now, None when it is gone."""
        person = find(subject)
        return None if person is None else self._describe(person)

    async def aload_user(self, subject: str) -> User | None:
        """Do the same, to be awaited, for an `AsyncDaypass`."""
        person = await afind(subject)
        return None if person is None else self._describe(person)


def find(subject: str) -> Any:
    """Return Django's own user with a subject, None where there is none."""
    try:
        return contrib.get_user_model()._default_manager.filter(pk=subject).first()  # noqa: SLF001 - the documented name
    except (ValueError, ValidationError):  # a subject that no primary key of this kind can be
        return None


async def afind(subject: str) -> Any:
    """Do the same, to be awaited."""
    try:
        return await contrib.get_user_model()._default_manager.filter(pk=subject).afirst()  # noqa: SLF001 - as above
    except (ValueError, ValidationError):
        return None


_users = Users()
authenticate, load_user = _users.authenticate, _users.load_user
aauthenticate, aload_user = _users.aauthenticate, _users.aload_user
