"""The flows of sessions, from login to logout, as generators of steps. No I/O, no clock, no randomness here.

The rotation rule itself is in `daypass.rotation`; this file acts on its verdicts.
"""

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import timedelta

from daypass import refresh_token, session_options
from daypass import scope as scopes
from daypass.access_token import AccessToken, Names, issue, lifetime
from daypass.clock_check import require_right_clock
from daypass.duration import SECOND, Duration, milliseconds
from daypass.errors import (
    ConfigurationError,
    CredentialsRejected,
    DeviceProofMissing,
    ImpersonationRejected,
    KeyUnknown,
    ProofRejected,
    ScopeRejected,
    SessionLimitReached,
    SessionRevoked,
    StoreContended,
    TokenExpired,
    TokenMalformed,
    TokenRejected,
    TokenReused,
    TokenStale,
    TokenUnknown,
)
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.keys import KeyRing
from daypass.old_tokens import Migration
from daypass.policy import Policy
from daypass.proof import Proof, thumbprint_of
from daypass.refresh_token import BRANCH_SIZE, SECRET_SIZE, RefreshToken
from daypass.rotation import (
    ISSUING,
    NEVER_ROTATED,
    Relation,
    Verdict,
    expectation,
    is_current,
    is_proven,
    judge,
    position_after,
    relate,
)
from daypass.session import BEARER, DPOP, NOWHERE, Confirmed, Device, EndReason, Session, Tokens
from daypass.session_extras import KeyUse, read_extras
from daypass.session_options import SessionOptions
from daypass.steps import Authenticate, Emit, Keys, LoadUser, Pause, RefuseEveryone, RefuseSession, Verify
from daypass.store_steps import (
    PAGE,
    UNLIMITED,
    Admit,
    Admitted,
    Advance,
    Amend,
    Bind,
    End,
    EndAll,
    EndEveryone,
    Find,
    Insert,
    ListSessions,
    Swap,
    next_expiry,
)
from daypass.suspicion import Suspicions
from daypass.user import Account, User
from daypass.value import value

ENTROPY = SECRET_SIZE + BRANCH_SIZE + 16
"""The random bytes that one call may need: a session's secret and first branch, and a token's identifier."""

IMPERSONATION_TTL = 3600
"""How many seconds an impersonation session lasts at most."""

MAXIMUM_REASON = 200
"""Characters of the reason for that."""

_ACTING = "\0act"
"""What the refresh token of such a session is bound to besides its client: versions before 0.2 would issue its access
tokens without the claim ``act``, so to them it is no token."""

SESSION_ID_LENGTH = 32
"""Hexadecimal digits."""

_ATTEMPTS = 8


@value(frozen=True, slots=True)
class Call:
    """The time and the randomness of one call.

    Attributes:
        now: milliseconds since the epoch.
        entropy: `ENTROPY` random bytes, used once.
    """

    now: int
    entropy: bytes = field(repr=False)

    @property
    def secret(self) -> bytes:
        """Return the bytes for the secret of a new session."""
        return self.entropy[:SECRET_SIZE]

    @property
    def branch(self) -> bytes:
        """Return the bytes for the first branch of a new session."""
        return self.entropy[SECRET_SIZE : SECRET_SIZE + BRANCH_SIZE]

    @property
    def jti(self) -> str:
        """Return the bytes for the identifier of an access token."""
        return self.entropy[SECRET_SIZE + BRANCH_SIZE :].hex()


@value(frozen=True, slots=True)
class SessionLimit:
    """How many sessions a user may have.

    Attributes:
        maximum: how many live sessions at a time; None sets no limit.
        evicts: whether a login above the limit ends the oldest session; otherwise the login is refused.
        notices_devices: whether a login from a new device emits an event.
    """

    maximum: int | None
    evicts: bool
    notices_devices: bool


