"""``daypass store``: the database of sessions."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from daypass.cli.opening import issuer_on, opened
from daypass.cli.output import say, say_fields, say_json, say_records
from daypass.cli.parser import add_json, add_store, command, group
from daypass.cli.progress import Progress
from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.operator_steps import Checked, OperatorStep, OperatorStore
    from daypass.store_steps import StoreStep
    from daypass.stores import Store

A = TypeVar("A")

FOUND = 3
"""The exit status of a check that found an error."""

_EXAMPLES = 3


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
        "daypass store purge\ndaypass store purge --store redis://db.example.com --absolute-ttl 365d",
        "It works beside a running service. Lifetimes come from its options, the environment or daypass.toml. If your\n"
        "application sets others, give them here: an ended session that is removed too early is no longer recognized.",
    )
    purging.add_argument("--absolute-ttl", metavar="TIME", help="maximum lifetime of a session (180d)")
    purging.add_argument("--access-ttl", metavar="TIME", help="lifetime of an access token (15m)")
    showing = command(
        commands, "stats", stats, "count what there is in the store; it may take a while", "daypass store stats --json"
    )
    checking = command(
        commands,
        "check",
        check,
        "look for what is damaged, missing or left over in the store; it may take a while",
        "daypass store check\ndaypass store check --store redis://db.example.com --json | jq -r .check",
        "It only reads, a few hundred rows or keys at a time, beside a running service.\n\n"
        "exit status: 0 no errors (there may be warnings); 1 it could not look; 3 errors; with --strict, 3 for\n"
        "warnings too",
    )
    checking.add_argument("--strict", action="store_true", help="exit with 3 for warnings too")
    add_store(migrating, purging, showing, checking)
    add_json(migrating, purging, showing, checking)


def migrate(options: argparse.Namespace) -> int:
    """Create a store's tables, or upgrade them."""
    from daypass.store_steps import Migrate

    with opened(options, existing=False) as store, Progress("migrating"):
        schema = store.perform(Migrate())
    return say_json({"schema": schema}) if options.json else say(f"The store has schema {schema}")


def stats(options: argparse.Namespace) -> int:
    """Count the contents of the store."""
    from daypass.clock import system_clock
    from daypass.operator_steps import ReadStats

    with opened(options) as store, Progress("counting"):
        found = _operated(store).perform_operator(ReadStats(system_clock()))
    return say_json(dict(found)) if options.json else say_fields(found)


def purge(options: argparse.Namespace) -> int:
    """Remove ended and expired sessions that are no longer needed."""
    from datetime import timedelta

    from daypass.duration import milliseconds
    from daypass.server import sources

    kept = sources.text("absolute_ttl", vars(options)) or "180d"
    access_ttl = sources.text("access_ttl", vars(options)) or "15m"
    idle_ttl = timedelta(milliseconds=milliseconds(kept))  # it only must not be longer
    with (
        opened(options) as store,
        Progress("purging") as progress,
        issuer_on(_Sweeping(store, progress), absolute_ttl=kept, idle_ttl=idle_ttl, access_ttl=access_ttl) as auth,
    ):
        removed = auth.purge()
    if options.json:
        return say_json({"removed": removed})
    return say(f"Removed {removed} sessions that were over; an ended session is kept until {kept} after its login")


class _Sweeping:
    """A store that reports what its sweep has removed."""

    def __init__(self, store: "Store", progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._removed = 0

    def perform(self, step: "StoreStep[A]") -> A:
        from daypass.store_steps import Swept

        answer = self._store.perform(step)
        if isinstance(answer, Swept):
            self._removed += answer.removed
            self._progress.note(f"{self._removed:,} removed")
        return answer

    def perform_operator(self, step: "OperatorStep[A]") -> A:
        return _operated(self._store).perform_operator(step)

    def close(self) -> None:
        """Leave the store open: who opened it closes it."""


def check(options: argparse.Namespace) -> int:
    """Look for faults in the store."""
    from daypass.stores.integrity import CHECKS, ERROR

    found: dict[str, _Found] = {}
    looked_at = 0
    with opened(options) as store, Progress("checking") as progress:
        for checked in parts(_operated(store)):
            looked_at += checked.looked_at
            progress.note(f"{looked_at:,} rows and keys")
            for fault in checked.faults:
                found.setdefault(fault.check, _Found()).add(fault.where)
    if _has_users_elsewhere(options):
        found.pop("session-without-user", None)
    if not found and not options.json:
        return say(f"Looked at {looked_at:,} rows and keys: nothing is wrong")
    records = sorted((each.record(*CHECKS[name], name) for name, each in found.items()), key=_order)
    say_records(records, as_json=options.json)
    is_bad = (bool(found) and options.strict) or any(each["severity"] == ERROR for each in records)
    return FOUND if is_bad else 0


class _Found:
    """What one check has found: how much, and a few examples."""

    def __init__(self) -> None:
        self._count = 0
        self._examples: list[str] = []

    def add(self, where: str) -> None:
        if where not in self._examples:
            self._count += 1
            self._examples += [where] if len(self._examples) < _EXAMPLES else []

    def record(self, severity: str, found: str, do: str, check: str) -> dict[str, Any]:
        return {
            "severity": severity,
            "check": check,
            "count": self._count,
            "found": found,
            "where": ", ".join(self._examples) + (", …" if self._count > _EXAMPLES else ""),
            "do": do,
        }


def _order(record: dict[str, Any]) -> tuple[str, str]:
    return record["severity"], record["check"]


def parts(store: "OperatorStore") -> "Iterator[Checked]":
    """Check part after part. The service goes on meanwhile, so only faults that are found twice count."""
    from daypass.clock import system_clock
    from daypass.operator_steps import Check, Checked

    place = ""
    while True:
        checked = store.perform_operator(Check(system_clock(), place))
        if checked.faults:
            again = store.perform_operator(Check(system_clock(), place))
            lasting = tuple(fault for fault in checked.faults if fault in again.faults)
            checked = Checked(lasting, checked.looked_at, checked.place)
        yield checked
        place = checked.place
        if not place:
            return


def _has_users_elsewhere(options: argparse.Namespace) -> bool:
    """Return whether users are your own, by the settings of the service that can be seen here."""
    from daypass.server import sources

    return any(sources.text(name, vars(options)) for name in ("users_webhook", "users_login_query", "oidc_issuer"))


def _operated(store: "Store") -> "OperatorStore":
    from daypass.operator_steps import OperatorStore

    if not isinstance(store, OperatorStore):
        raise ConfigurationError(f"{type(store).__name__} has no steps for operators")
    return store
