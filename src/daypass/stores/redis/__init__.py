"""Sessions in Redis or Valkey: one server, one behind sentinels, or a cluster; any number of processes anywhere."""

from daypass.stores.redis.store import AsyncRedisStore, RedisStore

__all__ = ["AsyncRedisStore", "RedisStore"]