class Flows:
    """The flows of one issuer.

    Args:
        names: the issuer, its audience and its own client.
        policy: the lifetimes.
        limit: how many sessions a user may have.
        migration: the old tokens that are accepted.

    Attributes:
        with_accounts: whether the users are the store's accounts: a refresh then reads them in the same round trip.
    """

    def __init__(self, names: Names, policy: Policy, limit: SessionLimit, migration: Migration) -> None:
        self.names = names
        self.policy = policy
        self.limit = limit
        self.migration = migration
        self.with_accounts = False
        self._suspicions = Suspicions()

    # ---- login

    def login(
        self, credentials: Authenticate, device: Device, call: Call, options: SessionOptions | None = None
    ) -> Flow[Tokens]:
        """Start a session for the user with these credentials.

        Raises:
            ConfigurationError: an option of the session cannot work; nothing was started.
            CredentialsRejected: they are wrong, or the user may not log in; nothing was started.
        """
        user = yield from credentials
        if user is None or user.disabled:
            yield from Emit(Event(EventCode.LOGIN_FAILED, call.now, address=device.address))
            raise CredentialsRejected("the user name or the password is wrong")
        return (yield from self.start(user, device, call, options=options))

    def start(
        self,
        user: User,
        device: Device,
        call: Call,
        client_id: str | None = None,
        scope: str | None = None,
        options: SessionOptions | None = None,
    ) -> Flow[Tokens]:
        """Start a session for a user whom the application has authenticated.

        Raises:
            ConfigurationError: it is not a `User`, or has no scope, or an option cannot work; nothing was started.
            CredentialsRejected: the user is disabled; nothing was started.
        """
        if type(user) is not User:
            raise ConfigurationError(f"start needs a daypass.User, not a {type(user).__name__}")
        _check_device(device)
        if user.disabled:
            raise CredentialsRejected("the user is disabled")
        client_id = client_id or self.names.client_id
        session = Session(
            id=refresh_token.session_id(call.secret),
            subject=user.subject,
            client_id=client_id,
            generation=0,
            branch=call.branch,
            rotated_at=NEVER_ROTATED,
            created_at=call.now,
            expires_at=call.now + self.policy.idle_ttl,
            device=device,
            scope=scopes.checked(scope),
        )
        if options:
            session = session_options.apply(session, options, self.policy, user)
        bound = self._bound(client_id) + (_ACTING if "act" in session.claims else "")
        first = refresh_token.successor(call.secret, session, bound)
        bound_to = session.key_thumbprint
        tokens = yield from self._tokens(
            session, user, first, call, key_thumbprint=bound_to
        )  # this may fail, so nothing is stored before
        yield from self._admit(session, call.now)
        return tokens

    def _admit(self, session: Session, now: int) -> Flow[None]:
        """Store a new session, within the limit if there is one, and emit the event."""
        limit = self.limit
        device = session.device.fingerprint(session.subject) if limit.notices_devices else b""
        if (limit.maximum is None and not device) or session.actor is not None:
            yield from Insert(session)
            admitted = Admitted(inserted=True)
        else:
            admitted = yield from Admit(session, limit.maximum or UNLIMITED, limit.evicts, device)
        if not admitted.known_device:
            agent = session.device.name or session.device.user_agent
            address = session.device.address
            yield from Emit(Event(EventCode.NEW_DEVICE, now, session.id, session.subject, agent, address=address))
        if not admitted.inserted:
            yield from Emit(Event(EventCode.LOGIN_FAILED, now, None, session.subject, SessionLimitReached.code))
            raise SessionLimitReached("the user has as many sessions as they may have")
        yield from Emit(Event(EventCode.STARTED, now, session.id, session.subject, address=session.device.address))
        for session_id in admitted.surplus:
            yield from self._end(session_id, EndReason.ENDED, now, session.subject)

    def impersonate(
        self,
        access_token: str,
        user: User,
        device: Device,
        call: Call,
        reason: str,
        absolute_ttl: Duration = IMPERSONATION_TTL,
        scope: str | None = None,
    ) -> Flow[Tokens]:
        """Start a session in which the user of an access token acts as another one.

        Raises:
            ConfigurationError: an argument is invalid; nothing was started.
            TokenRejected: the access token was refused, or its session has ended; nothing was started.
            ImpersonationRejected: the access token may not do this; nothing was started.
            CredentialsRejected: the user is disabled; nothing was started.
            StoreError: nothing was started.
        """
        if type(reason) is not str or not reason.strip() or len(reason) > MAXIMUM_REASON:
            raise ConfigurationError(f"reason has to be text of 1 to {MAXIMUM_REASON} characters: why is this needed?")
        span = milliseconds(absolute_ttl)
        if not SECOND <= span <= IMPERSONATION_TTL * SECOND:
            raise ConfigurationError("absolute_ttl of an impersonation has to be from one second to one hour")
        token = yield from Verify(access_token)
        if token.actor is not None:
            raise ImpersonationRejected("a session in which somebody acts as another user starts no further one")
        if token.client_id != self.names.client_id:
            raise ImpersonationRejected("an access token of another client may not act as another user")
        if type(user) is User and user.subject == token.subject:
            raise ImpersonationRejected("the user of the access token is the user to act as")
        own = yield from self.find_live(token.session_id, call)
        if own is None:
            yield from RefuseSession(token.session_id, call.now)
            raise SessionRevoked("the access token's session has ended")
        span = min(span, self.policy.latest_end_of(own) - call.now, self.policy.absolute_ttl)
        options = SessionOptions(
            persistent=False,
            absolute_ttl=timedelta(milliseconds=span),
            claims={"act": {"sub": token.subject, "sid": token.session_id}},
        )
        tokens = yield from self.start(user, device, call, scope=scope, options=options)
        session = tokens.session
        event = Event(EventCode.IMPERSONATED, call.now, session.id, session.subject, reason, actor=token.subject)
        yield from Emit(event)
        return tokens

    # ---- step-up

    def confirm(
        self,
        session_id: str,
        amr: Sequence[str],
        call: Call,
        acr: str | None = None,
        limit: str | None = None,
        key_thumbprint: str | None = None,
    ) -> Flow[Confirmed]:
        """Note that the user of a session was authenticated again, and return an access token that says so.

        Args:
            session_id: the session.
            amr: how (RFC 8176).
            call: the time and the randomness.
            acr: the authentication context class that was reached.
            limit: the widest scope that the access token may have, words with spaces between them; None sets no limit.
            key_thumbprint: of the key that the access token is bound to; by default the session's.

        Raises:
            ConfigurationError: an argument is invalid; nothing was changed.
            SessionRevoked: the session has ended, or its user is gone.
            ImpersonationRejected: somebody acts as the user in this session; nothing was changed.
            StoreError: nothing was decided; you can safely try again.
        """
        if type(session_id) is not str or len(session_id) != SESSION_ID_LENGTH:
            raise ConfigurationError("confirm needs the id of a session: token.session_id, or tokens.session.id")
        for _ in range(_ATTEMPTS):
            session = yield from self.find_live(session_id, call)
            if session is None:
                yield from RefuseSession(session_id, call.now)
                raise SessionRevoked("the session has ended")
            if session.actor is not None:
                raise ImpersonationRejected("only the user can confirm a login, not somebody who acts as the user")
            confirmed = session_options.confirmed(session, amr, acr, call.now)
            if (yield from Amend(session_id, session.extras, confirmed.extras)):
                return (yield from self._confirmed(confirmed, call, limit, key_thumbprint))
        raise StoreContended("others changed the session again and again")

    def confirm_by(self, credentials: Authenticate, token: AccessToken, call: Call) -> Flow[Confirmed]:
        """Confirm the login of an access token's user by their password.

        Raises:
            CredentialsRejected: they are wrong, or belong to another user; nothing was changed.
            SessionRevoked, ImpersonationRejected, StoreError: as for `confirm`.
        """
        user = yield from credentials
        if user is None or user.disabled or user.subject != token.subject:
            yield from Emit(Event(EventCode.LOGIN_FAILED, call.now, token.session_id, token.subject))
            raise CredentialsRejected("the user name or the password is wrong")
        bound = token.key_thumbprint
        return (yield from self.confirm(token.session_id, ("pwd",), call, limit=token.scope, key_thumbprint=bound))

    def _confirmed(
        self, session: Session, call: Call, limit: str | None, key_thumbprint: str | None
    ) -> Flow[Confirmed]:
        confirmed = yield from self.access(session, call, limit, key_thumbprint)
        yield from Emit(Event(EventCode.CONFIRMED, call.now, session.id, session.subject))
        return confirmed

    def access(
        self, session: Session, call: Call, limit: str | None = None, key_thumbprint: str | None = None
    ) -> Flow[Confirmed]:
        """Return an access token of a live session, without its refresh token; nothing is written.

        Args:
            session: the session, as just read.
            call: the time and the randomness.
            limit: the widest scope that the access token may have; None sets no limit.
            key_thumbprint: of the key that it is bound to; by default the session's.

        Raises:
            SessionRevoked: its user is gone or disabled.
        """
        user = yield from _user_of(session)
        if user is None or user.disabled:
            raise SessionRevoked("the user is gone or disabled")
        ring = yield from Keys()
        scope = scopes.within(limit, session.scope, user.scope)
        expires_in = lifetime(self.policy, session, call.now)
        key = ring.signing_key(call.now)
        bound = key_thumbprint or _dpop_thumbprint(session)
        access = issue(key, self.names, session, user, call.now, expires_in, call.jti, scope, bound)
        return Confirmed(access, expires_in, session, _token_type(bound))

    # ---- a key

    def bind(self, session_id: str, proof: Proof, call: Call) -> Flow[Session]:
        """Bind a live session to the key of a proof; a session already bound to this key stays as it is.

        Raises:
            SessionRevoked: the session has ended.
            ProofRejected: it is bound to another key; nothing was changed.
            StoreError: nothing was decided; you can safely try again.
        """
        for _ in range(_ATTEMPTS):
            session = yield from self.find_live(session_id, call)
            if session is None:
                raise SessionRevoked("the session has ended")
            if session.key_thumbprint is not None:
                if session.key_thumbprint == proof.thumbprint:
                    return session
                raise ProofRejected("the session is bound to another key")
            extras = replace(read_extras(session.extras), key=proof.key)
            if (yield from Bind(session_id, proof.thumbprint, session.extras, extras.text or "")):
                yield from Emit(Event(EventCode.BOUND, call.now, session.id, session.subject, proof.key.use))
                return replace(session, extras=extras.text, key_thumbprint=proof.thumbprint)
        raise StoreContended("others changed the session again and again")

    # ---- refresh

    def open(self, text: str, client_id: str | None = None) -> Flow[RefreshToken]:
        """Decode an authentic refresh token, however old; this does not read the store's sessions.

        A token of the library that the application used before starts its session, unless the session exists already.

        Args:
            text: as the client sent it.
            client_id: the client that presents it; the token must have been issued to it. None is the issuer's own
                client.

        Raises:
            TokenMalformed: it is not a refresh token of this issuer for this client.
            StoreError: the keys could not be read; nothing was decided.
        """
        if self.migration.may_be_old(text):
            return (yield from self.migration.open(text, client_id or self.names.client_id, self.names, self.policy))
        client = self._bound(client_id or self.names.client_id)
        ring = yield from Keys()
        try:
            return _decode(text, ring, client)
        except KeyUnknown:  # another node may have added it since
            ring = yield from Keys(anew=True)
            return _decode(text, ring, client)

    def refresh_text(
        self,
        text: str,
        call: Call,
        client_id: str | None = None,
        scope: str | None = None,
        device: Device | None = None,
        *,
        passive: bool,
        proof: Proof | None = None,
    ) -> Flow[Tokens]:
        """Open a refresh token and `refresh` with it; raises the errors of both."""
        if device is not None:
            _check_device(device)
        try:
            token = yield from self.open(text, client_id)
        except TokenMalformed as error:
            raise (yield from self.reject(error, call.now)) from None
        return (yield from self.refresh(token, call, scope, device=device, passive=passive, proof=proof))

    def refresh(
        self,
        token: RefreshToken,
        call: Call,
        scope: str | None = None,
        limit: str | None = None,
        device: Device | None = None,
        *,
        passive: bool,
        proof: Proof | None = None,
    ) -> Flow[Tokens]:
        """Give new tokens for a refresh token.

        Args:
            token: the refresh token, from `open`.
            call: the time and the randomness.
            scope: the scope of the access token, if narrower than was granted (RFC 6749 §6); the refresh token keeps
                its own scope.
            limit: the widest part of the granted scope that the access token may have; None sets no limit.
            device: where the request comes from, if known: shown in the list of devices, and used for ``suspected``.
            passive: whether a timer caused the refresh, not the user: then the session's idle time keeps running.
            proof: shows that the request has a key; a bound session needs a proof by its key. The access token is bound
                to the key of a DPoP proof.

        Raises:
            ScopeRejected: more was requested than was granted; nothing was changed.
            TokenUnknown, TokenExpired, SessionRevoked: its session has ended.
            TokenReused: it was used by two parties; the session is revoked.
            TokenStale: its holder has a newer one; nothing was changed.
            ProofRejected: its session is bound to a key that was not proven; nothing was changed.
            StoreError: nothing was decided; you can present the same token again.
        """
        if scope is not None:
            yield from self._require_granted(token.session_id, scope, limit)
        proven = None if proof is None else proof.thumbprint
        session, verdict, account = yield from self._present(token, call.now, device, passive=passive, proof=proven)
        if not is_proven(session, proven):  # a store that does not know the condition
            raise ProofRejected("the session is bound to a key")
        if verdict not in ISSUING:
            raise (yield from self.reject(TokenRejected(f"the verdict {verdict} gives no tokens"), call.now, session))
        if session.actor_session_id is not None:
            yield from self._require_actor(session, call)
        user = yield from _user_of(session, account)
        if user is None or user.disabled:
            yield from self._end(session.id, EndReason.USER_GONE, call.now)
            yield from RefuseSession(session.id, call.now)  # another node may have ended it
            raise (yield from self.reject(SessionRevoked("the user is gone or disabled"), call.now, session))
        successor = refresh_token.successor(token.secret, session, token.client_id)
        bound = proof.thumbprint if proof is not None and proof.key.use is KeyUse.DPOP else None
        if verdict is Verdict.HOLD:
            replaces = is_current(token, successor)
            return (yield from self._tokens(session, user, token, call, scope, limit, bound, replaces=replaces))
        return (yield from self._tokens(session, user, successor, call, scope, limit, bound))

    def _require_actor(self, session: Session, call: Call) -> Flow[None]:
        """End a session in which somebody acts as its user, if that person's own session has ended."""
        if not (yield from self._actor_is_live(session, call)):
            yield from self._end(session.id, EndReason.ENDED, call.now)
            yield from RefuseSession(session.id, call.now)
            raise (yield from self.reject(SessionRevoked("the actor's own session has ended"), call.now, session))

    def _actor_is_live(self, session: Session, call: Call) -> Flow[bool]:
        actor = session.actor_session_id
        return actor is None or (yield from self.find_live(actor, call)) is not None

    def _require_granted(self, session_id: str, scope: str, limit: str | None) -> Flow[None]:
        """Refuse a scope wider than ``limit``, than the login granted (which never changes), or than the user's."""
        if limit is not None and not scopes.covers(limit, scope):
            raise ScopeRejected("more is asked for than this client may be granted")
        session = yield from Find(session_id)
        if session is None:
            return
        granted = session.scope
        if granted is None:
            user = yield from _user_of(session)
            granted = None if user is None else user.scope
        if not scopes.covers(granted, scope):
            raise ScopeRejected("more is asked for than was granted")

    def _present(
        self, token: RefreshToken, now: int, device: Device | None, *, passive: bool, proof: str | None
    ) -> Flow[tuple[Session, Verdict, Account | None]]:
        """Act on the verdict on ``token``; if it issues tokens, return the session as it then is, and what was read of
        its user's account.
        """
        policy = self.policy
        advance = Advance(
            session_id=token.session_id,
            expected=expectation(token, now, policy.grace_period, proof),
            generation=token.generation,
            branch=token.branch,
            now=now,
            idle_ttl=policy.idle_ttl,
            absolute_ttl=policy.absolute_ttl,
            passive=passive,
            device=device or NOWHERE,
            with_account=self.with_accounts,
        )
        for _ in range(_ATTEMPTS):
            answer = yield from advance
            found = answer.session
            if found is None:
                raise (yield from self.reject(TokenUnknown("the session is not known"), now))
            if answer.moved:
                yield from self._tell(Verdict.ROTATE, found, 1, answer.rotated_at, now, device)
                return found, Verdict.ROTATE, answer.account
            yield from self._require_live(found, now)
            verdict = judge(found, token, now, policy.grace_period, proof)
            settled = yield from self._settle(found, token, verdict, now, device, passive=passive)
            if settled is not None:
                return settled, verdict, answer.account
        raise StoreContended("others changed the session again and again")

    def _settle(
        self, found: Session, token: RefreshToken, verdict: Verdict, now: int, device: Device | None, *, passive: bool
    ) -> Flow[Session | None]:
        """Write what ``verdict`` changes; return None if another caller changed the session since it was read."""
        if verdict is Verdict.ROTATE:  # what was found is what another node has just replaced: ask again
            return None
        if verdict is Verdict.REUSE and relate(found, token) is not Relation.LONG_PAST:  # it became reuse only by time
            yield from require_right_clock(now)
        settled = self._after(found, token, verdict, now, device or NOWHERE, passive=passive)
        if settled != found and not (yield from Swap(found, settled)):
            return None
        if settled.ended_at is not None:
            yield from RefuseSession(settled.id, now)
        distance = token.generation - found.generation
        yield from self._tell(verdict, found, distance, found.rotated_at, now, device)
        if verdict is Verdict.UNPROVEN:
            if found.device_bound:
                raise DeviceProofMissing(found.id)
            raise ProofRejected("the session is bound to a key, and the request does not prove that it has it")
        if verdict is Verdict.STALE:
            raise TokenStale("a newer refresh token was given out; nothing was changed")
        if verdict is Verdict.REUSE:
            raise TokenReused("the refresh token was used by two parties; the session is revoked")
        return settled

    def _tell(
        self, verdict: Verdict, session: Session, distance: int, rotated_at: int, now: int, device: Device | None
    ) -> Flow[None]:
        """Emit the event of a verdict, and one more if it makes the session suspicious."""
        age = None if rotated_at == NEVER_ROTATED else now - rotated_at
        code = EventCode(verdict)
        yield from Emit(Event(code, now, session.id, session.subject, generation_distance=distance, age=age))
        reason = self._suspicions.note(verdict, session.id, session.generation, age, device)
        if reason is not None:
            yield from Emit(Event(EventCode.SUSPECTED, now, session.id, session.subject, reason))

    def _after(
        self, found: Session, token: RefreshToken, verdict: Verdict, now: int, device: Device, *, passive: bool
    ) -> Session:
        """Return the session as it is after ``verdict``."""
        if verdict is Verdict.REUSE:
            return replace(found, ended_at=now, end_reason=EndReason.REUSE)
        if verdict in (Verdict.STALE, Verdict.UNPROVEN):
            return found
        times = self.policy.idle_ttl, self.policy.absolute_ttl
        expires_at = next_expiry(found, now, *times, passive=passive)
        if verdict not in (Verdict.BRANCH, Verdict.HEAL):  # the last rotation may have been passive, and this is not
            behind = not passive and found.expires_at < next_expiry(found, found.last_used_at, *times)
            return replace(found, expires_at=expires_at) if behind else found
        generation, branch, rotated_at = position_after(found, token, verdict, now)
        settled = replace(found, generation=generation, branch=branch, rotated_at=rotated_at, expires_at=expires_at)
        return settled.used_from(device) if verdict is Verdict.HEAL else settled

    def examine(self, token: RefreshToken, call: Call) -> Flow[tuple[Session, User] | None]:
        """Return the session of a refresh token that would get new tokens now, and its user; None for any other token.

        The token is judged as by `refresh`, but not used: nothing is written, and there is no event.

        Raises:
            StoreError: the store could not be read.
        """
        session = yield from self.find_live(token.session_id, call)
        if session is None:
            return None
        verdict = judge(session, token, call.now, self.policy.grace_period, session.key_thumbprint)
        if verdict not in ISSUING:
            return None
        user = yield from _user_of(session)
        return None if user is None or user.disabled else (session, user)

    def find_live(self, session_id: str, call: Call) -> Flow[Session | None]:
        """Return the session as the store has it now, if it has neither ended nor expired.

        Raises:
            StoreError: the store could not be asked.
        """
        session = yield from Find(session_id)
        if session is None or session.ended_at is not None:
            return None
        if call.now >= self.policy.end_of(session):
            yield from require_right_clock(call.now)
            return None
        return session

    # ---- logout

    def logout_text(
        self,
        text: str,
        call: Call,
        client_id: str | None = None,
        proof: Proof | None = None,
        shown: AccessToken | None = None,
    ) -> Flow[bool]:
        """Open a refresh token and `logout` with it; an invalid refresh token ends nothing."""
        try:
            token = yield from self.open(text, client_id)
        except TokenMalformed:
            return False
        return (yield from self.logout(token, call, proof, shown))

    def logout(
        self, token: RefreshToken, call: Call, proof: Proof | None = None, shown: AccessToken | None = None
    ) -> Flow[bool]:
        """End the session of a refresh token from `open`, however old; return whether it was live.

        A bound session ends only with a proof by its key: someone who copied its token cannot log its owner out. An
        access token of the session that was ``shown`` too is enough: it could end the session anyway.
        """
        thumbprint = thumbprint_of(proof)
        needs_proof = shown is None or shown.session_id != token.session_id
        step = End(token.session_id, call.now, EndReason.LOGOUT, needs_proof=needs_proof, proof=thumbprint)
        ended = yield from step
        if ended is not None:
            return (yield from self._ended(ended, step))
        session = yield from Find(token.session_id)
        if session is not None:
            yield from self._check_proof(session, thumbprint, call)
        return False

    def _check_proof(self, session: Session, proof: str | None, call: Call) -> Flow[bool]:
        """Return whether the session is bound to no key, or to that of the proof; emit an event if it is not."""
        proven = is_proven(session, proof)
        if not proven:
            yield from Emit(Event(EventCode.PROOF_REFUSED, call.now, session.id, session.subject))
        return proven

    def logout_everywhere(
        self, token: RefreshToken, call: Call, proof: Proof | None = None, shown: AccessToken | None = None
    ) -> Flow[bool]:
        """End all sessions of a refresh token's user; if its own session is not live, end nothing and return False.

        Its own session ends last: if the store fails before that, you can send the same token again.
        """
        session = yield from self.find_live(token.session_id, call)
        if session is None:
            return False
        is_shown = shown is not None and shown.session_id == session.id
        if not is_shown and not (yield from self._check_proof(session, thumbprint_of(proof), call)):
            return False
        yield from self.end_all(session.subject, session.id, call)
        yield from self.logout(token, call, proof, shown)
        return True

    def end_session(self, subject: str, session_id: str, call: Call, actor: str | None = None) -> Flow[bool]:
        """End one of a user's sessions; return False if that user has no such live session.

        Args:
            subject: the user.
            session_id: the session.
            call: the time.
            actor: the subject of the operator who ends it, for the event.
        """
        return (yield from self._end(session_id, EndReason.ENDED, call.now, subject, actor))

    def log_out_session(self, session_id: str, call: Call) -> Flow[bool]:
        """End a session whose user has logged out elsewhere; return whether it was live."""
        return (yield from self._end(session_id, EndReason.LOGOUT, call.now))

    def end_all(self, subject: str, keep: str | None, call: Call, actor: str | None = None) -> Flow[int]:
        """End all of a user's sessions except ``keep``, in batches; return how many were ended.

        Args:
            subject: the user.
            keep: the id of the session that stays, if any.
            call: the time.
            actor: the subject of the operator who ends them, for the events.

        Raises:
            ConfigurationError: the subject is not text; nothing was ended.
            StoreError: some may have been ended; each of those has emitted its event. Call it again to end the rest.
        """
        _check_subject(subject)
        batch, count = EndAll(subject, call.now, EndReason.ENDED, keep), 0
        while True:
            ended = yield from batch
            for session_id in ended:
                yield from RefuseSession(session_id, call.now)
                yield from Emit(Event(EventCode.ENDED, call.now, session_id, subject, EndReason.ENDED, actor=actor))
            count += len(ended)
            if len(ended) < batch.limit:
                return count

    def end_everyone(self, call: Call) -> Flow[None]:
        """End every session of every user that began until the end of this second; return when the second has passed.

        Access tokens state in whole seconds when their session began, so verifiers know it only to the second. The
        second is taken from this machine's clock or the store's, whichever is later. A store never accepts an earlier
        time again, so a time far ahead would end every login until then.

        Raises:
            StoreUnavailable: this machine's clock is wrong; nothing was ended.
            StoreError: nothing was decided; you can safely try again.
        """
        now = yield from require_right_clock(call.now)
        at = now // SECOND * SECOND + SECOND - 1
        yield from EndEveryone(at)
        yield from RefuseEveryone(at)
        yield from Emit(Event(EventCode.ENDED_EVERYONE, call.now, reason=EndReason.EVERYONE))
        yield from Pause(at + 1 - now)

    def sessions(
        self, subject: str, call: Call, limit: int = PAGE, after: tuple[int, str] | None = None
    ) -> Flow[tuple[Session, ...]]:
        """List up to ``limit`` of a user's live sessions, the newest login first.

        Args:
            subject: the user.
            call: the time.
            limit: sessions to return at most.
            after: ``(created_at, id)`` of the last session of the page before.

        Raises:
            ConfigurationError: the subject is not text.
        """
        _check_subject(subject)
        found: list[Session] = []
        while True:
            wanted = limit - len(found)
            page = yield from ListSessions(subject, call.now, wanted, after)
            for session in page:
                if (yield from self._actor_is_live(session, call)):
                    found.append(session)  # noqa: PERF401 - a comprehension cannot yield
            if len(page) < wanted or len(found) == limit:
                return tuple(found)
            after = page[-1].created_at, page[-1].id

    # ---- parts of the above

    def _tokens(
        self,
        session: Session,
        user: User,
        token: RefreshToken,
        call: Call,
        scope: str | None = None,
        limit: str | None = None,
        key_thumbprint: str | None = None,
        *,
        replaces: bool = True,
    ) -> Flow[Tokens]:
        ring = yield from Keys()
        scope = scopes.within(scope, session.scope, user.scope)
        if scope is not None:  # a limit only narrows the scope
            scope = scopes.within(scope, limit)
        expires_in = lifetime(self.policy, session, call.now)
        key = ring.signing_key(call.now)
        access = issue(key, self.names, session, user, call.now, expires_in, call.jti, scope, key_thumbprint)
        text = refresh_token.encode(token, ring.refresh_key(call.now))
        return Tokens(access, text, expires_in, session, user, replaces, scope, _token_type(key_thumbprint))

    def _bound(self, client_id: str) -> str:
        """Return the client that a refresh token is bound to; None for the issuer's own."""
        return "" if client_id == self.names.client_id else client_id

    def _require_live(self, session: Session, now: int) -> Flow[None]:
        if session.ended_at is not None:
            yield from RefuseSession(session.id, now)
        if session.end_reason is EndReason.REUSE:
            raise (yield from self.reject(TokenReused("the session was revoked for reuse"), now, session))
        if session.ended_at is not None:
            raise (yield from self.reject(SessionRevoked("the session has ended"), now, session))
        if now >= self.policy.end_of(session):
            yield from require_right_clock(now)
            raise (yield from self.reject(TokenExpired("the session has expired"), now, session))

    def reject(self, error: TokenRejected, now: int, session: Session | None = None) -> Flow[TokenRejected]:
        """Emit the event of a rejected refresh token; return the error for the caller to raise."""
        session_id, subject = (session.id, session.subject) if session else (None, None)
        yield from Emit(Event(EventCode.REJECTED, now, session_id, subject, error.code))
        return error

    def _end(
        self, session_id: str, reason: EndReason, now: int, subject: str | None = None, actor: str | None = None
    ) -> Flow[bool]:
        step = End(session_id, now, reason, subject)
        session = yield from step
        return False if session is None else (yield from self._ended(session, step, actor))

    def _ended(self, session: Session, step: End, actor: str | None = None) -> Flow[bool]:
        """Refuse a session that ``step`` has ended, and emit the event; return whether it was live."""
        if step.at >= session.expires_at:
            return False
        yield from RefuseSession(session.id, step.at)
        code = EventCode.LOGGED_OUT if step.reason is EndReason.LOGOUT else EventCode.ENDED
        yield from Emit(Event(code, step.at, session.id, session.subject, step.reason, actor=actor))
        return True


