"""Scopes: words with single spaces between them, in any order (RFC 6749 §3.3). Pure."""

import re

from daypass.errors import ConfigurationError, ScopeRejected

_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
MAXIMUM = 1024
"""Characters of a scope."""


def words(scope: str | None) -> tuple[str, ...]:
    """Return the words of a scope, each once, in their order; none for None."""
    return tuple(dict.fromkeys((scope or "").split(" "))) if scope else ()


def checked(scope: object) -> str | None:
    """Return a scope in normal form: each word once. None stays None.

    Raises:
        ConfigurationError: it is not a scope.
    """
    if scope is None:
        return None
    if type(scope) is str and len(scope) <= MAXIMUM:
        parts = tuple(dict.fromkeys(scope.split()))
        if parts and all(map(_WORD.fullmatch, parts)):
            return " ".join(parts)
    raise ConfigurationError("a scope has to be words with spaces between them, such as 'read write', or None")


def asked(text: str) -> str:
    """Return a scope that a client sent, each word once.

    Raises:
        ScopeRejected: it is not a scope.
    """
    try:
        return checked(text) or ""
    except ConfigurationError:
        raise ScopeRejected("the requested scope is invalid: write words with spaces between them") from None


def covers(granted: str | None, wanted: str) -> bool:
    """Return whether every word of ``wanted`` is among those of ``granted``."""
    return set(words(wanted)) <= set(words(granted))


def within(*limits: str | None) -> str | None:
    """Return the words that all ``limits`` have in common, in the order of the first; None limits nothing."""
    known = [limit for limit in limits if limit is not None]
    if not known:
        return None
    common = set.intersection(*(set(words(limit)) for limit in known))
    return " ".join(word for word in words(known[0]) if word in common)
