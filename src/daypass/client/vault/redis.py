"""The rows of a vault in Redis or Valkey: bucket by bucket; each bucket is in one slot of a cluster.

`daypass.client.storage.redis` lists the keys. A keeper adds one: ``p:{3f}:held:<provider>``, a sorted set of the rows
that a keeper has claimed, by the time when they can be claimed again.
"""

from typing import Any

from daypass.client.storage.redis import BUCKETS, RedisRows, in_milliseconds, row_of
from daypass.client.vault.rows import Page

_CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local claimed, from = {}, 0
while #claimed < tonumber(ARGV[3]) do
  local idle = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1], 'LIMIT', from, 100)
  if #idle == 0 then break end
  for _, key in ipairs(idle) do
    if #claimed < tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[2], key) then
      redis.call('ZADD', KEYS[2], now + ARGV[2], key)
      claimed[#claimed + 1] = key
    end
  end
  from = from + 100
end
return claimed
"""


_PAGE = """
local scanned, found = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2]), {}
for at = 1, #scanned[2], 2 do
  local key = scanned[2][at]
  found[#found + 1] = {key, redis.call('HGETALL', ARGV[3] .. key)}
end
return {redis.call('TIME'), scanned[1], found}
"""


class RedisVaultRows(RedisRows):
    """The rows in one Redis, for a vault; its arguments are those of `RedisRows`."""

    def page(self, provider: str | None, after: str, size: int) -> Page:
        """Return some rows of one provider in one bucket; see `VaultRows.page`.

        ``after`` is the bucket, the place in its sorted set, and the provider: ``63 0 xero``.
        """
        bucket, cursor, current = (after or "0 0 ").split(" ", 2)
        current = current or self._provider_after("", int(bucket), provider) or ""
        if not current:
            return [], _next_bucket(int(bucket)), 0
        name = self.names.bucket(int(bucket))
        time, cursor, found = self.evaluate(_PAGE, [f"{name}:due:{current}"], [cursor, size, f"{name}:row:"])
        if int(cursor):
            following = f"{bucket} {int(cursor)} {current}"
        elif other := self._provider_after(current, int(bucket), provider):
            following = f"{bucket} 0 {other}"
        else:
            following = _next_bucket(int(bucket))
        rows = [(key.decode(), row) for key, flat in found if (row := row_of(flat)) is not None]
        return rows, following, in_milliseconds(time)

    def claim(self, provider: str, idle_for: int, hold_for: int, size: int) -> list[str]:
        """Claim idle connections, the longest idle first, from buckets that have any; see `VaultRows.claim`."""
        claimed: list[bytes] = []
        for name in self._with_idle(provider, idle_for):
            keys = [f"{name}:due:{provider}", f"{name}:held:{provider}"]
            claimed += self.evaluate(_CLAIM, keys, [idle_for, hold_for, size - len(claimed)], writes=True)
            if len(claimed) >= size:
                break
        return [key.decode() for key in claimed]

    def _with_idle(self, provider: str, idle_for: int) -> list[str]:
        """Return the names of the buckets with idle connections, with one round trip."""
        names = [self.names.bucket(number) for number in range(BUCKETS)]
        until = in_milliseconds(self.send([("TIME",)])[0]) - idle_for
        first: list[Any] = [
            ("ZRANGEBYSCORE", f"{name}:due:{provider}", "-inf", until, "LIMIT", 0, 1, "WITHSCORES") for name in names
        ]
        found = [(float(reply[1]), name) for reply, name in zip(self.send(first), names, strict=True) if reply]
        return [name for _, name in sorted(found)]

    def _provider_after(self, before: str, bucket: int, only: str | None) -> str | None:
        """Return the next provider with rows in a bucket, ordered by name."""
        if only is not None:
            return only if before < only else None
        found = self.send([("SMEMBERS", f"{self.names.bucket(bucket)}:providers")])[0]
        return min((each for each in (name.decode() for name in found) if each > before), default=None)


def _next_bucket(bucket: int) -> str:
    return f"{bucket + 1} 0 " if bucket + 1 < BUCKETS else ""
