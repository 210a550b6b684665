"""Events of a vault, and counters for Prometheus. Metrics contain no token, secret or name of a connection."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from daypass.client.events import call

logger = logging.getLogger("daypass.client")

METRIC = "daypass_vault_events_total"


class VaultEventKind(StrEnum):
    """What happened; the value is the word for logs and metrics."""

    PUT = "put"
    REFRESHED = "refreshed"
    KEEP_FAILED = "keep_failed"
    NEEDS_LOGIN = "needs_login"
    LOST_ANSWER = "lost_answer"
    REMOVED = "removed"
    NOT_REVOKED = "not_revoked"


@dataclass(frozen=True, slots=True)
class VaultEvent:
    """One event of a connection in this process; it never contains a token.

    Attributes:
        kind: what happened. ``REFRESHED``: by a worker or by ``keep``. ``KEEP_FAILED``: ``keep`` could not refresh it
            now, and tries again. ``NEEDS_LOGIN``: only a new login helps. ``LOST_ANSWER``: only a new login helps,
            because a response was lost and the provider accepts a refresh token only once. ``NOT_REVOKED``: it was
            removed, but its tokens may still be valid at the provider.
        provider: the provider of the service.
        name: the account there.
        reason: why, for all kinds except ``PUT``, ``REFRESHED`` and ``REMOVED``.
    """

    kind: VaultEventKind
    provider: str
    name: str
    reason: str | None = None


class VaultReporter:
    """Logs events, counts them by kind and provider, and calls the user's callback.

    Args:
        on_event: called with each `VaultEvent`; its exceptions are logged.
    """

    def __init__(self, on_event: Callable[[VaultEvent], object] | None) -> None:
        self._on_event = on_event
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def emit(self, kind: VaultEventKind, provider: str, name: str, reason: str | None = None) -> None:
        """Report that something happened."""
        level = _LEVELS.get(kind, logging.DEBUG)
        logger.log(level, "%s %s/%s%s", kind.value, provider, name, f": {reason}" if reason else "")
        with self._lock:
            self._counts[kind.value, provider] += 1
        if self._on_event is not None:
            call("on_event", self._on_event, VaultEvent(kind, provider, name, reason))

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How often each kind of event happened in this process, by kind and provider."""
        with self._lock:
            return dict(self._counts)


def exposition(counts: Mapping[tuple[str, str], int]) -> str:
    """Return counts in the text format of Prometheus."""
    lines = [
        f"# HELP {METRIC} What happened to the connections of the vault, by this process.",
        f"# TYPE {METRIC} counter",
    ]
    lines += [
        f'{METRIC}{{event="{event}",provider="{_escaped(provider)}"}} {count}'
        for (event, provider), count in sorted(counts.items())
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_LEVELS = {
    VaultEventKind.KEEP_FAILED: logging.WARNING,
    VaultEventKind.NEEDS_LOGIN: logging.WARNING,
    VaultEventKind.LOST_ANSWER: logging.WARNING,
    VaultEventKind.NOT_REVOKED: logging.WARNING,
}
