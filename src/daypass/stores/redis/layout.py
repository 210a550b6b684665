"""The names of all keys, and how sessions, signing keys and users are stored in them. No driver here.

========================= =========== ==========================================================================
key                       type        what
========================= =========== ==========================================================================
``p:{3f}:s:<id>``         hash        a session; ``<id>`` is 16 raw bytes, ``3f`` the first of them in hexadecimal
``p:{3f}:ended``          sorted set  ids of the ended sessions of this bucket, by ``ended_at``
``p:{3f}:everyone``       string      sessions of this bucket that were created until then are ended; the same in all
``p:u:<subject>``         sorted set  ids of a user's sessions, by ``created_at``; may lag
``p:d:<subject>``         sorted set  a user's devices, by their last login; only where devices are noticed
``p:{keys}``              hash        the signing keys: ``k:<kid>``, and ``w:<kid>`` what it is wrapped in
``p:{accounts}:names``    hash        addresses and names of built-in users, folded, and whose they are
``p:{accounts}:a:<subject>`` hash     a built-in user
``p:{accounts}:scoped``   set         the subjects of the built-in users who have a scope
``p:{events}``            sorted set  the audit trail: an id and JSON, by the time
``p:{marks}``             sorted set  marks: a key, a colon and a value, by the time they expire
``p:{marks}:names``       sorted set  the same, in alphabetical order
``p:once:<key>``          string      a mark that is added once: who added it. Redis removes it when it expires
``p:{sweep}``             hash        when the next batch of the sweep is due, and where the last one ended
``p:{schema}``            string      the oldest version of this layout that can work with the data
``p:{schema}:version``    string      the newest version that has worked with it
========================= =========== ==========================================================================

The text in braces chooses the slot in a cluster: a session and the endings of its bucket are in one slot. ``p`` is the
prefix, ``daypass`` by default.

No value of a session is longer than 64 bytes: up to that length Redis keeps a small hash in one compact block
(``hash-max-listpack-value``), which takes a fifth of the memory. Longer text is cut into ``u``, ``u1``, ``u2``, ….
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from daypass.databases.redis.settings import checked_prefix
from daypass.keys import KeyRecord
from daypass.operator_steps import AuditRecord
from daypass.session import Device, EndReason, Session
from daypass.user import Account, fold_name

VERSION = 5
"""2 added ``everyone``, 3 a session's own times and extras, 4 the thumbprint of its key, 5 the scopes of built-in
users. Older versions ignore them: nodes work side by side."""

COMPATIBLE_FROM = 1
BUCKETS = 256
LONGEST_VALUE = 64

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of the keys under one prefix.

    Raises:
        ConfigurationError: the prefix has other characters than letters, digits, ``_``, ``.``, ``:`` and ``-``.
    """

    prefix: str

    def __post_init__(self) -> None:
        checked_prefix(self.prefix)

    def session(self, raw_id: bytes) -> bytes:
        """Return the key of the session with this id."""
        return b"%s:{%02x}:s:%s" % (self.prefix.encode(), raw_id[0], raw_id)

    def endings(self, bucket: int) -> bytes:
        """Return the key of a bucket's endings; the bucket is the first byte of its sessions' ids."""
        return b"%s:{%02x}:ended" % (self.prefix.encode(), bucket)

    def everyone(self, bucket: int) -> bytes:
        """Return the key of the time up to which every session of a bucket is ended."""
        return b"%s:{%02x}:everyone" % (self.prefix.encode(), bucket)

    def probe(self, bucket: int) -> bytes:
        """Return the key that a probe writes to the server of this bucket."""
        return b"%s:{%02x}:probe" % (self.prefix.encode(), bucket)

    def index(self, subject: str) -> bytes:
        """Return the key of a user's index."""
        return b"%s:u:%s" % (self.prefix.encode(), subject.encode())

    def devices(self, subject: str) -> bytes:
        """Return the key of a user's devices."""
        return b"%s:d:%s" % (self.prefix.encode(), subject.encode())

    def account(self, subject: str) -> bytes:
        """Return the key of a built-in user."""
        return b"%s:{accounts}:a:%s" % (self.prefix.encode(), subject.encode())

    def only(self, name: str) -> bytes:
        """Return a key of which only one exists: ``keys``, ``sweep``, ``schema``."""
        return f"{self.prefix}:{{{name}}}".encode()

    @property
    def events(self) -> bytes:
        """The key of the audit trail."""
        return self.only("events")

    @property
    def marks(self) -> tuple[bytes, bytes]:
        """The keys of the marks: by the time they expire, and by name."""
        return self.only("marks"), self.only("marks") + b":names"

    def once(self, key: str) -> bytes:
        """Return the key of a mark that is added once."""
        return f"{self.prefix}:once:{key}".encode()

    @property
    def schema(self) -> tuple[bytes, bytes]:
        """The keys of the versions: the oldest that can work with the data, the newest that has."""
        return self.only("schema"), self.only("schema") + b":version"

    @property
    def names(self) -> bytes:
        """The key of the addresses and names."""
        return f"{self.prefix}:{{accounts}}:names".encode()

    @property
    def scoped(self) -> bytes:
        """The key of the users who have a scope."""
        return f"{self.prefix}:{{accounts}}:scoped".encode()

    @property
    def channel(self) -> bytes:
        """The channel on which endings are announced."""
        return f"{self.prefix}:endings".encode()

    @property
    def pattern(self) -> bytes:
        """The pattern of every key, for SCAN."""
        return f"{self.prefix}:*".encode()

    def session_id(self, key: bytes) -> bytes | None:
        """Return the id of the session whose key this is, None for another key."""
        raw_id = key[-16:]
        return raw_id if len(key) == len(self.prefix) + 24 and key == self.session(raw_id) else None

    def is_index(self, key: bytes) -> bool:
        """Return whether this is the key of a user's index."""
        return key.startswith(self.index(""))

    def is_devices(self, key: bytes) -> bool:
        """Return whether this is the key of a user's devices."""
        return key.startswith(self.devices(""))

    def is_endings(self, key: bytes) -> bool:
        """Return whether this is the key of a bucket's endings."""
        return key.endswith(b":ended") and len(key) == len(self.prefix) + 11


