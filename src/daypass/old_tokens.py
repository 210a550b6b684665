"""Tokens of your previous library: each starts one Daypass session. No I/O, no clock here.

An old refresh token (or session cookie) becomes the refresh token of generation 0 of a Daypass session. The session's
secret and first branch are derived from the old token's identifier, under a key from the master secret. So two tabs,
two nodes and a repeated request find the same session, and one conditional write starts it: insert it if it does not
exist. From then on the rotation rule judges the old token like any other refresh token: within the grace period it gets
the same successor again, and once its successor was used it is *reuse*. ``docs/migrate/index.md``.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from daypass.access_token import AccessToken, Names
from daypass.clock_check import require_right_clock
from daypass.duration import SECOND
from daypass.errors import ConfigurationError, DaypassError, StoreUnavailable, TokenMalformed
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.policy import Policy
from daypass.read_only import read_only
from daypass.refresh_token import BRANCH_SIZE, PREFIX, SECRET_SIZE, RefreshToken, session_id
from daypass.session import Session
from daypass.session_extras import Extras
from daypass.steps import Ask, Emit, Now
from daypass.store_steps import Find, Insert, next_expiry

MIGRATED = "migrated"
"""The reason in the event ``started`` of a session that an old token has started."""

_NEVER = 253_402_300_799
"""The last second of the year 9999."""

_NO_PARENT = bytes(BRANCH_SIZE)


@dataclass(frozen=True, slots=True)
class OldToken:
    """The contents of an old token that was found valid.

    Attributes:
        id: identifies it: its ``jti``, or the whole token. Two tokens must not have the same id.
        subject: the user: the subject that `load_user` gets.
        issued_at: when it was issued, in seconds since the epoch.
        expires_at: when it is no longer accepted, in seconds since the epoch; None if it does not say.
        client_id: the OAuth client it was issued to; None for the application itself.
        scope: what it allows, words with spaces between them; None for everything that its user may do.
        persistent: False for a cookie that lasts until the browser closes.
        claims: of an old access token, for the application to read; not used in a refresh token.
    """

    id: str = field(repr=False)
    subject: str
    issued_at: float
    expires_at: float | None = None
    client_id: str | None = None
    scope: str | None = None
    persistent: bool = True
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OldTokens:
    """Reads the tokens of one older library; `daypass.migrate` has one for each library that it supports.

    Attributes:
        name: names the library. It is used to derive sessions: do not change it during a migration.
        read: returns the contents of an old refresh token or session cookie, None if it is invalid. It may be async for
            an `AsyncDaypass`. If it raises, the response is 503.
        read_access: the same for an old access token, which is then accepted until it expires; None if old access
            tokens are not accepted.
        cookies: names of the cookies that the old token may be in.
    """

    name: str
    read: Callable[[str], Any]
    read_access: Callable[[str], Any] | None = None
    cookies: tuple[str, ...] = ()


class Migration:
    """The old tokens that an issuer accepts.

    Args:
        libraries: the libraries whose tokens are accepted.
        key: derives sessions; the same on all nodes during the whole migration.

    Raises:
        ConfigurationError: one of ``libraries`` is something else.
    """

    def __init__(self, libraries: OldTokens | Sequence[OldTokens], key: bytes) -> None:
        self._libraries = (libraries,) if isinstance(libraries, OldTokens) else tuple(libraries)
        for each in self._libraries:
            if not isinstance(each, OldTokens):
                raise ConfigurationError(
                    f"invalid migrate {type(each).__name__}: write migrate=simplejwt(), or another of daypass.migrate"
                )
        self._key = key
        self.cookies = tuple(name for each in self._libraries for name in each.cookies)

    def may_be_old(self, text: object) -> bool:
        """Return whether a text could be an old token: a migration is on, and it is not a refresh token of ours."""
        return bool(self._libraries) and type(text) is str and not text.startswith(PREFIX)

    def open(self, text: str, client_id: str, names: Names, policy: Policy) -> Flow[RefreshToken]:
        """Return the refresh token for an old token; start its session unless it exists.

        Args:
            text: as the client sent it.
            client_id: the client that presents it.
            names: the issuer's own client.
            policy: the lifetimes.

        Raises:
            TokenMalformed: it is not a valid old token for this client, or was issued longer ago than a session may be
                idle.
            StoreError: it could not be read, or the session could not be started; nothing was decided.
        """
        now = yield from Now()
        name, old = yield from self._read(text)
        if (old.client_id or names.client_id) != client_id:
            raise TokenMalformed("an old token of another client")
        if now >= _end_of(old, policy):
            yield from require_right_clock(now)
            raise TokenMalformed("an old token that was issued longer ago than a session may be idle")
        seed = self._seed(name, old)
        secret, branch = seed[:SECRET_SIZE], seed[SECRET_SIZE:]
        bound = "" if client_id == names.client_id else client_id
        token = RefreshToken(secret, 0, branch, _NO_PARENT, bound)
        yield from _start(token, old, client_id, policy, now)
        return token

    def access(self, text: str, names: Names) -> Flow[AccessToken | None]:
        """Return the contents of an old access token; None if it is invalid.

        Raises:
            StoreUnavailable: it could not be read.
        """
        for each in self._libraries:
            if each.read_access is not None:
                old = yield from _asked(each.read_access, text)
                if old is not None:
                    return _access_token(old, session_id(self._seed(each.name, old)[:SECRET_SIZE]), names)
        return None

    def _read(self, text: str) -> Flow[tuple[str, OldToken]]:
        for each in self._libraries:
            old = yield from _asked(each.read, text)
            if old is not None:
                return each.name, old
        raise TokenMalformed("neither a refresh token nor a good old token")

    def _seed(self, name: str, old: OldToken) -> bytes:
        """Return the secret and the first branch of the session that an old token starts."""
        what = f"{len(name)} {name} {old.id}".encode(errors="surrogatepass")
        return hmac.digest(self._key, what, "sha256")[: SECRET_SIZE + BRANCH_SIZE]


def _start(token: RefreshToken, old: OldToken, client_id: str, policy: Policy, now: int) -> Flow[None]:
    """Start the session of an old token, as if the token had first been presented now; an existing session stays."""
    if (yield from Find(token.session_id)) is not None:
        return
    session = Session(
        id=token.session_id,
        subject=old.subject,
        client_id=client_id,
        generation=0,
        branch=token.branch,
        rotated_at=now,
        created_at=min(now, int(old.issued_at * SECOND)),
        expires_at=now,
        scope=old.scope,
        extras=Extras(persistent=old.persistent).text,
    )
    expires_at = next_expiry(session, now, policy.idle_ttl, policy.absolute_ttl)
    yield from Insert(replace(session, expires_at=expires_at))
    yield from Emit(Event(EventCode.STARTED, now, session.id, session.subject, MIGRATED))


def _end_of(old: OldToken, policy: Policy) -> int:
    """Return how long an old token is accepted.

    A session that has ended is remembered at least until then, so no old token starts a second one.
    """
    end = int(old.issued_at * SECOND) + policy.idle_ttl
    return end if old.expires_at is None else min(end, int(old.expires_at * SECOND))


def _asked(read: Callable[[str], Any], text: str) -> Flow[OldToken | None]:
    """Ask the application's old library.

    Raises:
        StoreUnavailable: it failed.
        ConfigurationError: it returned something else.
    """
    try:
        old = yield from Ask("the function that reads old tokens", read, text)
    except DaypassError:
        raise
    except Exception as error:
        raise StoreUnavailable(f"an old token could not be read: {type(error).__name__}") from error
    if old is not None and not isinstance(old, OldToken):
        raise ConfigurationError(f"the function that reads old tokens returned a {type(old).__name__}, not an OldToken")
    return old


def _access_token(old: OldToken, session: str, names: Names) -> AccessToken:
    issued_at = int(old.issued_at * SECOND)
    return AccessToken(
        subject=old.subject,
        session_id=session,
        client_id=old.client_id or names.client_id,
        issuer=names.issuer,
        audience=(names.audience,),
        id=session,
        issued_at=issued_at,
        expires_at=int((old.expires_at or _NEVER) * SECOND),
        auth_time=issued_at,
        username=None,
        email=None,
        scope=old.scope,
        session_started_at=issued_at,
        actor_session_id=None,
        _claims=read_only(dict(old.claims)),
    )
