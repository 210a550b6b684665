"""How the Redis store checks itself: what exists once, then all keys, in the order of SCAN, by commands that only read.

A key is known by its name. Its type must fit, it must have no time to live, and what it points to must be there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

from daypass.databases.redis.scan import Scan
from daypass.keys import KeyRecord
from daypass.operator_steps import CHECKED_AT_ONCE, Check, Checked, Fault
from daypass.session import Session
from daypass.store_steps import DEVICE_SIZE
from daypass.stores.integrity import AHEAD, PAST, keys_faults, readable, session_faults
from daypass.stores.redis import layout
from daypass.stores.redis.layout import BUCKETS, Layout, fields_of
from daypass.stores.redis.plans import ENDING_KEPT, GRACE, Plan, asks, in_batches, scored
from daypass.user import Account

_ID = 16
_MARGIN = 2
"""An ending is looked for in the first half of the time for which it must be kept."""

Judge = Callable[[bytes], Plan[list[Fault]]]


def checking(step: Check, names: Layout) -> Plan[Checked]:
    """Check the part of the store that begins at ``step.place``."""
    if not step.place:
        return (yield from _once(step, names))
    scanned = yield Scan(step.place.removeprefix("scan:"), names.pattern, CHECKED_AT_ONCE)
    faults = yield from _Keys(names, step.now).check(scanned.keys)
    if any(map(names.session_id, scanned.keys)):
        (there,) = yield from in_batches([asks("EXISTS", names.only("keys"))])
        faults += [] if there else [Fault("key-missing", "all keys")]
    return Checked(tuple(faults), len(scanned.keys), f"scan:{scanned.place}" if scanned.place else "")


def _once(step: Check, names: Layout) -> Plan[Checked]:
    """Check what exists once in the store."""
    due, version, *everyone = yield from in_batches(
        [
            asks("HGET", names.only("sweep"), "due"),
            asks("GET", names.schema[1]),
            *(asks("GET", names.everyone(bucket)) for bucket in range(BUCKETS)),
        ]
    )
    faults = []
    if version is not None and int(version) != layout.VERSION:
        older = int(version) < layout.VERSION
        faults.append(Fault("schema-old" if older else "schema-new", f"schema {int(version)}"))
    if due is not None and int(due) > step.now + PAST:
        faults.append(Fault("sweep-ahead", str(int(due))))
    times = {int(at or 0) for at in everyone}
    if len(times) > 1:
        faults.append(Fault("everyone-differs", ", ".join(map(str, sorted(times)))))
    if max(times) > step.now + AHEAD:
        faults.append(Fault("everyone-ahead", str(max(times))))
    return Checked(tuple(faults), 3 + BUCKETS, "scan:")


class _Keys:
    """Checks keys of one scan.

    Args:
        names: the names of the store's keys.
        now: milliseconds since the epoch.
    """

    def __init__(self, names: Layout, now: int) -> None:
        self._names = names
        self._now = now

    def check(self, keys: Sequence[bytes]) -> Plan[list[Fault]]:
        """Return what is wrong with these keys."""
        looked = yield from in_batches(chain.from_iterable((asks("TYPE", key), asks("PTTL", key)) for key in keys))
        faults: list[Fault] = []
        for key, kind, left in zip(keys, looked[::2], looked[1::2], strict=True):
            faults += yield from self._key(key, _text(kind), int(left))
        return faults

    def _key(self, key: bytes, kind: str, left: int) -> Plan[list[Fault]]:
        known = self._known(key)
        if kind == "none":  # gone since the scan
            return []
        if known is None:
            return [Fault("key-unknown", self._shown(key))]
        wanted, judge = known
        if wanted not in ("", kind):
            return [Fault("key-type", f"{self._shown(key)}: {kind}, not {wanted}")]
        faults = [] if left < 0 or not wanted else [Fault("key-expires", self._shown(key))]
        return faults + ((yield from judge(key)) if judge else [])

    def _known(self, key: bytes) -> tuple[str, Judge | None] | None:
        """Return the type of a key and what checks it; no type for what others keep under the same prefix."""
        names, prefix = self._names, self._names.prefix.encode()
        if names.session_id(key):
            return "hash", self._session
        if names.is_endings(key):
            return "zset", self._endings
        if names.is_index(key):
            return "zset", self._index
        if names.is_devices(key):
            return "zset", self._devices
        if key.startswith(names.account("")):
            return "hash", self._account
        if key.startswith((prefix + b":connection:", names.once(""))):  # marks expire
            return "", None
        single: dict[bytes, tuple[str, Judge | None]] = {
            names.only("keys"): ("hash", self._signing_keys),
            names.only("sweep"): ("hash", None),
            names.names: ("hash", self._account_names),
            names.scoped: ("set", None),
            names.events: ("zset", self._events),
            **dict.fromkeys(names.marks, ("zset", None)),
            **dict.fromkeys(names.schema, ("string", None)),
        }
        bucket = key.removeprefix(prefix)
        if bucket[:2] == b":{" and bucket[4:] in (b"}:everyone", b"}:probe"):
            return "string", None
        return single.get(key)

    def _shown(self, key: bytes) -> str:
        raw_id = self._names.session_id(key)
        return f"session {raw_id.hex()}" if raw_id else key.decode("utf-8", "replace")

    # ---- sessions and what points to them

    def _session(self, key: bytes) -> Plan[list[Fault]]:
        raw_id = key[-_ID:]
        where = raw_id.hex()
        (reply,) = yield from in_batches([asks("HGETALL", key)])
        fields = fields_of(reply)
        if not fields:
            return []
        session = readable(lambda: layout.session_of(raw_id, fields), Fault("session-unreadable", where))
        if isinstance(session, Fault):
            return [session]
        return [*session_faults(session, where, self._now), *(yield from self._pointers(raw_id, session))]

    def _pointers(self, raw_id: bytes, session: Session) -> Plan[list[Fault]]:
        """Look for a session in the list of its user, or among the endings of its bucket."""
        listed, ended, everyone = yield from in_batches(
            [
                asks("ZSCORE", self._names.index(session.subject), raw_id),
                asks("ZSCORE", self._names.endings(raw_id[0]), raw_id),
                asks("GET", self._names.everyone(raw_id[0])),
            ]
        )
        if session.ended_at is None:
            live = session.is_live(self._now) and session.created_at > int(everyone or 0)
            faults = [Fault("session-unlisted", session.id)] if live and listed is None else []
            return faults + ([Fault("ending-wrong", session.id)] if ended is not None else [])
        lately = session.ended_at > self._now - ENDING_KEPT // _MARGIN
        return [Fault("ending-missing", session.id)] if lately and ended is None else []

    def _index(self, key: bytes) -> Plan[list[Fault]]:
        members = yield from self._members(key)
        old = [(raw_id, at) for raw_id, at in members if at < self._now - GRACE]
        there = yield from self._exist([raw_id for raw_id, _ in old])
        gone = [raw_id for (raw_id, _), exists in zip(old, there, strict=True) if not exists]
        return [Fault("index-dangling", f"{self._shown(key)}: {raw_id.hex()}") for raw_id in gone]

    def _endings(self, key: bytes) -> Plan[list[Fault]]:
        ids = [raw_id for raw_id, _ in (yield from self._members(key))]
        there = yield from self._exist(ids)
        gone = [raw_id for raw_id, exists in zip(ids, there, strict=True) if not exists]
        return [Fault("ending-dangling", raw_id.hex()) for raw_id in gone]

    def _devices(self, key: bytes) -> Plan[list[Fault]]:
        members = yield from self._members(key)
        wrong = any(len(device) != DEVICE_SIZE for device, _ in members)
        return [Fault("devices-unreadable", self._shown(key))] if wrong else []

    def _members(self, key: bytes) -> Plan[list[tuple[bytes, int]]]:
        (reply,) = yield from in_batches([asks("ZRANGE", key, 0, CHECKED_AT_ONCE - 1, "WITHSCORES")])
        return scored(reply)

    def _exist(self, ids: Sequence[bytes]) -> Plan[list[bool]]:
        replies = yield from in_batches(asks("EXISTS", self._names.session(raw_id or b"\0")) for raw_id in ids)
        return [bool(reply) and len(raw_id) == _ID for raw_id, reply in zip(ids, replies, strict=True)]

    # ---- the rest

    def _signing_keys(self, key: bytes) -> Plan[list[Fault]]:
        (reply,) = yield from in_batches([asks("HGETALL", key)])
        fields = fields_of(reply)
        records: tuple[KeyRecord, ...] | Fault = readable(
            lambda: layout.keys_of(fields), Fault("key-unreadable", self._shown(key))
        )
        return [records] if isinstance(records, Fault) else list(keys_faults(records, self._now, used=bool(fields)))

    def _account(self, key: bytes) -> Plan[list[Fault]]:
        subject = key.removeprefix(self._names.account("")).decode("utf-8", "replace")
        (reply,) = yield from in_batches([asks("HGETALL", key)])
        fields = fields_of(reply)
        if not fields:
            return []
        account: Account | Fault = readable(
            lambda: layout.account_of(subject, fields), Fault("user-unreadable", subject)
        )
        if isinstance(account, Fault):
            return [account]
        (owners,) = yield from in_batches([asks("HMGET", self._names.names, *layout.folded_names(account))])
        if any(owner is None or owner.decode() != subject for owner in owners):
            return [Fault("user-unreachable", subject)]
        return []

    def _account_names(self, key: bytes) -> Plan[list[Fault]]:
        (reply,) = yield from in_batches([asks("HVALS", key)])
        subjects = sorted(set(reply))
        there = yield from in_batches(asks("EXISTS", self._names.account(each.decode())) for each in subjects)
        gone = [subject for subject, exists in zip(subjects, there, strict=True) if not exists]
        return [Fault("name-dangling", subject.decode()) for subject in gone]

    def _events(self, key: bytes) -> Plan[list[Fault]]:
        latest = asks("ZREVRANGE", key, 0, CHECKED_AT_ONCE - 1, "WITHSCORES")
        (reply,) = yield from in_batches([latest])
        faults = []
        for member, at in scored(reply):
            where = f"{at} {member[:_ID].decode('utf-8', 'replace')}"
            record = readable(partial(layout.event_of, member, at), Fault("event-unreadable", where))
            if isinstance(record, Fault):
                faults.append(record)
            elif at > self._now + AHEAD:
                faults.append(Fault("event-ahead", where))
        return faults


def _text(reply: bytes | str) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply
