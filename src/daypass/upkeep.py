"""The background work of an issuer: it learns what other processes end, reads the keys, sweeps the store.

All of it is a flow, so a thread and a task run the same code (`daypass.background`). Checking an access token costs no
I/O, because the keys and the set of ended sessions are kept up to date here: within a second, whether the store
announces endings or has to be polled.
"""

import contextlib
import itertools
import threading
from dataclasses import replace

from daypass.access_token import Names
from daypass.audit import AuditTrail
from daypass.clock_check import APART_AT_MOST, difference_error, require_right_clock
from daypass.duration import HOUR, MINUTE, SECOND
from daypass.ending_log import EndingLog
from daypass.errors import ConfigurationError, DaypassError, StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.key_flows import KeyFlows
from daypass.keys import KeyRing, SigningKey
from daypass.policy import Policy
from daypass.shared_read import SharedRead
from daypass.steps import Emit, Listen, Now, Pause, StoreClock, Subscribe
from daypass.store_steps import ReadEndings, Sweep, Swept
from daypass.tally import Tally
from daypass.verifier import Verifier

POLL_EVERY = SECOND // 2
"""How often a store without working announcements is polled for endings."""

_LOOK_EVERY = 5 * SECOND
"""How often a store with announcements is polled anyway, in case one is lost."""

_SUBSCRIBE_EVERY = 5 * SECOND
_SUBSCRIBE_AT_LEAST_EVERY = 1 * MINUTE
"""Where it can be asked but never listened to, as behind a pooler, trying again becomes as rare as that."""

_READ_KEYS_EVERY = 1 * MINUTE
_READ_KEYS_APART = SECOND // 20
"""Between two reads for tokens with an unknown key: forged ones cost the store 20 small reads a second, no more."""

_LATE = 10 * SECOND
"""How late an ending may appear: clocks of nodes differ, and a commit takes time."""

_BEHIND = APART_AT_MOST + _LATE
"""How late it appears from a node whose clock is as far behind as allowed."""

_LOOK_BACK_EVERY = 10 * SECOND
"""How often the endings of such nodes are read."""

_LOOKED_AT = 1000
"""Sessions that the sweep looks at in a second."""

_REMOVED_AT_ONCE = 50
"""In SQLite refreshes wait while sessions are removed, so it is done in steps, each of about so many."""

_LONGEST_PAUSE = SECOND // 10
_RESTED = 3
"""How much longer the pause after such a step is than the step."""

_REST = 1 * HOUR
_OVER_SINCE = 1 * HOUR


