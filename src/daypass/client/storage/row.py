"""One connection's row in a database that many machines share, and all its changes. Pure.

- A *lease* is the turn to refresh. It lasts until a time by the database's own clock, and has a *fence*: a number that
  grows with each lease and each login. A write needs the newest fence, so a holder that was stuck and wakes up late
  cannot write.
- An *intent* says since when a refresh with the stored token may be in progress. It is written together with the lease,
  before the refresh is sent, and removed when the result is known. A process that finds an intent without a holder
  sends the same token again: the server may or may not have processed the first request.
- Every write gives the row a new *revision*, and only replaces a row with the expected revision: compare and write.

    row found                                 the turn
    no lease, no intent                       free
    no lease, intent                          free, in doubt: the holder reported a lost response
    lease not expired                         taken
    lease expired                             free, in doubt, after a time without any change (`Watch`)
"""

from dataclasses import dataclass, field, replace

from daypass.client.storage.base import LOST_ANSWER
from daypass.client.timing import silence_after
from daypass.errors import ConfigurationError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The row of one connection. Times are milliseconds since the epoch, by the database's clock.

    Attributes:
        revision: changes with each write.
        fence: grows with each lease and each login.
        sealed: the encrypted text; ``None`` before there are tokens.
        written_at: when the text was written.
        expires_at: when its access token expires; ``None`` if not known.
        used_at: when its refresh token was last used, or received at login.
        reason: why only a new login helps; ``None`` for a live connection.
        lease_until: when the lease expires; 0 if no refresh is in progress.
        lease: the duration of the lease, in milliseconds.
        intent_at: since when a refresh with this token may be in progress; ``None`` if none is.
        intent_by: the machine and process that wrote the intent.
        last_error: why the last refresh failed; ``None`` after one that succeeded.
        refreshes: how many refreshes have succeeded.
        repeats: how often the same token was sent again, because a response may have been lost.
        lost: how often that was refused.
    """

    revision: str
    fence: int
    sealed: str | None = field(default=None, repr=False)
    written_at: int = 0
    expires_at: int | None = None
    used_at: int = 0
    reason: str | None = None
    lease_until: int = 0
    lease: int = 0
    intent_at: int | None = None
    intent_by: str | None = None
    last_error: str | None = None
    refreshes: int = 0
    repeats: int = 0
    lost: int = 0

    @property
    def in_doubt(self) -> bool:
        """Whether the token may have been sent without a response."""
        return self.intent_at is not None


def check_format(form: int) -> None:
    """Refuse a row that this version of Daypass cannot read.

    Raises:
        ConfigurationError: it was written by a newer version of Daypass.
    """
    if form != FORMAT:
        raise ConfigurationError(f"the row is in format {form}, and this Daypass reads {FORMAT}: update Daypass here")


class Watch:
    """Decides when an expired lease may be taken over: after a time without any change, by this process's own clock.

    The database's clock alone is not enough: after a failover it is another clock, and after an outage the holder may
    be about to write its result.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = 0

    def is_free(self, row: Row | None, now: int, clock: int) -> bool:
        """Return whether the turn is free.

        Args:
            row: the row that was read.
            now: the time by the database's clock.
            clock: the time by this process's clock, in milliseconds.
        """
        if row is None or not row.lease_until or (row.lease_until <= now and row.intent_at is None):
            return True
        if row.lease_until > now:
            self._seen = None
            return False
        if self._seen != (row.fence, row.lease_until):
            self._seen, self._since = (row.fence, row.lease_until), clock
        return clock - self._since >= silence_after(row.lease)


def begun(row: Row | None, now: int, sealed: str, revision: str, *, lifetime: int | None) -> Row:
    """Return the row after a login: a refresh of the tokens before can no longer write."""
    before = row or Row(revision="", fence=now)
    return Row(
        revision=revision,
        fence=before.fence + 1,
        sealed=sealed,
        written_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        used_at=now,
        refreshes=before.refreshes,
        repeats=before.repeats,
        lost=before.lost,
    )


def taken(row: Row | None, now: int, lease: int, by: str, revision: str) -> Row:
    """Return the row with a lease of ``lease`` milliseconds; an intent of an earlier holder is kept."""
    before = row or Row(revision="", fence=now, used_at=now)
    return replace(
        before,
        revision=revision,
        fence=before.fence + 1,
        lease_until=now + lease,
        lease=lease,
        intent_at=now if before.intent_at is None else before.intent_at,
        intent_by=by,
        repeats=before.repeats + before.in_doubt,
    )


def renewed(row: Row, now: int, revision: str) -> Row:
    """Return the row with its lease renewed from now."""
    return replace(row, revision=revision, lease_until=now + row.lease)


def refreshed(row: Row, now: int, sealed: str, revision: str, *, lifetime: int | None) -> Row:
    """Return the row after a refresh that succeeded; the turn has ended."""
    return replace(
        _released(row, revision),
        sealed=sealed,
        written_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        used_at=now,
        last_error=None,
        refreshes=row.refreshes + 1,
    )


def ended(row: Row, now: int, sealed: str, revision: str, *, reason: str) -> Row:
    """Return the row of a connection that needs a new login."""
    return replace(
        _released(row, revision),
        sealed=sealed,
        written_at=now,
        expires_at=None,
        reason=reason,
        last_error=reason,
        lost=row.lost + (reason == LOST_ANSWER),
    )


def released(row: Row, revision: str, *, error: str | None, in_doubt: bool) -> Row:
    """Return the row after a turn without a result; it stays in doubt if a response may have been lost."""
    after = _released(row, revision)
    if in_doubt:
        after = replace(after, intent_at=row.intent_at, intent_by=row.intent_by)
    return after if error is None else replace(after, last_error=error)


def _released(row: Row, revision: str) -> Row:
    return replace(row, revision=revision, lease_until=0, lease=0, intent_at=None, intent_by=None)


def provider_of(key: str) -> str:
    """Return the provider in a row's key: the part before the first slash; empty without a slash."""
    provider, slash, _ = key.partition("/")
    return provider if slash else ""
