"""Connections to Redis or Valkey, made with redis-py."""
