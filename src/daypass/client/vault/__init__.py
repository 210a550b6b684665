"""A vault: the tokens of many connections to other services, in one PostgreSQL or Redis, for all machines."""
