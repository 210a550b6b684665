"""Opens the store that a command works on, and an issuer on it: both while the service runs."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daypass.errors import ConfigurationError

if TYPE_CHECKING:
    from daypass.event import Event
    from daypass.flow import Flow
    from daypass.issuer import Daypass
    from daypass.keys import Algorithm
    from daypass.secret import Secret
    from daypass.steps import Emit
    from daypass.stores import Store


def store_url(options: argparse.Namespace) -> str:
    """Return the URL of the store: that of the option, the environment, ``daypass.toml``, or the default."""
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
        existing: whether the database has to be there: in a new, empty one nothing would be found or ended, and
            nothing would say so.
    """
    from daypass.stores import open_store

    with contextlib.closing(open_store(store_url(options))) as store:
        path = getattr(store, "path", None)
        if existing and path is not None and not path.exists():
            raise ConfigurationError(
                f"no database at {path}: give the service's store with --store. Nothing was changed"
            )
        yield store


@contextlib.contextmanager
def issuer_on(
    store: "Store", secret: "Secret | None" = None, algorithm: "Algorithm" = "ES256", *, needs_keys: bool = False
) -> Iterator["Daypass"]:
    """Give an issuer, whose events are in the audit trail at the end.

    Args:
        store: of the service.
        secret: that the keys in it are wrapped under; None for the secret beside an embedded store.
        algorithm: what access tokens are signed with.
        needs_keys: whether it reads or makes keys; else no secret is needed.
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
    )
    if isinstance(store, OperatorStore):
        run(trail.write(system_clock()), store.perform_operator)  # type: ignore[arg-type]  # its steps are the store's


def emit(auth: "Daypass", event: "Event") -> None:
    """Tell what a command has done."""
    from daypass.steps import Emit

    auth.run(_emitting(Emit(event)))


def _emitting(step: "Emit") -> "Flow[None]":
    yield from step


def given_secret(options: argparse.Namespace) -> "Secret | None":
    """Return the master secrets of the option, the environment or ``daypass.toml``; None if none has any."""
    from daypass import secret_file
    from daypass.server import sources

    file = sources.text("secret_file", vars(options))
    return secret_file.given("DAYPASS_SECRET", file, os.environ)


def confirmed(question: str) -> bool:
    """Ask a person; False where nobody is at the terminal."""
    return sys.stdin.isatty() and input(question).strip() == "yes"


def _nobody(_: str) -> None:
    """Load no user: no command asks for one."""
