"""``daypass store``: the database of sessions."""

import argparse

from daypass.cli.opening import issuer_on, opened
from daypass.cli.output import say, say_fields, say_json
from daypass.cli.parser import add_json, add_store, command, group
from daypass.errors import ConfigurationError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    migrating = command(
        commands,
        "migrate",
        migrate,
        "create or upgrade its tables; safe on running nodes",
        "daypass store migrate --store postgresql://app@db.example.com/app",
    )
    purging = command(
        commands,
        "purge",
        purge,
        "remove the sessions that are over; the service does so by itself",
        "daypass store purge",
    )
    showing = command(
        commands, "stats", stats, "count what there is in the store; it may take a while", "daypass store stats --json"
    )
    add_store(migrating, purging, showing)
    add_json(migrating, purging, showing)


def migrate(options: argparse.Namespace) -> int:
    """Create a store's tables, or upgrade them."""
    from daypass.store_steps import Migrate

    with opened(options, existing=False) as store:
        schema = store.perform(Migrate())
    return say_json({"schema": schema}) if options.json else say(f"The store has schema {schema}")


def stats(options: argparse.Namespace) -> int:
    """Count the contents of the store."""
    from daypass.clock import system_clock
    from daypass.operator_steps import OperatorStore, ReadStats

    with opened(options) as store:
        if not isinstance(store, OperatorStore):
            raise ConfigurationError(f"{type(store).__name__} does not count what it has")
        found = store.perform_operator(ReadStats(system_clock()))
    return say_json(dict(found)) if options.json else say_fields(found)


def purge(options: argparse.Namespace) -> int:
    """Remove ended and expired sessions that are no longer needed."""
    with opened(options) as store, issuer_on(store) as auth:
        removed = auth.purge()
    return say_json({"removed": removed}) if options.json else say(f"Removed {removed} sessions that were over")
