"""Connections to PostgreSQL and Redis, shared by the stores of a server and the storages of a client."""
