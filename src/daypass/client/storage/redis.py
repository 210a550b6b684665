"""Rows of shared storages in Redis or Valkey: one server, one behind sentinels, or a cluster.

A row is a hash, and its key has one of 256 buckets as its hash tag. The same bucket has, for each provider, a sorted
set of its rows by last use, and a set of the providers: one script changes a row and both, in a cluster too.

========================= =========== ==========================================================
key                       type        what
========================= =========== ==========================================================
``p:{3f}:row:<key>``      hash        a row; ``3f`` is the bucket
``p:{3f}:due:<provider>`` sorted set  keys of rows by ``used_at``; infinite for a row that needs a login
``p:{3f}:providers``      set         the providers that this bucket has rows of
========================= =========== ==========================================================

``p`` is the prefix followed by ``:connection``.
"""

import threading
import zlib
from dataclasses import asdict, dataclass, fields
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from daypass.client.sealing import Sealing
from daypass.client.storage.row import FORMAT, Row, check_format, provider_of
from daypass.client.storage.shared import SharedStorage
from daypass.databases.redis import clients, errors
from daypass.databases.redis.settings import read_settings
from daypass.duration import Duration
from daypass.forks import survive_forks
from daypass.secret import Secret

BUCKETS = 256
REPLICATED_WITHIN = 100
"""Milliseconds that a write behind sentinels waits for a replica: a failover may lose data that no replica has."""

_READ = "return {redis.call('TIME'), redis.call('HGETALL', KEYS[1])}"
_SWAP = """
local found = redis.call('HGET', KEYS[1], 'revision') or ''
if found ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], ARGV[4]) end
else
  redis.call('HSET', KEYS[1], unpack(ARGV, 5))
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
  redis.call('SADD', KEYS[3], ARGV[4])
end
return 1
"""
_TEXTS = ("revision", "sealed", "reason", "intent_by", "last_error")
_NAMES = tuple(each.name for each in fields(Row))


@dataclass(frozen=True, slots=True)
class Names:
    """Makes the names of the keys with one prefix."""

    prefix: str

    def row(self, key: str) -> str:
        """Return the name of a row."""
        return f"{self._bucket(key)}:row:{key}"

    def due(self, key: str) -> str:
        """Return the name of the sorted set that a row is in."""
        return f"{self._bucket(key)}:due:{provider_of(key)}"

    def providers(self, key: str) -> str:
        """Return the name of the set that a row's provider is in."""
        return f"{self._bucket(key)}:providers"

    def bucket(self, number: int) -> str:
        """Return the prefix of the names of a bucket's keys."""
        return f"{self.prefix}:connection:{{{number:02x}}}"

    def _bucket(self, key: str) -> str:
        return self.bucket(zlib.crc32(key.encode()) % BUCKETS)


