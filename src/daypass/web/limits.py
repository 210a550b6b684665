"""Rate limits for logins and refreshes: by address, by account, by session.

No stranger can end or hinder a live session. An authentic refresh token is limited only by its own session, far above
what an honest client needs; only rejected tokens count against an address. Someone who guesses an account's password
can use up its logins from elsewhere, but not from where its owner has logged in before.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from weakref import WeakKeyDictionary

from daypass.dpop import DPoP
from daypass.duration import DAY, SECOND
from daypass.errors import ConfigurationError, ProofRejected, TokenMalformed, TokenRejected, TokenStale
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.proof import Proof, thumbprint_of
from daypass.session import Tokens
from daypass.steps import Count, Emit
from daypass.user import fold_name
from daypass.web.message import BadRequest, Request, device_of
from daypass.web.proofs import read_proof, use_proof
from daypass.web.proxies import parse_address
from daypass.web.rate_counters import MEMORY, Counter, MemoryCounter, Rate, open_counter

__all__ = [
    "Limiter",
    "RateLimits",
]

PASSIVE = "x-daypass-passive"
"""The header of a refresh that no user has caused: the session's idle time keeps running."""

_ONCE_A_MONTH = Rate(1, 30 * DAY)
"""Used up where an account has logged in within thirty days."""

_REJECTED = "rejected_refresh_per_address"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits, each a rate such as ``30/minute``, or None for no limit.

    Args:
        storage: where requests are counted: ``memory:``, in each process by itself; or, for all nodes together, a
            storage of the ``limits`` library, such as ``redis://db.example.com``.
        login_per_address: failed logins from one address; for IPv6 from one /64.
        login_per_account: failed logins with one name or email address. From where the account has logged in within
            thirty days they are counted apart.
        refresh_per_session: refreshes by authentic refresh tokens of one session; counted in each process by itself.
        rejected_refresh_per_address: refreshes from one address whose token is rejected or not one of ours, and OAuth
            clients that fail to authenticate.

    Raises:
        ConfigurationError: a rate cannot be read; the message names it.
    """

    storage: str = MEMORY
    login_per_address: str | None = "30/minute"
    login_per_account: str | None = "10/minute"
    refresh_per_session: str | None = "300/minute"
    rejected_refresh_per_address: str | None = "60/minute"

    def __post_init__(self) -> None:
        for name, text in self.rates().items():
            try:
                _rate(text)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}: {error}") from None

    def rates(self) -> dict[str, str | None]:
        """Return the rates, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "storage"}


class TooMany(BadRequest):
    """A limit is reached: its ``response`` is 429 with ``Retry-After`` (RFC 6585 §4).

    Attributes:
        limit: the name of the limit.
        wait: seconds to wait.
    """

    def __init__(self, limit: str, wait: int) -> None:
        super().__init__(429, "too_many_requests", "Too many requests; try again later")
        self.limit, self.wait = limit, wait
        self.response = self.response.with_headers(self.retry_after)

    @property
    def retry_after(self) -> tuple[str, str]:
        """The header that says when to try again."""
        return "retry-after", str(self.wait)

    @property
    def by_address(self) -> bool:
        """Whether the limit is that of an address, for tokens that are not ours."""
        return self.limit == _REJECTED


class Limiter:
    """Counts requests, and raises `TooMany` when a limit is reached.

    Everything that shares a limiter counts together, also within one process.

    Args:
        limits: the rates.

    Raises:
        ConfigurationError: the storage cannot be used.
        ImportError: the storage needs the ``limits`` library, and it is not installed.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._shared = open_counter(limits.storage)
        self._own = MemoryCounter()
        self._login_per_address = _rate(limits.login_per_address)
        self._login_per_account = _rate(limits.login_per_account)
        self._refresh_per_session = _rate(limits.refresh_per_session)
        self._rejected_per_address = _rate(limits.rejected_refresh_per_address)

    def login(self, request: Request, identifier: str, now: int) -> Flow[None]:
        """Count a login, before its password is checked; one that succeeds is taken back by `logged_in`.

        Raises:
            TooMany: the limit is reached; the password was not checked.
        """
        network = _network(request.address)
        if network is not None:
            wait = yield from _hit(self._shared, f"login:{network}", self._login_per_address, now)
            yield from _refuse(wait, "login_per_address", now)
        if self._login_per_account is not None:
            key = yield from self._account_key(request, identifier, now)
            wait = yield from _hit(self._shared, key, self._login_per_account, now)
            yield from _refuse(wait, "login_per_account", now)

    def logged_in(self, request: Request, identifier: str, now: int) -> Flow[None]:
        """Note a successful login: it uses up no limit, and strangers cannot use up its account's logins there."""
        yield from self.take_back(request, identifier, now)
        network = _network(request.address)
        if network is not None and self._login_per_account is not None:
            yield from _hit(self._shared, f"known:{_account(identifier)}:{network}", _ONCE_A_MONTH, now)

    def take_back(self, request: Request, identifier: str, now: int) -> Flow[None]:
        """Take back the count of `login`: the login succeeded, or its password was not checked."""
        network = _network(request.address)
        if network is not None and self._login_per_address is not None:
            yield from self._ask(self._shared.take_back, f"login:{network}", self._login_per_address, now)
        if self._login_per_account is not None:
            key = yield from self._account_key(request, identifier, now)
            yield from self._ask(self._shared.take_back, key, self._login_per_account, now)

    def _account_key(self, request: Request, identifier: str, now: int) -> Flow[str]:
        """Return the key that counts an account's logins: a separate one where it has logged in before."""
        account, network = _account(identifier), _network(request.address)
        if network is None or not (
            yield from self._ask(self._shared.look, f"known:{account}:{network}", _ONCE_A_MONTH, now)
        ):
            return f"account:{account}"
        return f"account:{account}:{network}"

    def _ask(self, ask: Callable[[str, Rate, int], int], key: str, rate: Rate, now: int) -> Flow[int]:
        return (yield from Count(ask, key, rate, now, self._shared.waits))

    def refresh(self, session_id: str, now: int) -> Flow[None]:
        """Count a refresh by an authentic refresh token, before the session is read.

        Raises:
            TooMany: the limit is reached; nothing was decided about any session.
        """
        wait = yield from _hit(self._own, session_id, self._refresh_per_session, now)
        yield from _refuse(wait, "refresh_per_session", now)

    def stranger(self, request: Request, now: int) -> Flow[None]:
        """Count a request against its address: it identifies neither a session nor a client.

        Raises:
            TooMany: the limit is reached.
        """
        yield from _refuse((yield from self._hit_rejected(request, now)), _REJECTED, now)

    def rejected(self, request: Request, now: int) -> Flow[None]:
        """Count an authentic refresh token that was rejected."""
        yield from self._hit_rejected(request, now)

    def _hit_rejected(self, request: Request, now: int) -> Flow[int]:
        network = _network(request.address)
        if network is None:
            return 0
        return (yield from _hit(self._shared, f"rejected:{network}", self._rejected_per_address, now))


