"""The life of keys, as flows: the first ones, the next ones, and their end. Nodes agree on them without talking.

A new key is published at once and used a while later, when every node has read it; from that moment on the one before
it makes no more tokens, and when the last of those has expired it is removed. All of this follows from what stands in
the store and from the time, so whichever node looks does what has to be done.
"""

from collections.abc import Iterable
from itertools import groupby, pairwise
from operator import attrgetter

from daypass.clock_check import clock_error, require_right_clock
from daypass.duration import DAY, MINUTE, SECOND
from daypass.errors import ConfigurationError, StoreContended
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.keys import REFRESH, KeyRecord, KeyRing, MasterSecret, SigningKey, in_use, new_refresh_key
from daypass.policy import Policy
from daypass.refresh_token import RefreshKey
from daypass.steps import Emit
from daypass.store_steps import AddKey, ReadKeys, RemoveKey, Rewrap

PUBLISHED_AHEAD = 10 * MINUTE
"""How long before its use a new key is published: longer than nodes, and caches of the key set, go without reading."""

PUBLISHED_SHORTLY_AHEAD = 5 * SECOND
"""The same in a hurry: long enough for most nodes. A node that meets a key it has not read reads the keys again."""

_KEPT_AT_LEAST = 1 * DAY
"""After it was last used, whatever the policy here says: that of another node may be another one."""


