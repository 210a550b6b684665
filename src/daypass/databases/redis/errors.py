"""Translates Redis errors, without secrets."""

import re
from collections.abc import Sequence
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the driver's own
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - the driver's own
    TryAgainError,
)
from redis.sentinel import MasterNotFoundError

from daypass.errors import StoreUnavailable

DRIVER = (RedisError, RedisClusterException, OSError)
"""Everything that the driver raises."""

_WORDS: dict[type[Exception], str] = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    MasterDownError: "MASTERDOWN",
    ClusterDownError: "CLUSTERDOWN",
    TryAgainError: "TRYAGAIN",
    BusyLoadingError: "LOADING",
    NoPermissionError: "NOPERM",
}
"""redis-py takes the word from the message where it has a class for it, but not from the error of a script."""

_REASONS = {
    "OOM": "it is full",
    "READONLY": "it is a replica and may not be written",
    "MISCONF": "it cannot save to its disk and takes no writes",
    "NOREPLICAS": "it has too few replicas to take writes",
    "MASTERDOWN": "it is a replica that has lost its master",
    "CLUSTERDOWN": "the cluster is down",
    "TRYAGAIN": "the cluster is moving the session",
    "LOADING": "it is loading its data",
    "BUSY": "it is busy with a script",
    "UNKILLABLE": "it is busy with a script",
    "NOAUTH": "it asks for a password",
    "WRONGPASS": "it refuses the user name or the password",
    "NOPERM": "its user may not do this (ACL)",
    "ACL failure in script": "its user may not run a command of a script (ACL)",
    "can't run this command": "its user may not run a command of a script (ACL)",
    "max number of clients": "it has too many clients",
    "CERTIFICATE_VERIFY_FAILED": "its TLS certificate is not trusted (ssl_ca_certs names the file of its authority)",
}
_COMMAND = re.compile(r"'([a-z|]+)' command")
_WORD = re.compile("|".join(rf"(?<![A-Za-z]){word}(?![A-Za-z])" for word in _REASONS))


def check(replies: Sequence[Any]) -> None:
    """Raise the first error among ``replies``, unless it only says that the server has forgotten a script."""
    for reply in replies:
        if isinstance(reply, Exception) and not isinstance(reply, NoScriptError):
            raise reply


def is_read_only(replies: Sequence[Any]) -> bool:
    """Return whether the master has become a replica; up to Redis 6.2 only the text of a script's error says so."""
    return any(isinstance(reply, ResponseError) and _word(reply) == "READONLY" for reply in replies)


def unavailable(shown: str, error: Exception) -> StoreUnavailable:
    """Return the error to raise instead of the driver's, whose text may hold what was sent."""
    return StoreUnavailable(f"the Redis server at {shown} cannot be used: {_reason(error)}")


def too_slow(shown: str, seconds: float) -> StoreUnavailable:
    """Return the error for a step that took too long."""
    return StoreUnavailable(f"the Redis server at {shown} did not answer within {seconds:g} s")


def silent(shown: str) -> StoreUnavailable:
    """Return the error for a subscription that did not receive its own announcement."""
    return StoreUnavailable(f"the Redis server at {shown} does not deliver what is published (Pub/Sub)")


def _reason(error: Exception) -> str:
    if isinstance(error, MasterNotFoundError):
        return "the sentinels know no master"
    word = _word(error)
    if word == "NOPERM" and (command := _COMMAND.search(str(error))):
        return f"its user may not run {command[1]!r} (ACL)"
    if word:
        return _REASONS[word]
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "it refuses the user name or the password"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, RedisClusterException):
        return "the cluster cannot be reached"
    if isinstance(error, ConnectionError | OSError):
        return "it cannot be reached, or the connection was lost"
    return f"it answered with {str(error).partition(' ')[0] or type(error).__name__}"


def _word(error: Exception) -> str:
    """Return Redis's name of the error, if it is a known one."""
    for kind, word in _WORDS.items():
        if isinstance(error, kind):
            return word
    found = _WORD.search(str(error))
    return found[0] if found else ""