class Upkeep:
    """What one issuer knows of the store, kept up to date.

    Args:
        names: the issuer and the audience an access token must have.
        policy: how long access tokens live, and sessions.
        keys: the flows of keys.
        node: a random name of this process.
        tally: the counters of this process.
        trail: the audit trail, None without one.

    Attributes:
        ring: the keys, None until they are read.
        verifier: checks access tokens by what this process knows.
        endings: the ended sessions that this process knows, for services that follow.
    """

    def __init__(
        self, names: Names, policy: Policy, keys: KeyFlows, node: str, tally: Tally, trail: AuditTrail | None = None
    ) -> None:
        self._tally = tally
        self.trail = trail
        self._policy = policy
        self._keys = keys
        self.ring: KeyRing | None = None
        self._shared_read = SharedRead(self.load, _READ_KEYS_APART)
        self._reads = itertools.count(1)
        self._read_last = 0
        self._adopting = threading.Lock()
        self.verifier = Verifier(names, self._find_key, leeway=policy.leeway, access_ttl=policy.access_ttl)
        self._keys_read_at = 0
        self._endings_read_at: int | None = None
        self._pruned_at = 0
        self._looked_back_at = 0
        self._sweep_due_at = 0
        self._sweeps_at_once = _REMOVED_AT_ONCE
        self._link: EventCode | None = None
        self._compared_at = 0
        self._clock_error: str | None = None
        self._alive_for = policy.access_ttl + policy.leeway
        self.endings = EndingLog(node)

    # ---- keys

    def load(self, now: int) -> Flow[KeyRing]:
        """Read the keys.

        Raises:
            ConfigurationError: a key is wrapped under a secret that was not given.
            StoreError: they could not be read; the keys read before stay.
        """
        number = next(self._reads)
        return self._adopt((yield from self._keys.load(now)), now, number)

    def rotate(self, now: int, *, at_once: bool) -> Flow[KeyRing]:
        """Add new keys; raises the errors of `load`."""
        number = next(self._reads)
        return self._adopt((yield from self._keys.rotate(now, at_once=at_once)), now, number)

    def known(self, now: int) -> KeyRing | None:
        """Return the keys if they need not be read, which is the usual case; otherwise None: call `keys`."""
        return self.ring if abs(now - self._keys_read_at) < 2 * _READ_KEYS_EVERY else None

    def keys(self, now: int) -> Flow[KeyRing]:
        """Return the keys; read them if they are old, which happens only without upkeep.

        Raises:
            ConfigurationError: a key is wrapped under a secret that was not given.
            StoreError: there are none yet, and they could not be read.
        """
        if self.ring is None:
            return (yield from self.keys_read_anew())
        if self.known(now) is None:
            self._keys_read_at = now  # one caller reads; the others use the old keys, as all do after a failure
            with contextlib.suppress(StoreError):
                yield from self.load(now)
        return self.ring

    def keys_read_anew(self) -> Flow[KeyRing]:
        """Return the keys of a read that begins after this call: it finds every key that a presented token can name.

        Many callers share one read, so tokens with invented key ids cause few reads.

        Raises:
            ConfigurationError: a key is wrapped under a secret that was not given.
            StoreError: they could not be read; whether such a key exists is not known.
        """
        return (yield from self._shared_read.result())

    def recover_from_fork(self, node: str) -> None:
        """Forget the reads of the parent's threads, after a fork; ``node`` is the name of the child."""
        self.endings = EndingLog(node)
        self._tally.reset()
        if self.trail is not None:
            self.trail.reset(node)
        self._shared_read.recover_from_fork()
        self._adopting = threading.Lock()

    def _adopt(self, ring: KeyRing, now: int, number: int) -> KeyRing:
        """Use the keys of a read from now on, unless a read that began later has finished already."""
        with self._adopting:
            if number < self._read_last:
                return ring
            gone = self.ring is not None and not self.ring.kids <= ring.kids
            self.ring, self._keys_read_at, self._read_last = ring, now, number
        if gone:
            self.verifier.forget()
        return ring

    def _find_key(self, kid: str) -> SigningKey | None:
        return None if self.ring is None else self.ring.find(kid)

    # ---- endings

    def refuse(self, session_id: str, ended_at: int) -> None:
        """Refuse the access tokens of a session that this process has ended, or has found ended."""
        self._learn(session_id, ended_at, ended_at)

    def _learn(self, session_id: str, now: int, ended_at: int) -> None:
        self.verifier.end(session_id, now, ended_at + self._alive_for)
        self.endings.add(session_id, ended_at, ended_at + self._alive_for)

    def refuse_everyone(self, at: int) -> None:
        """Refuse the access tokens of all sessions that began at ``at`` or before."""
        self.verifier.end_everyone(at)
        self.endings.end_everyone(at)

    def catch_up(self, now: int) -> Flow[None]:
        """Read what was ended since the last call; the first time, as far back as an access token may live.

        Raises:
            StoreError: it could not be read; what is known already stays.
        """
        known_until = self._endings_read_at
        if known_until is None or now < max(known_until, self.verifier.pruned_at):  # the clock was ahead
            known_until = now - self._alive_for
            self.verifier.pruned_at = self._pruned_at = 0
        looks_back = abs(now - self._looked_back_at) >= _LOOK_BACK_EVERY
        read = yield from ReadEndings(known_until - (_BEHIND if looks_back else _LATE))
        self._looked_back_at = now if looks_back else self._looked_back_at
        if read.everyone_at:
            self.refuse_everyone(read.everyone_at)
        for ending in read.endings:
            self._learn(ending.session_id, now, ending.ended_at)
        self._endings_read_at = now
        if now - self._pruned_at >= MINUTE:
            self._pruned_at = now
            self.verifier.forget_endings(now - _BEHIND)
            self.endings.forget(now - _BEHIND)

    def prepare(self, now: int) -> Flow[None]:
        """Read what the first check needs.

        Raises:
            ConfigurationError, StoreError: as `load` and `catch_up`.
        """
        if self.ring is None:
            yield from self.load(now)
        yield from self.catch_up(now)

    # ---- sweeping

    def sweep(self, now: int, *, regardless: bool = False) -> Flow[Swept]:
        """Remove obsolete sessions among the next thousand, if that is due and this machine's clock is right.

        It is done in short steps, with pauses between them.

        Raises:
            StoreError: whether any was removed is not known.
        """
        if (yield from self._compare_clocks(now)) is not None:
            return Swept(0, now + _REST, whole=True)
        removed, left = 0, _LOOKED_AT
        while True:
            began = yield from Now()
            batch = min(self._sweeps_at_once, left)
            swept = yield from self._sweep_some(now, batch, regardless=regardless)
            removed, left, regardless = removed + swept.removed, left - batch, True
            if swept.due_at != now + SECOND:  # it was the last of all sessions, or it is another node's turn
                return replace(swept, removed=removed)
            self._sweeps_at_once = _next_batch(batch, swept.removed)
            yield from Pause(min(max(_RESTED * ((yield from Now()) - began), 1), _LONGEST_PAUSE))
            if left <= 0:
                return replace(swept, removed=removed)

    def _sweep_some(self, now: int, batch: int, *, regardless: bool) -> Flow[Swept]:
        step = Sweep(
            now=now,
            before=now - _OVER_SINCE,
            absolute_ttl=self._policy.absolute_ttl,
            access_ttl=self._alive_for,
            batch=batch,
            pause=SECOND,
            rest=_REST,
            regardless=regardless,
        )
        swept = yield from step
        if swept.due_at > now + 2 * _REST:  # set by a node whose clock was ahead
            swept = yield from replace(step, regardless=True)
        return swept

    def _compare_clocks(self, now: int) -> Flow[str | None]:
        """Return what is wrong with this machine's clock; compare once a minute, or when it jumps; emit changes."""
        if abs(now - self._compared_at) >= MINUTE:
            theirs = yield from StoreClock()
            self._tally.clock_difference = None if theirs is None else now - theirs
            before, self._clock_error = self._clock_error, difference_error(now, theirs)
            self._compared_at = now
            if self._clock_error is not None and before is None:
                yield from Emit(Event(EventCode.CLOCK_OFF, now, reason=self._clock_error))
        return self._clock_error

    def purge(self, now: int) -> Flow[int]:
        """Sweep the whole store; return how many sessions were removed.

        Raises:
            StoreUnavailable: this machine's clock is wrong; none was removed.
            StoreError: some may have been removed.
        """
        yield from require_right_clock(now)
        removed, whole = 0, False
        while not whole:
            swept = yield from self.sweep((yield from Now()), regardless=True)
            removed, whole = removed + swept.removed, swept.whole
        return removed

    # ---- all of it, forever

    def life(self) -> Flow[None]:
        """Do all of it, again and again, until the driver stops."""
        listens, lost, subscribed_at, pause = False, None, -_SUBSCRIBE_EVERY, 0
        while True:
            now = yield from Now()
            if not listens and abs(now - subscribed_at) >= pause:
                subscribed_at = now
                try:
                    listens, lost = (yield from Subscribe()), None
                except StoreError as error:
                    lost = error
                pause = min(max(2 * pause, _SUBSCRIBE_EVERY), _SUBSCRIBE_AT_LEAST_EVERY)
            failure = yield from self._turn(now)
            if failure is not None or listens:
                pause = _SUBSCRIBE_EVERY  # a store that is down may offer notifications when it is back
            yield from self._say(now, failure, lost, listens=listens)
            try:
                yield from self._listen(_LOOK_EVERY if listens and failure is None else POLL_EVERY)
            except StoreError as error:
                listens, lost, subscribed_at = False, error, now

    def _listen(self, span: int) -> Flow[None]:
        """Wait as `Listen` does; write the audit trail meanwhile, once a second."""
        if self.trail is None:
            yield from Listen(span)
            return
        while span > 0:
            yield from self.trail.write((yield from Now()))
            if (yield from Listen(min(span, SECOND))):
                return
            span -= SECOND

    def _say(self, now: int, failure: DaypassError | None, lost: StoreError | None, *, listens: bool) -> Flow[None]:
        """Emit an event when the way of learning of endings changes; silent if it starts normally."""
        state = EventCode.CUT_OFF if failure else EventCode.LISTENING if listens else EventCode.POLLING
        as_expected = self._link is None and failure is None and lost is None
        changed, self._link = state is not self._link, state
        if changed and not as_expected:
            reason = failure or lost
            yield from Emit(Event(state, now, reason=None if reason is None else str(reason)))

    def _turn(self, now: int) -> Flow[DaypassError | None]:
        """Do what is due; return the store's error if it could not be asked."""
        try:
            yield from self.catch_up(now)
            if abs(now - self._keys_read_at) >= _READ_KEYS_EVERY:
                yield from self._compare_clocks(now)
                self._keys_read_at = now  # until the next read, the keys read before are used
                yield from self.load(now)
            if now >= self._sweep_due_at:
                self._sweep_due_at = (yield from self.sweep(now)).due_at
        except (StoreError, ConfigurationError) as error:
            return error
        return None


def _next_batch(batch: int, removed: int) -> int:
    """Return how many sessions the next step of a sweep looks at, after one that removed so many of ``batch``."""
    if removed > _REMOVED_AT_ONCE:
        return max(batch // 2, _REMOVED_AT_ONCE)
    return min(2 * batch, _LOOKED_AT) if 2 * removed < _REMOVED_AT_ONCE else batch