_TEXTS = ((b"s", "subject"), (b"c", "client_id"))
_DEVICE = ((b"n", "name"), (b"u", "user_agent"), (b"a", "address"))
_NUMBERS = ((b"g", "generation"), (b"r", "rotated_at"), (b"t", "created_at"), (b"x", "expires_at"))
_OWN_TIMES = ((b"i", "idle_ttl"), (b"z", "ends_at"))


def session_fields(session: Session) -> list[bytes]:
    """Return a session as fields and values, one after another."""
    fields: list[bytes] = [b"b", session.branch]
    for name, attribute in _NUMBERS:
        fields += (name, b"%d" % getattr(session, attribute))
    for name, attribute in _TEXTS:
        fields += _cut(name, getattr(session, attribute))
    for name, attribute in _DEVICE:
        fields += _cut(name, getattr(session.device, attribute))
    fields += _cut(b"o", session.scope)
    fields += _cut(b"m", session.extras)
    fields += _cut(b"k", session.key_thumbprint)
    for name, attribute in _OWN_TIMES:
        if getattr(session, attribute) is not None:
            fields += (name, b"%d" % getattr(session, attribute))
    if session.ended_at is not None and session.end_reason is not None:
        fields += (b"e", b"%d" % session.ended_at, b"y", session.end_reason.encode())
    return fields


def session_of(raw_id: bytes, fields: Fields) -> Session:
    """Return the session with these fields."""
    ended_at, reason = fields.get(b"e"), fields.get(b"y")
    found = Session(
        id=raw_id.hex(),
        subject=_joined(b"s", fields) or "",
        client_id=_joined(b"c", fields) or "",
        generation=int(fields[b"g"]),
        branch=fields[b"b"],
        rotated_at=int(fields[b"r"]),
        created_at=int(fields[b"t"]),
        expires_at=int(fields[b"x"]),
        ended_at=None if ended_at is None else int(ended_at),
        end_reason=None if reason is None else EndReason(reason.decode()),
        device=Device(_joined(b"n", fields), _joined(b"u", fields), _joined(b"a", fields)),
        scope=_joined(b"o", fields),
        extras=_joined(b"m", fields),
        key_thumbprint=_joined(b"k", fields),
        **{attribute: int(fields[name]) for name, attribute in _OWN_TIMES if name in fields},
    )
    return found.within_own_times()


