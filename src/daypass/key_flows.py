"""The life of keys, as flows: adding the first ones and the next ones, and removing them. Nodes need no other contact.

A new key is published at once and used a while later, when every node has read it. From then on the previous key makes
no more tokens; it is removed when the last of its tokens has expired. All of this follows from the store's contents and
the time, so any node that looks does what is due.
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
"""The same with ``at_once``: long enough for most nodes. A node that meets an unknown key reads the keys again."""

_KEPT_AT_LEAST = 1 * DAY
"""After it was last used, whatever the policy here says: that of another node may be another one."""


class KeyFlows:
    """The flows of one issuer's keys.

    Args:
        policy: how long tokens and keys live.
        secret: the secret that wraps keys.
        algorithm: the algorithm that signs access tokens.
    """

    def __init__(self, policy: Policy, secret: MasterSecret, algorithm: str) -> None:
        self._policy = policy
        self._secret = secret
        self._algorithm = algorithm
        # In this order: a node that finds one key of a new store must not conclude that the refresh key was removed.
        self._kinds = (REFRESH, algorithm)

    def load(self, now: int) -> Flow[KeyRing]:
        """Read the keys from the store, after adding those that are due and removing those that are no longer needed.

        Raises:
            ConfigurationError: a key is wrapped under a secret that was not given.
            StoreError: they could not be read.
        """
        records = yield from ReadKeys()
        ring = yield from self._ring(records)  # a wrong secret raises here, before any change
        if (yield from self._tend(records, now)):
            after = yield from ReadKeys()
            yield from _tell_added(records, after, now)
            ring = yield from self._ring(after)
        if not ring.is_complete:  # the store lost the keys just added
            raise StoreContended("the keys are not there yet")
        return ring

    def rotate(self, now: int, *, at_once: bool = False) -> Flow[KeyRing]:
        """Add a signing key and a refresh key, to be used in ten minutes, or in five seconds if ``at_once``.

        No key is removed: only nodes that know the lifetime of its tokens may remove it.

        Raises:
            ConfigurationError: a key is wrapped under a secret that was not given; nothing was added.
            StoreError: whether they were added is not known.
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
        """Add keys that are due, remove keys that are no longer needed; return whether there was anything to do.

        If this machine's clock is wrong, it does nothing while there are usable keys.
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
        """Return whether a key of this kind must be added: none exists, or it is due for replacement and none follows
        soon.

        A key dated far ahead, by a node with a wrong clock, is ignored.
        """
        if not keys:
            return True
        if not self._policy.key_ttl or any(now < key.used_from <= now + PUBLISHED_AHEAD for key in keys):
            return False
        return now >= in_use(keys, now).used_from + self._policy.key_ttl

    def _over(self, records: tuple[KeyRecord, ...], now: int) -> Iterable[str]:
        """Return the ids of the keys whose tokens have all expired."""
        by_algorithm = attrgetter("algorithm")
        for algorithm, chain in groupby(
            sorted(records, key=by_algorithm), by_algorithm
        ):  # each group stays newest first
            lifetime = self._policy.absolute_ttl if algorithm == REFRESH else self._policy.access_ttl
            kept = max(lifetime + self._policy.leeway, _KEPT_AT_LEAST)
            for newer, older in pairwise(chain):
                if now >= newer.used_from + kept:
                    yield older.kid

    def _add(
        self, algorithm: str, newest: KeyRecord | None, now: int, used_from: int, *, derived: bool = False
    ) -> Flow[None]:
        key = self._new(algorithm, derived=derived)
        created_at = (
            now if newest is None else max(now, newest.created_at + 1)
        )  # clocks differ, but the order of keys must be the same
        kid = key.id.hex() if isinstance(key, RefreshKey) else key.kid
        record = KeyRecord(kid, algorithm, self._secret.wrap(key), created_at, used_from)
        yield from AddKey(record, None if newest is None else newest.kid)

    def _new(self, algorithm: str, *, derived: bool) -> SigningKey | RefreshKey:
        """Return a random key; but derive the refresh key of a store without any keys, so all nodes get the same one.

        A store with other keys has had a refresh key that was removed; that key must not come back.
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
            if not self._secret.wraps(record.wrapped):  # so that the older secret can be removed one day
                yield from Rewrap(record.kid, record.wrapped, self._secret.wrap(key))
        return KeyRing(signing_keys, self._algorithm, refresh_keys)


def remove(kid: str) -> Flow[None]:
    """Remove a key permanently: tokens made with it are refused, and it is not derived again.

    Raises:
        ConfigurationError: the key does not exist, or is the only one; nothing was removed.
        StoreError: whether it was removed is not known.
    """
    kids = {record.kid for record in (yield from ReadKeys())}
    if kid not in kids:
        raise ConfigurationError(f"unknown key {kid}: daypass key list shows the keys in the store")
    if len(kids) == 1:
        raise ConfigurationError(f"{kid} is the only key in the store; run this first: daypass key rotate --now")
    yield from RemoveKey(kid)


def _tell_added(before: Iterable[KeyRecord], after: Iterable[KeyRecord], now: int) -> Flow[None]:
    """Emit an event for keys that any node added, except for the first keys of a store."""
    known = {record.kid for record in before}
    for record in after:
        if known and record.kid not in known:
            yield from Emit(Event(EventCode.KEY_ADDED, now, reason=f"{record.algorithm} {record.kid}"))


def _newest(records: Iterable[KeyRecord], algorithm: str) -> KeyRecord | None:
    return next((record for record in records if record.algorithm == algorithm), None)