_shared: WeakKeyDictionary[Any, dict[RateLimits, Limiter]] = WeakKeyDictionary()


def default_limits(*, knows_clients: bool) -> RateLimits:
    """Return the limits of an application that configured none.

    Args:
        knows_clients: whether requests have their client's address. If not, they may all have that of a proxy, and a
            stranger could use up everybody's logins; so logins are then limited by account alone.
    """
    return RateLimits() if knows_clients else RateLimits(login_per_address=None)


def shared_limiter(owner: object, limits: RateLimits | Limiter | None) -> Limiter | None:
    """Return the limiter for ``limits``; one owner's requests for equal limits share one.

    Raises:
        ConfigurationError: ``limits`` is something else, or its storage cannot be used.
        ImportError: the storage needs the ``limits`` library, and it is not installed.
    """
    if not isinstance(limits, RateLimits):
        if isinstance(limits, Limiter | None):
            return limits
        raise ConfigurationError(f"rate_limits={limits!r}: expected RateLimits(…), Limiter(…), or None for no limits")
    of_owner = _shared.setdefault(owner, {})
    if limits not in of_owner:
        of_owner[limits] = Limiter(limits)
    return of_owner[limits]


def limited_refresh(
    flows: Flows,
    limiter: Limiter | None,
    request: Request,
    text: str,
    call: Call,
    client_id: str | None = None,
    scope: str | None = None,
    limit: str | None = None,
    dpop: DPoP | None = None,
    proof: Proof | None = None,
) -> Flow[Tokens]:
    """Refresh within the limits, if any.

    Args:
        flows: the flows of the issuer.
        limiter: counts the refreshes; None sets no limits.
        request: the request with the refresh token.
        text: the refresh token.
        call: the time and the randomness.
        client_id: the client that presents it; None is the issuer's own.
        scope: the scope of the access token, if narrower than was granted.
        limit: the widest scope that the access token may have; None sets no limit.
        dpop: the requirements for the request's proof, if it has one; None if proofs are ignored.
        proof: another proof of the request, checked already.

    Raises:
        TooMany: the limit is reached; nothing was decided about any session.
        DaypassError: those of `daypass.flows.Flows.open` and `daypass.flows.Flows.refresh`.
    """
    try:
        token = yield from flows.open(text, client_id)
    except TokenMalformed as error:
        if flows.migration.may_be_old(text):  # the old cookie of a visitor who is not logged in: nothing to report
            raise
        if limiter is not None:
            yield from limiter.stranger(request, call.now)
        raise (yield from flows.reject(error, call.now)) from None
    unused = None if proof is not None else read_proof(dpop, request, call.now)
    if limiter is not None:  # a request without a proof does not count against the session
        known = proof if unused is None else unused.proof
        yield from limiter.refresh(token.session_id + (thumbprint_of(known) or ""), call.now)
    proof = proof or (yield from use_proof(dpop, unused, call.now))
    passive = request.headers.get(PASSIVE, "0") not in ("0", "false")
    try:
        return (
            yield from flows.refresh(token, call, scope, limit, device_of(request, None), passive=passive, proof=proof)
        )
    except TokenRejected as error:
        if limiter is not None and not isinstance(error, TokenStale | ProofRejected):
            yield from limiter.rejected(request, call.now)
        raise


def _hit(counter: Counter, key: str, rate: Rate | None, now: int) -> Flow[int]:
    return 0 if rate is None else (yield from Count(counter.hit, key, rate, now, counter.waits))


def _refuse(wait: int, limit: str, now: int) -> Flow[None]:
    if not wait:
        return
    yield from Emit(Event(EventCode.LIMITED, now, reason=limit))
    raise TooMany(limit, -(-wait // SECOND))


def _rate(text: str | None) -> Rate | None:
    return None if text is None else Rate.of(text)


def _network(address: str | None) -> str | None:
    """Return a key for an address: for IPv6 its /64, because one customer has at least that."""
    if not address:
        return None
    parsed = parse_address(address)
    if parsed is None:
        return hashlib.sha256(address.encode()).hexdigest()[:32]
    return str(parsed) if parsed.version == 4 else parsed.packed[:8].hex()


def _account(identifier: str) -> str:
    """Return a key for a name or email address; a hash, so that a storage holds no names."""
    return hashlib.sha256(fold_name(identifier).encode()).hexdigest()[:32]
