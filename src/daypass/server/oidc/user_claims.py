"""Makes a user of the claims of a provider, if the rules let that user in. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from daypass import scope as scopes
from daypass.errors import ConfigurationError, DaypassError
from daypass.user import User

_GOOGLE = "https://accounts.google.com"


class NotAllowed(DaypassError):
    """The provider knows this user, and the rules of this service do not let them in."""


@dataclass(frozen=True, slots=True)
class UserRules:
    """Who may log in, and which claims say what.

    Attributes:
        username: the claim with the user's name.
        scope: the claim with what the user may do; a list, or words with spaces between them. None: no scope is set.
        groups: the claim with the user's groups.
        allowed_groups: a user must be in one of them; empty lets everybody in.
        allowed_domains: a user's verified address must be in one of them; empty lets everybody in.
    """

    username: str = "preferred_username"
    scope: str | None = None
    groups: str = "groups"
    allowed_groups: frozenset[str] = frozenset()
    allowed_domains: frozenset[str] = frozenset()

    def user(self, claims: Mapping[str, Any]) -> User:
        """Return the user of these claims, which were verified.

        Raises:
            NotAllowed: the rules do not let them in, or the claims make no user.
        """
        self._require_domain(claims)
        if self.allowed_groups and self.allowed_groups.isdisjoint(_texts(find(claims, self.groups))):
            raise NotAllowed("this account is in none of the groups that may log in here")
        username, email = find(claims, self.username), claims.get("email")
        if claims.get("email_verified") in (False, "false"):  # anyone may have typed it
            email = None
        try:
            return User(
                claims["sub"],
                _name(username),
                _name(email),
                scope=None if self.scope is None else _scope(find(claims, self.scope)),
            )
        except ConfigurationError as error:
            raise NotAllowed(f"the provider's claims make no user: {error}") from None

    def _require_domain(self, claims: Mapping[str, Any]) -> None:
        """Check the domain of the address. Anyone may type an address at a provider, so it must be verified there.

        A Google account outside an organization may have a verified address in its domain; ``hd`` names those inside.
        """
        if not self.allowed_domains:
            return
        if claims.get("iss") == _GOOGLE:
            domain = str(claims.get("hd"))
        elif claims.get("email_verified") in (True, "true"):
            domain = str(claims.get("email")).rpartition("@")[2]
        else:
            raise NotAllowed("this account has no verified email address")
        if domain.lower() not in self.allowed_domains:
            raise NotAllowed("this account's domain may not log in here")


def find(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by its path: ``realm_access.roles``; None if it is missing."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def login_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the provider says about the login itself, for access tokens: ``acr`` and ``amr``, if well-formed."""
    found: dict[str, Any] = {}
    acr, amr = claims.get("acr"), claims.get("amr")
    if isinstance(acr, str) and acr.split() == [acr] and len(acr) <= _LONGEST:
        found["acr"] = acr
    if isinstance(amr, list) and 0 < len(amr) <= _MOST and all(isinstance(each, str) for each in amr):
        found["amr"] = [each for each in amr if len(each) <= _LONGEST]
    return found


_LONGEST = 100
_MOST = 10
_LONGEST_NAME = 254
"""Characters of an email address (RFC 5321 §4.5.3.1.3), and of a name."""


def _name(value: Any) -> str | None:
    """Return a name or an address, None for one that cannot be shown."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable() else None


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return value.split()
    return (each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _scope(value: Any) -> str:
    """Return a scope of the words in a claim, without those that cannot be in one, such as a name with spaces.

    Raises:
        NotAllowed: it is too long. Leaving words out would change what the user may do.
    """
    scope = " ".join(dict.fromkeys(each for each in _texts(value) if _is_word(each)))
    if len(scope) > scopes.MAXIMUM:
        raise NotAllowed(f"this account has too many roles: a scope has {scopes.MAXIMUM} characters at most")
    return scope


def _is_word(text: str) -> bool:
    try:
        return scopes.checked(text) == text and " " not in text
    except ConfigurationError:
        return False