def _cut(name: bytes, text: str | None) -> Iterator[bytes]:
    if text is None:
        return
    raw = text.encode()
    yield from (name, raw[:LONGEST_VALUE])
    for part, start in enumerate(range(LONGEST_VALUE, len(raw), LONGEST_VALUE), start=1):
        yield from (b"%s%d" % (name, part), raw[start : start + LONGEST_VALUE])


def _joined(name: bytes, fields: Fields) -> str | None:
    raw, part = fields.get(name), 1
    if raw is None:
        return None
    if len(raw) == LONGEST_VALUE:
        while (more := fields.get(b"%s%d" % (name, part))) is not None:
            raw, part = raw + more, part + 1
    return raw.decode()


def keys_of(fields: Fields) -> tuple[KeyRecord, ...]:
    """Return the signing keys in the fields of their hash, newest first."""
    records = (_key_of(name[2:], value, fields) for name, value in fields.items() if name.startswith(b"k:"))
    return tuple(sorted(records, key=lambda record: (-record.created_at, record.kid)))


def _key_of(kid: bytes, value: bytes, fields: Fields) -> KeyRecord:
    algorithm, created_at, used_from = value.decode().split(" ")
    return KeyRecord(kid.decode(), algorithm, fields[b"w:" + kid].decode(), int(created_at), int(used_from))


def account_fields(account: Account) -> list[bytes]:
    """Return a built-in user as fields and values, one after another."""
    values = {
        "email": account.email,
        "username": account.username,
        "password_hash": account.password_hash,
        "created_at": str(account.created_at),
        "disabled_at": None if account.disabled_at is None else str(account.disabled_at),
        "scope": account.scope,
    }
    return [part.encode() for name, value in values.items() if value is not None for part in (name, value)]


def account_of(subject: str, fields: Fields) -> Account:
    """Return the built-in user with these fields."""
    found = {name.decode(): value.decode() for name, value in fields.items()}
    disabled_at = found.get("disabled_at")
    return Account(
        subject=subject,
        email=found["email"],
        username=found.get("username"),
        password_hash=found["password_hash"],
        created_at=int(found["created_at"]),
        disabled_at=None if disabled_at is None else int(disabled_at),
        scope=found.get("scope"),
    )


def folded_names(account: Account) -> list[bytes]:
    """Return the names that find a built-in user; folded here, because Redis folds only ASCII."""
    return list(dict.fromkeys(fold_name(name).encode() for name in (account.email, account.username) if name))


def event_member(record: AuditRecord) -> str:
    """Return a record as it is stored: its id first, so that records of one millisecond are in order."""
    return f"{record.id}{json.dumps(astuple(record)[2:], ensure_ascii=False)}"


def event_of(member: bytes, at: int) -> AuditRecord:
    """Return the record in a member of the audit trail."""
    return AuditRecord(at, member[:16].decode(), *json.loads(member[16:]))


def fields_of(reply: Any) -> Fields:
    """Return the fields of a hash, from a mapping or from alternating names and values."""
    if isinstance(reply, Mapping):
        return reply
    flat: Sequence[bytes] = reply
    return dict(zip(flat[::2], flat[1::2], strict=True))


def fields_in(reply: Sequence[Any]) -> Fields:
    """Return the fields of a session from a script's answer: the result, the lengths of all parts, the parts."""
    fields: dict[bytes, bytes] = {}
    lengths, parts, at = reply[1].split(), reply[2], 0
    for name, value in zip(lengths[::2], lengths[1::2], strict=True):
        middle = at + int(name)
        end = middle + int(value)
        fields[parts[at:middle]] = parts[middle:end]
        at = end
    return fields
