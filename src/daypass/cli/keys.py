"""``daypass key``: the keys that sign access tokens and authenticate refresh tokens."""

import argparse
from typing import TYPE_CHECKING, Any

from daypass.cli.opening import emit, given_secret, issuer_on, opened
from daypass.cli.output import say, say_json, say_records
from daypass.cli.parser import add_json, add_secret_file, add_store, command, group

if TYPE_CHECKING:
    from daypass.stores import Store


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    listing = command(
        commands, "list", list_keys, "list the keys, newest first", "daypass key list\ndaypass key list --json"
    )
    rotating = command(
        commands,
        "rotate",
        rotate,
        "add new keys; all tokens stay valid",
        "daypass key rotate\ndaypass key rotate --now",
        "It adds a signing key and a refresh key. They are published now and used in ten minutes, when every node\n"
        "and every cache has them. The old keys stay valid for verification as long as their tokens live. Give the\n"
        "secret as DAYPASS_SECRET or in a file, as for the service.",
    )
    rotating.add_argument("--now", action="store_true", help="use the new keys in five seconds")
    add_secret_file(rotating)
    retiring = command(
        commands,
        "retire",
        retire,
        "remove a leaked key: its tokens are refused",
        "daypass key retire kJ7x…",
        "Run daypass key rotate --now first if the key is in use.",
        aliases=("remove",),
    )
    retiring.add_argument("kid", metavar="KID")
    add_store(listing, rotating, retiring)
    add_json(listing, rotating, retiring)


def list_keys(options: argparse.Namespace) -> int:
    """List the keys in the store, newest first: what each is for, its state, and when its use begins."""
    with opened(options) as store:
        return _say_keys(store, as_json=options.json)


def rotate(options: argparse.Namespace) -> int:
    """Add new keys; they are used when every node has read them."""
    from daypass.keys import REFRESH
    from daypass.store_steps import ReadKeys

    secret = given_secret(options)
    with opened(options, existing=False) as store:
        signing = (record.algorithm for record in store.perform(ReadKeys()) if record.algorithm != REFRESH)
        algorithm: Any = next(signing, "ES256")  # the newest key's, which the service signs with
        with issuer_on(store, secret, algorithm, needs_keys=True) as auth:
            auth.rotate_keys(at_once=options.now)
        return _say_keys(store, as_json=options.json)


def retire(options: argparse.Namespace) -> int:
    """Remove a key: tokens made with it are refused."""
    from daypass.event import Event, EventCode
    from daypass.key_flows import remove

    with opened(options) as store, issuer_on(store) as auth:
        auth.run(remove(options.kid))
        emit(auth, Event(EventCode.KEY_REMOVED, auth.now(), reason=options.kid))
    return say_json({"kid": options.kid, "removed": True}) if options.json else say(f"Removed {options.kid}")


def _say_keys(store: "Store", *, as_json: bool) -> int:
    from daypass.clock import system_clock
    from daypass.operator_fields import keys_fields
    from daypass.store_steps import ReadKeys

    records = store.perform(ReadKeys())
    return say_records(keys_fields(records, system_clock()), as_json=as_json)