def _user_of(session: Session, account: Account | None = None) -> Flow[User | None]:
    """Return the session's user: the one that it keeps, otherwise as the application or ``account`` knows them now."""
    kept = session_options.kept_user(session)
    if kept is not None:
        return kept
    return account.user if account is not None else (yield from LoadUser(session.subject))


def _decode(text: str, ring: KeyRing, client: str) -> RefreshToken:
    """Decode a refresh token of ``client``, even if somebody acts as the user in its session."""
    try:
        return refresh_token.decode(text, ring.refresh_keys, client)
    except KeyUnknown:
        raise
    except TokenMalformed:
        return refresh_token.decode(text, ring.refresh_keys, client + _ACTING)


def bindings(client_id: str) -> tuple[str, ...]:
    """Return what a refresh token of a client's session may be bound to; for code that explains a token."""
    return "", client_id, _ACTING, client_id + _ACTING


def _dpop_thumbprint(session: Session) -> str | None:
    """Return the key thumbprint that a session's access tokens are bound to; None if DBSC binds a cookie."""
    key = session.bound_key
    return session.key_thumbprint if key is not None and key.use is KeyUse.DPOP else None


def _token_type(key_thumbprint: str | None) -> str:
    return BEARER if key_thumbprint is None else DPOP


def _check_device(device: object) -> None:
    if not isinstance(device, Device):
        raise ConfigurationError(f"device has to be a daypass.Device, not a {type(device).__name__}: Device('phone')")


def _check_subject(subject: object) -> None:
    """Refuse a user id that is not text: no session has it, so nothing would be found or ended."""
    if not isinstance(subject, str):
        raise ConfigurationError(f"a subject is text, not {type(subject).__name__}: write str(user.id)")
