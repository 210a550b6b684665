"""One connection's row in a database that many machines share, and each way it changes. Pure.

- A *lease* is the turn to refresh: until a time by the database's own clock, with a *fence*, a number that grows with
  each lease and each login. Who writes has to have the newest fence. So a holder that was stuck, and wakes up late, can
  write nothing.
- An *intent* says since when a refresh with the kept token may be under way. It is written together with the lease,
  before anything is sent, and is taken back when it is known what became of the token. Who finds an intent without a
  holder presents the same token again: the server before may or may not have answered it.
- Every written row has a new *revision*, and replaces the row with one certain revision: compare and write.

    row found                                 the turn
    no lease, no intent                       free
    no lease, intent                          free, in doubt: an answer was lost, its holder said so
    lease that lasts                          taken
    lease that is over                        free in doubt, after a while without a sign of life (`Watch`)
"""

from dataclasses import dataclass, field, replace

from daypass.client.storage.base import LOST_ANSWER
from daypass.client.timing import silence_after
from daypass.errors import ConfigurationError

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a database keeps of one connection. Times are milliseconds since the epoch, by the database's clock.

    Attributes:
        revision: differs for each writing.
        fence: grows with each lease and each login.
        sealed: the text, sealed; ``None`` before there are tokens.
        written_at: when the text was written.
        expires_at: when its access token expires; ``None`` where that is not known.
        used_at: when its refresh token was last used, or given by a login.
        reason: why only a new login helps; ``None`` for a connection that goes on.
        lease_until: when the turn of its holder is over; 0 if nobody refreshes.
        lease: how long it was taken for, in milliseconds.
        intent_at: since when a refresh with this token may be under way; ``None`` if that is known not to be.
        intent_by: the machine and process that said so.
        last_error: why the last refresh failed; ``None`` after one that worked.
        refreshes: how many refreshes have worked.
        repeats: how often the same token was presented again, because an answer may have been lost.
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
        """Whether the token may have been presented without an answer."""
        return self.intent_at is not None


def check_format(form: int) -> None:
    """Refuse a row that this Daypass cannot read.

    Raises:
        ConfigurationError: a later Daypass has written it.
    """
    if form != FORMAT:
        raise ConfigurationError(f"the row is in format {form}, and this Daypass reads {FORMAT}: update Daypass here")


class Watch:
    """Decides when an expired lease may be taken over: after a time without any change, by this process's own clock.

    The database's clock alone is not trusted: after a failover it is another one, and after an outage the holder may be
    about to write what it got.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = 0

    def is_free(self, row: Row | None, now: int, clock: int) -> bool:
        """Return whether the turn is free.

        Args:
            row: that was found.
            now: the time by the database's clock.
            clock: the time by one's own, in milliseconds.
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
    """Return the row after a login: whatever is under way for the tokens before can write nothing any more."""
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
    """Return the row whose turn is taken for ``lease`` milliseconds; the intent is that of the first who had it."""
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
    """Return the row whose lease begins again now."""
    return replace(row, revision=revision, lease_until=now + row.lease)


def refreshed(row: Row, now: int, sealed: str, revision: str, *, lifetime: int | None) -> Row:
    """Return the row after a refresh that worked; the turn is over."""
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
    """Return the row after a turn that brought nothing; it stays in doubt if an answer may have been lost."""
    after = _released(row, revision)
    if in_doubt:
        after = replace(after, intent_at=row.intent_at, intent_by=row.intent_by)
    return after if error is None else replace(after, last_error=error)


def _released(row: Row, revision: str) -> Row:
    return replace(row, revision=revision, lease_until=0, lease=0, intent_at=None, intent_by=None)


def provider_of(key: str) -> str:
    """Return the provider in a row's key: what is before its first slash; empty without one."""
    provider, slash, _ = key.partition("/")
    return provider if slash else ""
