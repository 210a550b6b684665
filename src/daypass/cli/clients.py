"""``daypass client``: the OAuth clients in the file that the service reads."""

import argparse
from pathlib import Path

from daypass.cli.output import say, say_json, say_records
from daypass.cli.parser import add_json, command, group


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    commands = group(parser)
    adding = command(
        commands,
        "add",
        add_client,
        "add a client to a file; prints its id and its secret",
        'daypass client add "Our own apps" --public --id daypass --file clients.toml\n'
        "daypass client add Billing --introspects --file clients.toml",
    )
    adding.add_argument("name", metavar="NAME", help="display name")
    adding.add_argument("--id", metavar="ID", help="client id (random)")
    adding.add_argument("--public", action="store_true", help="an app that cannot keep a secret; it gets none")
    adding.add_argument("--scope", metavar="SCOPE", help="maximum scope of its access tokens: 'read write'")
    adding.add_argument("--introspects", action="store_true", help="allow this client to call /oauth/introspect")
    listing = command(
        commands, "list", list_clients, "list the clients in a file", "daypass client list --file clients.toml"
    )
    removing = command(
        commands,
        "remove",
        remove_client,
        "remove a client from a file; its tokens are refused once the service has read the file again",
        "daypass client remove 4e7c4a5c-8d0e-4f4c-b3a5-2f1f0f8f8d51 --file clients.toml",
    )
    removing.add_argument("id", metavar="ID", help="client id, as daypass client list shows it")
    for each in (adding, listing, removing):
        each.add_argument("--file", metavar="FILE", required=True, help="the file that the service reads")
    add_json(adding, listing, removing)


def add_client(options: argparse.Namespace) -> int:
    """Add an OAuth client to a file, and print its id and its secret."""
    from daypass.server import clients

    client, secret = clients.add(
        Path(options.file),
        options.name,
        client_id=options.id,
        public=options.public,
        scope=options.scope,
        introspects=options.introspects,
    )
    if options.json:
        return say_json({"client_id": client.id, "client_secret": secret, "name": client.name})
    say(f"Added {client.name} to {options.file}")
    say(f"client_id      {client.id}")
    if secret is None:
        return say("This is a public client: it has no secret")
    return say(f"client_secret  {secret}\nWrite the secret down: it is stored nowhere, and not shown again")


def list_clients(options: argparse.Namespace) -> int:
    """List the clients in a file; never a secret."""
    from daypass.server import clients

    found = clients.read(Path(options.file))
    return say_records(
        (
            {
                "client_id": each.id,
                "name": each.name,
                "kind": "confidential" if each.secret_hash else "public",
                "scope": each.scope,
                "introspects": each.introspects,
            }
            for each in found
        ),
        as_json=options.json,
    )


def remove_client(options: argparse.Namespace) -> int:
    """Remove a client from a file."""
    from daypass.server import clients

    client = clients.remove(Path(options.file), options.id)
    if options.json:
        return say_json({"client_id": client.id, "name": client.name})
    return say(f"Removed {client.name or client.id} from {options.file}")
