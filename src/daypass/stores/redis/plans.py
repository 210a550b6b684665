"""The commands of each store step in Redis: generators, without I/O.

A plan yields an `Exchange` or a `Scan` and is sent the replies. Sync and async, one server and a cluster, differ only
in who sends the commands.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from daypass import account_steps, operator_steps, store_steps
from daypass.databases.redis.scan import Scan
from daypass.duration import DAY, MINUTE, SECOND
from daypass.errors import ConfigurationError
from daypass.flow import Step
from daypass.keys import KeyRecord
from daypass.operator_steps import AuditRecord
from daypass.session import Session
from daypass.stores.redis import layout, scripts
from daypass.stores.redis.layout import BUCKETS, Layout, fields_in, fields_of
from daypass.stores.sql import stored_id
from daypass.user import Account, name_keys
from daypass.value import value

A = TypeVar("A")
Value = bytes | str | int
Member = tuple[bytes, int]
"""A session in the index of its user: its id, and when it was created."""


@value(frozen=True, slots=True)
class Command:
    """One command; with a ``script``, a call of it with these keys, which are all in one slot."""

    words: tuple[Value, ...]
    script: scripts.Script | None = None
    keys: int = 0

    def sent(self, *, whole: bool = False) -> tuple[Value, ...]:
        """Return the words to send: for a script its text if ``whole``, otherwise its name on the server."""
        if self.script is None:
            return self.words
        name, script = ("EVAL", self.script.text) if whole else ("EVALSHA", self.script.sha)
        return (name, script, self.keys, *self.words)


@value(frozen=True, slots=True)
class Exchange:
    """Send these commands at once; answered with their replies, in order."""

    commands: Sequence[Command]


Plan = Generator[Exchange | Scan, Any, A]

Request = Sequence[tuple[Value, ...]] | Scan
"""What a plan asks, in the words of Redis."""


def requests(plan: Plan[A]) -> Generator[Request, Any, A]:
    """Yield the requests of ``plan``; send a script again with its text if the server has forgotten it."""
    answer = None
    while True:
        try:
            asked = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a plan's type says what it returns
        if isinstance(asked, Scan):
            answer = yield asked
            continue
        answer = yield [command.sent() for command in asked.commands]
        forgotten = [at for at, reply in enumerate(answer) if isinstance(reply, NoScriptError)]
        if forgotten:
            again = yield [asked.commands[at].sent(whole=True) for at in forgotten]
            for at, reply in zip(forgotten, again, strict=True):
                answer[at] = reply


BATCH = 100
"""The most commands that one step sends at once, so that others do not wait for long."""

GRACE = MINUTE
"""How long a member of an index may have no session: the index is written before the session."""

_MARKS_SWEPT = 1000
"""The most expired marks that one batch of the sweep removes."""

EVENTS_KEPT = 250_000
"""The longest audit trail, because it is in memory: about 60 MB."""

INFORMATION = (
    "redis_version",
    "valkey_version",
    "redis_mode",
    "role",
    "aof_enabled",
    "rdb_last_bgsave_status",
    "aof_last_write_status",
    "maxmemory",
    "maxmemory_policy",
    "used_memory",
    "connected_slaves",
    "evicted_keys",
)
"""What of the server's information is told."""

ENDING_KEPT = DAY
"""The shortest time an ending is kept, because another node may have a longer ``access_ttl`` than this one."""


def calls(script: scripts.Script, keys: Sequence[bytes], *arguments: Value) -> Command:
    """Return the call of ``script``."""
    return Command((*keys, *arguments), script, len(keys))


def asks(*words: Value) -> Command:
    """Return a command that is not a script."""
    return Command(words)


