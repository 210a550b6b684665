"""The tokens that a client has for one session, and when they expire. Pure."""

from collections.abc import Mapping
from dataclasses import field, replace

from daypass.client.messages import Cookie, Grant
from daypass.client.timing import Timing
from daypass.value import value


@value(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of a session; replaced as a whole, so one plain read sees a consistent set.

    Attributes:
        login_id: the login that they come from; all refreshes keep it.
        version: counts every change, including login and logout; a version is never used twice.
        authorization: the header's value, ready to be sent.
        sent_at: when the request for the access token was sent, in milliseconds on a monotonic clock.
        lifetime: milliseconds from then, or ``None`` if not known.
        refresh_token: sent in the body, or ``None`` if a cookie carries it.
        cookie: the cookie that carries the refresh token, or ``None``.
        ahead_at: when to refresh before expiry, or ``None``; on the same clock.
        expires_at: when the access token expires, or ``None``; on the same clock.
        refreshed_at: when the access token was refreshed; ``None`` if it is from a login, `start` or a restart.
        grace: for how many milliseconds the server accepts the same refresh token again; 0 if it does not say.
        record_id: the id of their record in the storage, or ``None``.
        context: data from the login that the strategy needs to refresh them; all refreshes keep it.
        bound: whether the access token is sent with a DPoP proof.
        key: the private key of the proofs, as JSON; ``None`` without one. All refreshes keep it.
    """

    login_id: str
    version: int = 0
    access_token: str = field(repr=False)
    authorization: str = field(repr=False)
    sent_at: int
    lifetime: int | None
    refresh_token: str | None = field(repr=False)
    cookie: Cookie | None
    ahead_at: int | None
    expires_at: int | None
    refreshed_at: int | None = None
    grace: int = 0
    record_id: str | None = None
    context: Mapping[str, str] | None = field(default=None, repr=False)
    bound: bool = False
    key: str | None = field(default=None, repr=False)

    @property
    def proof_key(self) -> str | None:
        """The private key that proves the access token; ``None`` if it is sent without a proof."""
        return self.key if self.bound else None

    def expired(self, now: int) -> bool:
        """Return whether the access token has expired by the clock; with an unknown lifetime, it never has."""
        return self.expires_at is not None and now >= self.expires_at

    def due(self, now: int) -> bool:
        """Return whether it is time to refresh before expiry."""
        return self.ahead_at is not None and now >= self.ahead_at

    def fresh(self, now: int, timing: Timing) -> bool:
        """Return whether the access token was refreshed just now, and has not expired."""
        if self.refreshed_at is None or self.expired(now):
            return False
        window = timing.fresh if self.lifetime is None else min(timing.fresh, self.lifetime // 10)
        return now - self.refreshed_at < window


def tokens_from(grant: Grant, login_id: str, sent_at: int, jitter: float, timing: Timing) -> Tokens:
    """Return the tokens of a login.

    Args:
        grant: the grant of the login.
        login_id: a unique id for this login.
        sent_at: when the request was sent, in milliseconds on a monotonic clock.
        jitter: 0 to 1; spreads the refreshes of many clients over the first half of the time before expiry.
        timing: the client's durations.
    """
    young = None if grant.lifetime is None else int(grant.lifetime * (1 - timing.ahead * (1 - jitter / 2)))
    return Tokens(
        login_id=login_id,
        access_token=grant.access_token,
        authorization=f"{'DPoP' if grant.bound else 'Bearer'} {grant.access_token}",
        sent_at=sent_at,
        lifetime=grant.lifetime,
        refresh_token=grant.refresh_token,
        # A client that got its refresh token in the body does not need the cookie that may come with it.
        cookie=None if grant.refresh_token else grant.cookie,
        ahead_at=None if young is None else sent_at + young,
        expires_at=None if grant.lifetime is None else sent_at + grant.lifetime,
        grace=grant.grace,
        context=grant.context,
        bound=grant.bound,
        key=grant.key,
    )


def refreshed(previous: Tokens, grant: Grant, sent_at: int, now: int, jitter: float, timing: Timing) -> Tokens:
    """Return the tokens after a refresh.

    The refresh token or its cookie is kept until a response has a new one (RFC 6749 §6). A refresh token that came in
    a body is not replaced by a cookie: such a cookie is from a proxy.

    Args:
        previous: the tokens before.
        grant: the grant of the refresh.
        sent_at: when it was sent, in milliseconds on a monotonic clock.
        now: when its response came.
        jitter: 0 to 1.
        timing: the client's durations.
    """
    if not grant.refresh_token:
        cookie = None if previous.refresh_token else grant.cookie or previous.cookie
        grant = replace(grant, refresh_token=previous.refresh_token, cookie=cookie)
    tokens = tokens_from(grant, previous.login_id, sent_at, jitter, timing)
    return replace(tokens, refreshed_at=now, context=grant.context or previous.context, key=grant.key or previous.key)
