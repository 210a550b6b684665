"""Opens the store that a command works on, and an issuer on it; the service may be running."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.event import Event
    from daypass.flow import Flow
    from daypass.issuer import Daypass
    from daypass.keys import Algorithm
    from daypass.policy import Durations
    from daypass.secret import Secret
    from daypass.steps import Emit
    from daypass.stores import Store


def store_url(options: argparse.Namespace) -> str:
    """Return the URL of the store: from the option, the environment, ``daypass.toml``, or the default."""
    from daypass.server import sources

    url = sources.store_url(vars(options))
    if url == "memory:":
        raise ConfigurationError("memory: is empty in a new process; give the service's store with --store")
    return url


@contextlib.contextmanager
def opened(options: argparse.Namespace, *, existing: bool = True) -> Iterator["Store"]:
    """Open the store, and close it at the end.

    Args:
        options: of the command.
        existing: whether the database must exist: in a new, empty one nothing would be found or ended, without any
            message.
    """
    from daypass.stores import open_store

    with contextlib.closing(open_store(store_url(options), beside_service=True)) as store:
        path = getattr(store, "path", None)
        if existing and path is not None and not path.exists():
            raise ConfigurationError(
                f"no database at {path}: give the service's store with --store. Nothing was changed"
            )
        yield store


@contextlib.contextmanager
def issuer_on(
    store: "Store",
    secret: "Secret | None" = None,
    algorithm: "Algorithm" = "ES256",
    *,
    needs_keys: bool = False,
    **lifetimes: "Unpack[Durations]",
) -> Iterator["Daypass"]:
    """Yield an issuer; at the end, its events are written to the audit trail.

    Args:
        store: the store of the service.
        secret: the secret that wraps the keys in it; None for the secret beside an embedded store.
        algorithm: the algorithm that signs access tokens.
        needs_keys: whether it reads or creates keys; otherwise no secret is needed.
        lifetimes: those of the service, for a command that depends on them.
    """
    import secrets

    from daypass.audit import AuditTrail
    from daypass.clock import system_clock
    from daypass.drive import run
    from daypass.issuer import Daypass
    from daypass.operator_steps import OperatorStore
    from daypass.tally import Tally

    trail = AuditTrail(None, Tally(), secrets.token_hex(4))  # only the service knows how long it is kept
    yield Daypass(
        store,
        issuer="http://localhost",
        load_user=_nobody,
        secret=secret if needs_keys else secrets.token_bytes(32),
        algorithm=algorithm,
        on_event=trail.add,
        **lifetimes,
    )
    if isinstance(store, OperatorStore):
        run(trail.write(system_clock()), store.perform_operator)  # type: ignore[arg-type]  # its steps are the store's


def emit(auth: "Daypass", event: "Event") -> None:
    """Print what a command has done."""
    from daypass.steps import Emit

    auth.run(_emitting(Emit(event)))


def _emitting(step: "Emit") -> "Flow[None]":
    yield from step


def given_secret(options: argparse.Namespace) -> "Secret | None":
    """Return the master secrets of the option, the environment or ``daypass.toml``; None without any."""
    from daypass import secret_file
    from daypass.server import sources

    file = sources.text("secret_file", vars(options))
    return secret_file.given("DAYPASS_SECRET", file, os.environ)


def confirmed(question: str) -> bool:
    """Ask the user; return False without a terminal."""
    return sys.stdin.isatty() and input(question).strip() == "yes"


def _nobody(_: str) -> None:
    """Load no user: no command needs one."""
