"""The tokens that a client has for one session, and when they expire. Pure."""

from dataclasses import dataclass, field

from daypass.client.messages import Cookie, Grant
from daypass.client.timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a client holds of its session: frozen, so that one plain read sees all of it.

    Attributes:
        version: a count of every change, login and logout included; a token's version never comes back.
        authorization: the header's value, ready to be sent.
        received_at: when the access token came, in milliseconds on a monotonic clock.
        lifetime: milliseconds, or ``None`` where it is not known.
        refresh_token: sent in the body, or ``None`` where a cookie carries it.
        cookie: the cookie that carries the refresh token, or ``None``.
        ahead_at: when to refresh ahead of expiry, or ``None``; on the same clock.
        expires_at: when the access token is dead, or ``None``; on the same clock.
        record_id: of the record that a storage keeps of it, or ``None``.
    """

    version: int
    access_token: str = field(repr=False)
    authorization: str = field(repr=False)
    received_at: int
    lifetime: int | None
    refresh_token: str | None = field(repr=False)
    cookie: Cookie | None
    ahead_at: int | None
    expires_at: int | None
    record_id: str | None = None

    def expired(self, now: int) -> bool:
        """Tell whether the access token is dead by the clock; of unknown lifetime, it never is."""
        return self.expires_at is not None and now >= self.expires_at

    def due(self, now: int) -> bool:
        """Tell whether it is time to refresh ahead of expiry."""
        return self.ahead_at is not None and now >= self.ahead_at

    def fresh(self, now: int, timing: Timing) -> bool:
        """Tell whether the access token came only moments ago."""
        window = timing.fresh if self.lifetime is None else min(timing.fresh, self.lifetime // 10)
        return now - self.received_at < window


def tokens_from(
    grant: Grant, version: int, now: int, jitter: float, timing: Timing, previous: Tokens | None = None
) -> Tokens:
    """Return what the client holds after ``grant``.

    Args:
        grant: what login or refresh gave.
        version: above every version before it.
        now: when the grant came, in milliseconds on a monotonic clock.
        jitter: 0 to 1; spreads the refreshes of many clients over the first half of the time ahead of expiry.
        timing: the spans of time.
        previous: what was held before a refresh: its refresh token stays until the answer brings another, and so does
            its cookie (RFC 6749 §6). One that came in a body is not replaced by a cookie: that is some proxy's.
    """
    refresh_token, cookie = grant.refresh_token, grant.cookie
    if previous and not refresh_token:
        refresh_token, cookie = previous.refresh_token, cookie or previous.cookie
    young = None if grant.lifetime is None else int(grant.lifetime * (1 - timing.ahead * (1 - jitter / 2)))
    return Tokens(
        version=version,
        access_token=grant.access_token,
        authorization=f"Bearer {grant.access_token}",
        received_at=now,
        lifetime=grant.lifetime,
        refresh_token=refresh_token,
        # A client that got its token in the body has no use for the cookie that may have come along.
        cookie=None if refresh_token else cookie,
        ahead_at=None if young is None else now + young,
        expires_at=None if grant.lifetime is None else now + grant.lifetime,
    )
