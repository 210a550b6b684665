"""Connections to PostgreSQL and Redis: what the stores of a server and the storages of a client both stand on."""
