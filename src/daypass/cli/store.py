"""``daypass store``: the database of sessions."""

import argparse

from daypass.cli.opening import issuer_on, opened
from daypass.cli.output import say, say_json
from daypass.cli.parser import add_json, add_store, command, group


def add(parser: argparse.ArgumentParser) -> None:
    """Add what follows the word."""
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
    add_store(migrating, purging)
    add_json(migrating, purging)


def migrate(options: argparse.Namespace) -> int:
    """Create a store's tables, or upgrade them."""
    from daypass.store_steps import Migrate

    with opened(options, existing=False) as store:
        schema = store.perform(Migrate())
    return say_json({"schema": schema}) if options.json else say(f"The store has schema {schema}")


def purge(options: argparse.Namespace) -> int:
    """Remove the sessions that are over."""
    with opened(options) as store:
        removed = issuer_on(store).purge()
    return say_json({"removed": removed}) if options.json else say(f"Removed {removed} sessions that were over")