class RedisRows:
    """The rows in one Redis, on connections that all threads of a process share.

    Args: as for `RedisStorage`.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        timeout: Duration | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._settings = read_settings(url, prefix, timeout, max_connections)
        self.names = Names(self._settings.prefix)
        self.recover_from_fork()
        survive_forks(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.shown} {self.names.prefix}>"

    def recover_from_fork(self) -> None:
        """Reset in a forked child: the connections belong to the parent."""
        self._opening = threading.Lock()
        self._clients: list[Any] = []
        self._turns = threading.BoundedSemaphore(self._settings.max_connections)

    def read(self, key: str) -> tuple[Row | None, int]:
        """Read a row; see `daypass.client.storage.shared.Rows.read`."""
        time, flat = self.evaluate(_READ, [self.names.row(key)])
        return row_of(flat), in_milliseconds(time)

    def swap(self, key: str, revision: str | None, row: Row | None) -> bool:
        """Replace a row; see `daypass.client.storage.shared.Rows.swap`."""
        names = [self.names.row(key), self.names.due(key), self.names.providers(key)]
        given = [revision or "", key, _score(row), provider_of(key), *_flat(row)]
        return bool(self.evaluate(_SWAP, names, given, writes=True))

    def evaluate(
        self, script: str, keys: list[str], arguments: list[Any] | None = None, *, writes: bool = False
    ) -> Any:
        """Run a script, whose keys are in one slot, and return its result.

        Raises:
            StoreUnavailable: the server is down, full, read-only or did not answer in time; a script that writes may
                have run.
        """
        given = (len(keys), *keys, *(arguments or ()))
        reply = self.send([("EVALSHA", _sha(script), *given)], writes=writes)[0]
        if isinstance(reply, NoScriptError):
            reply = self.send([("EVAL", script, *given)], writes=writes)[0]
        return reply

    def send(self, commands: list[clients.Words], *, writes: bool = False) -> list[Any]:
        """Send commands together and return their replies; raises the same as `evaluate`."""
        settings = self._settings
        if writes and settings.kind == "sentinel":
            commands = [*commands, ("WAIT", 1, REPLICATED_WITHIN)]
        if not self._turns.acquire(timeout=settings.timeout):
            raise errors.too_slow(settings.shown, settings.timeout)
        try:
            replies = clients.exchange(self._client(), commands)
            errors.check(replies)
        except errors.DRIVER as error:
            raise errors.unavailable(settings.shown, error) from None
        finally:
            self._turns.release()
        return replies

    def close(self) -> None:
        """Close all connections; they are opened again when needed."""
        with self._opening:
            opened, self._clients = self._clients, []
        for each in opened:
            each.close()

    def _client(self) -> Any:
        opened = self._clients
        if not opened:
            with self._opening:
                opened = self._clients = self._clients or clients.make_clients(self._settings)
        return opened[0]


def in_milliseconds(time: list[bytes]) -> int:
    """Return the reply of ``TIME`` in milliseconds since the epoch."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def row_of(flat: list[bytes]) -> Row | None:
    """Return the row whose names and values alternate in ``flat``; ``None`` if it is empty.

    Raises:
        ConfigurationError: it was written by a newer version of Daypass.
    """
    if not flat:
        return None
    found = {flat[at].decode(): flat[at + 1].decode() for at in range(0, len(flat), 2)}
    check_format(int(found["format"]))
    values = {name: found[name] for name in _NAMES if name in found}
    return Row(**{name: value if name in _TEXTS else int(value) for name, value in values.items()})  # type: ignore[arg-type]  # by the names of its fields


def _flat(row: Row | None) -> list[Any]:
    if row is None:
        return []
    there = {name: value for name, value in asdict(row).items() if value is not None}
    return [word for pair in ({"format": FORMAT} | there).items() for word in pair]


def _score(row: Row | None) -> str:
    """Return the score that sorts a row; empty for a row that is removed."""
    if row is None:
        return ""
    return str(row.used_at) if row.reason is None else "inf"


def _sha(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


class RedisStorage(SharedStorage):
    """Keeps one session in Redis 6.2 or later or Valkey, encrypted, for any number of machines: one of them refreshes.

    Redis must not lose data: disable eviction, and behind sentinels set ``min-replicas-to-write 1``. A failover may
    lose the newest refresh token if no replica had it yet; a provider with single-use tokens then requires a new login.

    Args:
        url: ``redis://host:6379/0``, ``rediss://…``, ``unix:///path``, ``redis+sentinel://host:26379,host:26379/service/0``
            or ``redis+cluster://host:6379,host:6379``.
        key: names the session; `Vault` gives the names ``provider/name``.
        secret: encrypts the tokens: at least 32 bytes, or several secrets, newest first. Not ``DAYPASS_SECRET``.
        prefix: the prefix of all keys; ``daypass`` unless the URL has another one.
        timeout: how long a command may take: seconds, or text such as ``5s``.
        max_connections: how many connections each process may open.

    Raises:
        ConfigurationError: an argument is invalid. No connection is opened yet.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        secret: Secret,
        prefix: str | None = None,
        timeout: Duration | None = None,
        max_connections: int | None = None,
    ) -> None:
        rows = RedisRows(url, prefix=prefix, timeout=timeout, max_connections=max_connections)
        super().__init__(rows, key, Sealing(secret))