class Plans:
    """The plans for one store.

    Args:
        names: the names of its keys.
        scattered: whether keys may be on different servers, so that a script can only use the keys of one slot.
    """

    def __init__(self, names: Layout, *, scattered: bool) -> None:
        self._names = names
        self._scattered = scattered
        self._table: Mapping[type[Step[Any]], Callable[[Any], Plan[Any]]] = {
            store_steps.Insert: self._insert,
            store_steps.Admit: self._admit,
            store_steps.Advance: self._advance,
            store_steps.Swap: self._swap,
            store_steps.Amend: self._amend,
            store_steps.Bind: self._bind,
            store_steps.Find: self._find,
            store_steps.End: self._end,
            store_steps.EndAll: self._end_all,
            store_steps.EndEveryone: self._end_everyone,
            store_steps.ListSessions: self._list,
            store_steps.ReadEndings: self._read_endings,
            store_steps.Sweep: self._sweep,
            store_steps.ReadKeys: self._read_keys,
            store_steps.AddKey: self._add_key,
            store_steps.RemoveKey: self._remove_key,
            store_steps.Rewrap: self._rewrap,
            store_steps.Probe: self._probe,
            store_steps.ReadClock: self._read_clock,
            store_steps.Migrate: self._migrate,
            operator_steps.NoteEvents: self._note_events,
            operator_steps.ReadEvents: self._read_events,
            operator_steps.DropEvents: self._drop_events,
            operator_steps.Check: self._check,
            operator_steps.AddMark: self._add_mark,
            operator_steps.AddMarkOnce: self._add_mark_once,
            operator_steps.ReadMarks: self._read_marks,
            operator_steps.ReadStats: self._read_stats,
            operator_steps.ReadSettings: self._read_settings,
            account_steps.AddAccount: self._add_account,
            account_steps.FindAccount: self._find_account,
            account_steps.LoadAccount: self._load_account,
            account_steps.SetPasswordHash: self._set_password_hash,
            account_steps.ListAccounts: self._list_accounts,
            account_steps.SetDisabled: self._set_disabled,
            account_steps.SetScope: self._set_scope,
            account_steps.RemoveAccount: self._remove_account,
        }

    def of(self, step: Step[A]) -> Plan[A]:
        """Return the plan for ``step``."""
        return self._table[type(step)](step)

    def announce(self) -> Plan[None]:
        """Announce something although nothing was ended, so that a new subscription can check that it works."""
        yield Exchange([asks("PUBLISH", self._names.channel, b"")])

    # ---- sessions

    def _insert(self, step: store_steps.Insert) -> Plan[None]:
        session, raw_id = step.session, bytes.fromhex(step.session.id)
        ended_at = "" if session.ended_at is None else session.ended_at
        yield Exchange([asks("ZADD", self._names.index(session.subject), session.created_at, raw_id)])
        arguments = (raw_id, ended_at, *layout.session_fields(session))
        yield Exchange([calls(scripts.INSERT, self._keys(raw_id), *arguments)])

    def _admit(self, step: store_steps.Admit) -> Plan[store_steps.Admitted]:
        session, raw_id = step.session, bytes.fromhex(step.session.id)
        index = self._names.index(session.subject)
        known = yield from self._note_device(step)
        (flat,) = yield Exchange([calls(scripts.RESERVE, (index,), session.created_at, raw_id)])
        if not step.evict:
            others = yield from self._live_members(_members(flat), step)
            if len(others) >= step.maximum:
                yield from self._forget(index, [raw_id])
                return store_steps.Admitted(inserted=False, known_device=known)
            yield from self._insert(store_steps.Insert(session))
            return store_steps.Admitted(inserted=True, known_device=known)
        yield from self._insert(store_steps.Insert(session))
        # Read after the session is stored: of concurrent logins, the last to read sees them all.
        (flat,) = yield Exchange([calls(scripts.READ_INDEX, (index,), store_steps.UNLIMITED, "", "")])
        live = yield from self._live_members(_members(flat), step)
        surplus = tuple(each.hex() for each in live[step.maximum :])
        return store_steps.Admitted(inserted=True, surplus=surplus, known_device=known)

    def _note_device(self, step: store_steps.Admit) -> Plan[bool]:
        if not step.device:
            return True
        arguments = (step.session.created_at, step.device, store_steps.DEVICES)
        key = self._names.devices(step.session.subject)
        (known,) = yield Exchange([calls(scripts.NOTE_DEVICE, (key,), *arguments)])
        return bool(known)

    def _live_members(self, members: Sequence[Member], step: store_steps.Admit) -> Plan[list[bytes]]:
        """Return the sessions of an index that are live, or that another login is just adding."""
        now = step.session.created_at
        found = yield from self._sessions([raw_id for raw_id, _ in members])
        return [
            raw_id
            for (raw_id, created_at), session in zip(members, found, strict=True)
            if (created_at >= now - GRACE if session is None else session.is_live(now))
        ]

    def _advance(self, step: store_steps.Advance) -> Plan[store_steps.Advanced]:
        raw_id = stored_id(step.session_id)
        if not raw_id:
            return store_steps.Advanced(None, moved=False)
        expected = step.expected
        call = calls(
            scripts.ADVANCE,
            self._keys(raw_id),
            expected.generation,
            expected.branch,
            expected.rotated_before,
            step.generation,
            step.branch,
            step.now,
            step.idle_ttl,
            step.absolute_ttl,
            int(step.passive),
            step.device.user_agent or "",
            step.device.address or "",
            expected.proof or "",
        )
        (reply,) = yield Exchange((call,))
        if reply is None:
            return store_steps.Advanced(None, moved=False)
        found = layout.session_of(raw_id, fields_in(reply))
        if not reply[0]:
            return store_steps.Advanced(found, moved=False)
        return store_steps.Advanced(step.after(found), moved=True, rotated_at=found.rotated_at)

    def _swap(self, step: store_steps.Swap) -> Plan[bool]:
        old, new, raw_id = step.old, step.new, stored_id(step.old.id)
        if not raw_id:
            return False
        before = (old.generation, old.branch, old.rotated_at)
        after = (new.generation, new.branch, new.rotated_at, new.expires_at)
        ending: tuple[Value, Value] = ("", "")
        if new.ended_at is not None and new.end_reason is not None:
            ending = (new.ended_at, new.end_reason.value)
        seen = (new.device.user_agent or "", new.device.address or "", old.key_thumbprint or "")
        call = calls(scripts.SWAP, self._keys(raw_id), *before, *after, *ending, raw_id, self._names.channel, *seen)
        (swapped,) = yield Exchange([call])
        return bool(swapped)

    def _amend(self, step: store_steps.Amend) -> Plan[bool]:
        raw_id = stored_id(step.session_id)
        if not raw_id:
            return False
        (amended,) = yield Exchange([calls(scripts.AMEND, self._keys(raw_id), step.old or "", step.new or "")])
        return bool(amended)

    def _bind(self, step: store_steps.Bind) -> Plan[bool]:
        raw_id = stored_id(step.session_id)
        if not raw_id:
            return False
        arguments = (step.old or "", step.new, step.key_thumbprint)
        (bound,) = yield Exchange([calls(scripts.BIND, self._keys(raw_id), *arguments)])
        return bool(bound)

    def _find(self, step: store_steps.Find) -> Plan[Session | None]:
        raw_id = stored_id(step.session_id)
        if not raw_id:
            return None
        (found,) = yield from self._sessions([raw_id])
        return found

    def _end(self, step: store_steps.End) -> Plan[Session | None]:
        raw_id = stored_id(step.session_id)
        if not raw_id:
            return None
        proof = ("1", step.proof or "") if step.needs_proof else ("", "")
        (reply,) = yield Exchange([self._ending(raw_id, step, proof, live=False)])
        if reply is None:
            return None
        session = layout.session_of(raw_id, fields_in(reply))
        return replace(session, ended_at=step.at, end_reason=step.reason)

    def _end_all(self, step: store_steps.EndAll) -> Plan[tuple[str, ...]]:
        index = self._names.index(step.subject)
        keep = None if step.keep is None else stored_id(step.keep)
        ended: list[bytes] = []
        after: Member | None = None
        while len(ended) < step.limit and (members := (yield from self._members(index, BATCH, after))):
            members = members[: step.limit - len(ended)]
            after = members[-1]
            ids = [raw_id for raw_id, _ in members if raw_id != keep]
            replies = yield from in_batches(self._ending(raw_id, step, live=True) for raw_id in ids)
            now_ended = [raw_id for raw_id, reply in zip(ids, replies, strict=True) if reply is not None]
            yield from self._forget(index, now_ended)
            ended += now_ended
        return tuple(raw_id.hex() for raw_id in ended)

    def _end_everyone(self, step: store_steps.EndEveryone) -> Plan[None]:
        keys = [self._names.everyone(bucket) for bucket in range(BUCKETS)]
        yield from in_batches(calls(scripts.END_EVERYONE, (key,), step.at) for key in keys)
        yield from self.announce()

    def _list(self, step: store_steps.ListSessions) -> Plan[tuple[Session, ...]]:
        index = self._names.index(step.subject)
        count = min(max(step.limit, BATCH), store_steps.PAGE)
        after = None if step.after is None else (stored_id(step.after[1]), step.after[0])
        live: list[Session] = []
        while len(live) < step.limit:
            members = yield from self._members(index, count, after)
            found = yield from self._sessions([raw_id for raw_id, _ in members])
            gone = [
                raw_id
                for (raw_id, created_at), session in zip(members, found, strict=True)
                if (created_at < step.now - GRACE if session is None else session.ended_at is not None)
            ]
            yield from self._forget(index, gone)
            live += [each for each in found if each and each.is_live(step.now) and each.subject == step.subject]
            if len(members) < count:
                break
            after = members[-1]
        return tuple(live[: step.limit])

    def _members(self, index: bytes, count: int, after: Member | None) -> Plan[list[Member]]:
        """Return the next members of an index, the latest first."""
        place: tuple[Value, Value] = ("", "") if after is None else (after[1], after[0])
        (flat,) = yield Exchange([calls(scripts.READ_INDEX, (index,), count, *place)])
        return _members(flat)

    def _forget(self, index: bytes, ids: Sequence[bytes]) -> Plan[None]:
        """Remove members from an index."""
        if ids:
            yield Exchange([asks("ZREM", index, *ids)])

    def _sessions(self, ids: Sequence[bytes]) -> Plan[list[Session | None]]:
        replies = yield from in_batches(calls(scripts.FIND, self._keys(raw_id)) for raw_id in ids)
        return [
            None if reply is None else layout.session_of(raw_id, fields_in(reply))
            for raw_id, reply in zip(ids, replies, strict=True)
        ]

    def _ending(
        self,
        raw_id: bytes,
        step: store_steps.End | store_steps.EndAll,
        proof: tuple[str, str] = ("", ""),
        *,
        live: bool,
    ) -> Command:
        whose = ("", "") if step.subject is None else ("1", step.subject)
        arguments = (step.at, step.reason.value, raw_id, self._names.channel, "1" if live else "", *whose, *proof)
        return calls(scripts.END, self._keys(raw_id), *arguments)

    def _keys(self, raw_id: bytes) -> tuple[bytes, bytes, bytes]:
        """Return the keys of the session, of the endings of its bucket, and of the end of everyone."""
        bucket = raw_id[0]
        return self._names.session(raw_id), self._names.endings(bucket), self._names.everyone(bucket)

    # ---- what has ended, what has expired

    def _read_endings(self, step: store_steps.ReadEndings) -> Plan[store_steps.Endings]:
        buckets = [(bucket,) for bucket in range(BUCKETS)] if self._scattered else [tuple(range(BUCKETS))]
        keys = ([*map(self._names.endings, each), *map(self._names.everyone, each)] for each in buckets)
        replies = yield from in_batches(calls(scripts.READ_ENDINGS, each, step.since) for each in keys)
        flat = list(chain.from_iterable(endings for endings, _ in replies))
        endings = zip(flat[::2], flat[1::2], strict=True)
        return store_steps.Endings(
            tuple(store_steps.Ending(raw_id.hex(), int(at)) for raw_id, at in endings),
            max(int(everyone_at) for _, everyone_at in replies),
        )

    def _sweep(self, step: store_steps.Sweep) -> Plan[store_steps.Swept]:
        state = self._names.only("sweep")
        due = (step.now, step.now + step.pause, int(step.regardless))
        ((claimed, due_at, place),) = yield Exchange([calls(scripts.CLAIM_SWEEP, (state,), *due)])
        if not claimed:
            return store_steps.Swept(0, int(due_at))
        removed, place, left = 0, place.decode(), step.batch
        while left > 0:  # a cluster's server may have fewer keys than are left to scan
            scanned = yield Scan(place, self._names.pattern, left)
            removed += yield from self._sweep_keys(scanned.keys, step)
            left -= max(len(scanned.keys), left if _cursor(scanned.place) else 1)
            place = scanned.place
            if not place:
                break
        swept = store_steps.Swept(removed, step.now + (step.pause if place else step.rest), not place)
        yield Exchange([asks("HSET", state, "due", swept.due_at, "place", place)])
        return swept

    def _sweep_keys(self, keys: Sequence[bytes], step: store_steps.Sweep) -> Plan[int]:
        """Remove obsolete sessions, update the indexes, and drop old entries of the others."""
        ids = [raw_id for key in keys if (raw_id := self._names.session_id(key))]
        over = (step.before, step.absolute_ttl)
        replies = yield from in_batches(calls(scripts.REMOVE_IF_OVER, self._keys(each), *over, each) for each in ids)
        updates, removed = [], 0
        for raw_id, reply in zip(ids, replies, strict=True):
            if reply is None:
                continue
            session = layout.session_of(raw_id, fields_in(reply))
            index = self._names.index(session.subject)
            removed += reply[0]
            if reply[0]:
                updates.append(asks("ZREM", index, raw_id))
            elif session.ended_at is None:
                updates.append(asks("ZADD", index, session.created_at, raw_id))
        for key in keys:
            if self._names.is_index(key):
                updates.append(asks("ZREMRANGEBYSCORE", key, "-inf", step.before - step.absolute_ttl))
            elif self._names.is_devices(key):
                updates.append(calls(scripts.FORGET_DEVICES, (key,), step.before - step.absolute_ttl))
            elif self._names.is_endings(key):
                updates.append(asks("ZREMRANGEBYSCORE", key, "-inf", step.before - max(step.access_ttl, ENDING_KEPT)))
            elif key == self._names.marks[0]:
                updates.append(calls(scripts.DROP_MARKS, self._names.marks, step.now, _MARKS_SWEPT))
        yield from in_batches(updates)
        return removed

    # ---- keys

    def _read_keys(self, _: store_steps.ReadKeys) -> Plan[tuple[KeyRecord, ...]]:
        (fields,) = yield Exchange([asks("HGETALL", self._names.only("keys"))])
        return layout.keys_of(fields_of(fields))

    def _add_key(self, step: store_steps.AddKey) -> Plan[None]:
        record = step.record
        arguments = (record.kid, record.algorithm, record.created_at, record.wrapped, record.used_from)
        yield Exchange([calls(scripts.ADD_KEY, (self._names.only("keys"),), *arguments, step.newest or "")])

    def _remove_key(self, step: store_steps.RemoveKey) -> Plan[None]:
        yield Exchange([asks("HDEL", self._names.only("keys"), f"k:{step.kid}", f"w:{step.kid}")])

    def _rewrap(self, step: store_steps.Rewrap) -> Plan[None]:
        yield Exchange([calls(scripts.REWRAP, (self._names.only("keys"),), step.kid, step.old, step.new)])

    # ---- the store itself

    def _probe(self, _: store_steps.Probe) -> Plan[None]:
        buckets = range(BUCKETS) if self._scattered else (0,)  # every server of a cluster that has sessions
        yield from in_batches(asks("SET", self._names.probe(bucket), b"") for bucket in buckets)

    def _read_clock(self, _: store_steps.ReadClock) -> Plan[int]:
        ((seconds, microseconds),) = yield Exchange([asks("TIME")])
        return int(seconds) * SECOND + int(microseconds) // SECOND

    def _migrate(self, _: store_steps.Migrate) -> Plan[int]:
        version, _policy = yield from self._bring_up_to_date()
        return version

    def prepare(self) -> Plan[str]:
        """Perform `Migrate`; return a warning, or an empty string."""
        _version, policy = yield from self._bring_up_to_date()
        if not policy.startswith("allkeys"):
            return ""
        return f"it evicts sessions and keys when it is full ({policy}): set maxmemory-policy noeviction"

    def _bring_up_to_date(self) -> Plan[tuple[int, str]]:
        versions = (layout.VERSION, layout.COMPATIBLE_FROM)
        ((oldest, version, policy),) = yield Exchange([calls(scripts.MIGRATE, self._names.schema, *versions)])
        if int(oldest) > layout.VERSION:
            raise ConfigurationError(
                f"the Redis store needs a Daypass that knows schema {int(oldest)}, and this one knows "
                f"{layout.VERSION}: upgrade it"
            )
        return int(version), policy.decode()

    # ---- for operators

    def _note_events(self, step: operator_steps.NoteEvents) -> Plan[None]:
        members: list[Value] = []
        for record in step.records:
            members += (record.at, layout.event_member(record))
        key = self._names.events
        yield Exchange([asks("ZADD", key, *members), asks("ZREMRANGEBYRANK", key, 0, -EVENTS_KEPT - 1)])

    def _read_events(self, step: operator_steps.ReadEvents) -> Plan[tuple[AuditRecord, ...]]:
        found: list[AuditRecord] = []
        since, until, place = step.since, step.until, 0
        if step.after is not None:
            since, until = (since, step.after[0]) if step.newest_first else (step.after[0], until)
        order, limits = ("ZREVRANGEBYSCORE", (until, since)) if step.newest_first else ("ZRANGEBYSCORE", (since, until))
        while len(found) < step.limit:
            page = ("WITHSCORES", "LIMIT", place, operator_steps.EVENTS_AT_ONCE)
            (reply,) = yield Exchange([asks(order, self._names.events, *limits, *page)])
            members = scored(reply)
            records = [layout.event_of(member, at) for member, at in members]
            found += (each for each in records if step.admits(each) and _is_after(each, step))
            if len(members) < operator_steps.EVENTS_AT_ONCE:
                break
            place += len(members)
        return tuple(found[: step.limit])

    def _drop_events(self, step: operator_steps.DropEvents) -> Plan[int]:
        key, most = self._names.events, operator_steps.EVENTS_AT_ONCE
        dropped: list[bytes] = []
        place = 0
        while len(dropped) < most:
            oldest = ("-inf", max(step.before, step.counts_before), "WITHSCORES", "LIMIT", place, most)
            (reply,) = yield Exchange([asks("ZRANGEBYSCORE", key, *oldest)])
            members = scored(reply)
            dropped += (member for member, at in members if step.drops(layout.event_of(member, at)))
            place += len(members)
            if len(members) < most:
                break
        if dropped[:most]:
            yield Exchange([asks("ZREM", key, *dropped[:most])])
        return len(dropped[:most])

    def _check(self, step: operator_steps.Check) -> Plan[operator_steps.Checked]:
        from daypass.stores.redis.check import checking  # here, because only one command needs it

        return (yield from checking(step, self._names))

    def _add_mark(self, step: operator_steps.AddMark) -> Plan[None]:
        arguments = f"{step.key}:{step.value}", step.until, step.now, operator_steps.MARKS_AT_ONCE
        yield Exchange([calls(scripts.ADD_MARK, self._names.marks, *arguments)])

    def _add_mark_once(self, step: operator_steps.AddMarkOnce) -> Plan[bool]:
        left = max(step.until - step.now, 1)
        (added,) = yield Exchange([calls(scripts.ADD_MARK_ONCE, (self._names.once(step.key),), step.by, left)])
        return bool(added)

    def _read_marks(self, step: operator_steps.ReadMarks) -> Plan[tuple[str, ...]]:
        (found,) = yield Exchange([calls(scripts.READ_MARKS, self._names.marks, f"{step.key}:", step.now)])
        return tuple(value.decode() for value in found)

    def _read_stats(self, _: operator_steps.ReadStats) -> Plan[Mapping[str, int]]:
        sessions, place = 0, ""
        while True:
            scanned = yield Scan(place, self._names.pattern, 1000)
            sessions += sum(self._names.session_id(key) is not None for key in scanned.keys)
            place = scanned.place
            if not place:
                break
        events = asks("ZCARD", self._names.events)
        keys, names, kept = yield Exchange(
            [asks("HLEN", self._names.only("keys")), asks("HLEN", self._names.names), events]
        )
        return {"sessions": sessions, "keys": int(keys) // 2, "names": int(names), "events": int(kept)}

    def _read_settings(self, _: operator_steps.ReadSettings) -> Plan[Mapping[str, str]]:
        due = asks("HGET", self._names.only("sweep"), "due")
        version = asks("GET", self._names.schema[1])
        information = calls(scripts.INFORMATION, (self._names.only("schema"),))
        text, due_at, schema = yield Exchange([information, due, version])
        lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
        found = {name: value for name, _, value in lines if name in INFORMATION}
        return found | {"sweep_due_at": (due_at or b"0").decode(), "schema": (schema or b"0").decode()}

    # ---- built-in users

    def _add_account(self, step: account_steps.AddAccount) -> Plan[bool]:
        account = step.account
        names = layout.folded_names(account)
        keys = (self._names.account(account.subject), self._names.names, self._names.scoped)
        arguments: list[Value] = [account.subject, account.password_hash, len(names), *names]
        (added,) = yield Exchange([calls(scripts.ADD_ACCOUNT, keys, *arguments, *layout.account_fields(account))])
        return bool(added)

    def _find_account(self, step: account_steps.FindAccount) -> Plan[Account | None]:
        for key in name_keys(step.identifier):
            (subject,) = yield Exchange([asks("HGET", self._names.names, key)])
            if subject is not None:
                return (yield from self._load_account(account_steps.LoadAccount(subject.decode())))
        return None

    def _load_account(self, step: account_steps.LoadAccount) -> Plan[Account | None]:
        (reply,) = yield Exchange([asks("HGETALL", self._names.account(step.subject))])
        fields = fields_of(reply)
        return layout.account_of(step.subject, fields) if fields else None

    def _set_password_hash(self, step: account_steps.SetPasswordHash) -> Plan[None]:
        yield Exchange([calls(scripts.SET_PASSWORD_HASH, (self._names.account(step.subject),), step.password_hash)])

    def _list_accounts(self, step: account_steps.ListAccounts) -> Plan[tuple[Account, ...]]:
        listed = asks("SMEMBERS", self._names.scoped) if step.scoped else asks("HVALS", self._names.names)
        (subjects,) = yield Exchange([listed])
        following = sorted({each for each in map(bytes.decode, subjects) if each > step.after})[: account_steps.PAGE]
        replies = yield from in_batches(asks("HGETALL", self._names.account(each)) for each in following)
        found = zip(following, map(fields_of, replies), strict=True)
        return tuple(layout.account_of(subject, fields) for subject, fields in found if fields)

    def _set_disabled(self, step: account_steps.SetDisabled) -> Plan[None]:
        at = "" if step.disabled_at is None else step.disabled_at
        yield Exchange([calls(scripts.SET_DISABLED, (self._names.account(step.subject),), at)])

    def _set_scope(self, step: account_steps.SetScope) -> Plan[None]:
        keys = (self._names.account(step.subject), self._names.scoped)
        yield Exchange([calls(scripts.SET_SCOPE, keys, step.subject, step.scope or "")])

    def _remove_account(self, step: account_steps.RemoveAccount) -> Plan[None]:
        account = yield from self._load_account(account_steps.LoadAccount(step.subject))
        if account is not None:
            keys = (self._names.account(step.subject), self._names.names, self._names.scoped)
            yield Exchange([calls(scripts.REMOVE_ACCOUNT, keys, step.subject, *layout.folded_names(account))])


def scored(reply: Sequence[Any]) -> list[tuple[bytes, int]]:
    """Return the members of a sorted set and their scores, whether the driver has parsed them or not."""
    if reply and isinstance(reply[0], list | tuple):
        return [(member, int(score)) for member, score in reply]
    return [(member, int(float(score))) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def _is_after(record: AuditRecord, step: operator_steps.ReadEvents) -> bool:
    if step.after is None:
        return True
    place = record.at, record.id
    return place < step.after if step.newest_first else place > step.after


def _members(flat: Sequence[bytes]) -> list[Member]:
    return list(zip(flat[::2], map(int, flat[1::2]), strict=True))


def in_batches(commands: Iterable[Command]) -> Plan[list[Any]]:
    """Send commands, `BATCH` at once, and return the replies."""
    replies: list[Any] = []
    left = iter(commands)
    while batch := tuple(islice(left, BATCH)):
        replies += yield Exchange(batch)
    return replies


def _cursor(place: str) -> bool:
    """Return whether a place is in the middle of a server: then the scan has looked at as many keys as asked."""
    return bool(place) and not place.startswith("0 ")