class KeyFlows:
    """The flows of one issuer that are about its keys.

    Args:
        policy: how long tokens live, and keys.
        secret: what keys are wrapped under.
        algorithm: what access tokens are signed with.
    """

    def __init__(self, policy: Policy, secret: MasterSecret, algorithm: str) -> None:
        self._policy = policy
        self._secret = secret
        self._algorithm = algorithm
        # In this order: a node that finds one key of a new store must not take the refresh key for a removed one.
        self._kinds = (REFRESH, algorithm)

    def load(self, now: int) -> Flow[KeyRing]:
        """Read the keys from the store, after adding what is due and removing what is over.

        Raises:
            ConfigurationError: one was wrapped under a secret that is not given.
            StoreError: they could not be read.
        """
        records = yield from ReadKeys()
        ring = yield from self._ring(records)  # with a wrong secret it ends here, and nothing is changed
        if (yield from self._tend(records, now)):
            after = yield from ReadKeys()
            yield from _tell_added(records, after, now)
            ring = yield from self._ring(after)
        if not ring.is_complete:  # the store lost what was just added
            raise StoreContended("the keys are not there yet")
        return ring

    def rotate(self, now: int, *, at_once: bool = False) -> Flow[KeyRing]:
        """Add a signing key and a refresh key, to be used in ten minutes, or in five seconds if ``at_once``.

        No key is removed: that is for nodes that know how long the tokens live which were made with it.

        Raises:
            ConfigurationError: a key was wrapped under a secret that is not given; nothing was added.
            StoreError: they may have been added.
        """
        yield from require_right_clock(now)
        records = yield from ReadKeys()
        yield from self._ring(records)
        for algorithm in self._kinds:
            newest = _newest(records, algorithm)
            ahead = PUBLISHED_SHORTLY_AHEAD if at_once else PUBLISHED_AHEAD
            yield from self._add(algorithm, newest, now, now if newest is None else now + ahead, derived=not records)
        after = yield from ReadKeys()
        yield from _tell_added(records, after, now)
        return (yield from self._ring(after))

    def _tend(self, records: tuple[KeyRecord, ...], now: int) -> Flow[bool]:
        """Add what is due, remove what is over; return whether there was anything to do.

        By a clock that is wrong nothing is done, as long as there are keys to go on with.
        """
        due = [each for each in self._kinds if self._is_due([key for key in records if key.algorithm == each], now)]
        over = list(self._over(records, now))
        if due or over:
            error = yield from clock_error(now)
            if error is not None and all(_newest(records, each) for each in self._kinds):
                return False
            yield from require_right_clock(now)
        for algorithm in due:
            newest = _newest(records, algorithm)
            yield from self._add(
                algorithm, newest, now, now if newest is None else now + PUBLISHED_AHEAD, derived=not records
            )
        for kid in over:
            yield from RemoveKey(kid)
            yield from Emit(Event(EventCode.KEY_REMOVED, now, reason=kid))
        return bool(due or over)

    def _is_due(self, keys: list[KeyRecord], now: int) -> bool:
        """Tell whether a key of this kind has to be added: there is none, or its time is over and none follows soon.

        One that was dated far ahead, by a node whose clock was wrong, counts for nothing.
        """
        if not keys:
            return True
        if not self._policy.key_ttl or any(now < key.used_from <= now + PUBLISHED_AHEAD for key in keys):
            return False
        return now >= in_use(keys, now).used_from + self._policy.key_ttl

    def _over(self, records: tuple[KeyRecord, ...], now: int) -> Iterable[str]:
        """Name the keys with which no token was made that could still be good."""
        by_algorithm = attrgetter("algorithm")
        for algorithm, chain in groupby(sorted(records, key=by_algorithm), by_algorithm):  # newest first, still
            lifetime = self._policy.absolute_ttl if algorithm == REFRESH else self._policy.access_ttl
            kept = max(lifetime + self._policy.leeway, _KEPT_AT_LEAST)
            for newer, older in pairwise(chain):
                if now >= newer.used_from + kept:
                    yield older.kid

    def _add(
        self, algorithm: str, newest: KeyRecord | None, now: int, used_from: int, *, derived: bool = False
    ) -> Flow[None]:
        key = self._new(algorithm, derived=derived)
        created_at = now if newest is None else max(now, newest.created_at + 1)  # clocks differ, their order may not
        kid = key.id.hex() if isinstance(key, RefreshKey) else key.kid
        record = KeyRecord(kid, algorithm, self._secret.wrap(key), created_at, used_from)
        yield from AddKey(record, None if newest is None else newest.kid)

    def _new(self, algorithm: str, *, derived: bool) -> SigningKey | RefreshKey:
        """Return a random key; the refresh key of a store without any keys is derived, the same on all nodes.

        A store that has other keys has had a refresh key that was removed, and that must not come back.
        """
        if algorithm != REFRESH:
            return SigningKey.generate(algorithm)
        return self._secret.refresh_key if derived else new_refresh_key()

    def _ring(self, records: tuple[KeyRecord, ...]) -> Flow[KeyRing]:
        signing_keys, refresh_keys = [], []
        for record in records:
            key = self._secret.unwrap(record)
            if isinstance(key, RefreshKey):
                refresh_keys.append(key)
            else:
                signing_keys.append(key)
            if not self._secret.wraps(record.wrapped):  # so that an older secret can go one day
                yield from Rewrap(record.kid, record.wrapped, self._secret.wrap(key))
        return KeyRing(signing_keys, self._algorithm, refresh_keys)


def remove(kid: str) -> Flow[None]:
    """Remove a key for good: tokens that were made with it are refused, and it is not made again.

    Raises:
        ConfigurationError: there is no such key, or no other one; nothing was removed.
        StoreError: it may have been removed.
    """
    kids = {record.kid for record in (yield from ReadKeys())}
    if kid not in kids:
        raise ConfigurationError(f"unknown key {kid}: daypass key list shows the keys in the store")
    if len(kids) == 1:
        raise ConfigurationError(f"{kid} is the only key in the store; run this first: daypass key rotate --now")
    yield from RemoveKey(kid)


def _tell_added(before: Iterable[KeyRecord], after: Iterable[KeyRecord], now: int) -> Flow[None]:
    """Tell which keys were added, by whichever node; the first keys of a store are not told."""
    known = {record.kid for record in before}
    for record in after:
        if known and record.kid not in known:
            yield from Emit(Event(EventCode.KEY_ADDED, now, reason=f"{record.algorithm} {record.kid}"))


def _newest(records: Iterable[KeyRecord], algorithm: str) -> KeyRecord | None:
    return next((record for record in records if record.algorithm == algorithm), None)
