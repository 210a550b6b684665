"""The `daypass` command. Thin: each command reads its options, calls one thing and prints what came of it."""

import argparse
import contextlib
import getpass
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from daypass.duration import SECOND, milliseconds
from daypass.errors import ConfigurationError, DaypassError

if TYPE_CHECKING:
    from daypass.stores import Store

_STORE = "the store that the service uses (sqlite:///daypass.db)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0 when done, 1 when it could not be, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DaypassError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'it cannot go on'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted")


def serve(options: argparse.Namespace) -> int:
    """Run the ready-made service until a signal ends it."""
    _require("server", "argon2", "starlette", "uvicorn")
    from daypass.server import configuration, run
    from daypass.server.app import open_service

    configured = configuration.read(vars(options))
    with run.bind(configured.host, configured.port) as listening:
        address = run.address(listening)
        app = open_service(configured)
        run.serve(app, listening, lambda: _say(f"Daypass is ready at {address}"))
    return 0


def user_add(options: argparse.Namespace) -> int:
    """Add a built-in user."""
    _require("server", "argon2")
    from daypass.clock import system_clock
    from daypass.server import users

    with contextlib.closing(_open_store(options)) as store:
        account = users.add(store, options.email, options.username, _read_password(), system_clock())
    return _say(f"Added {account.email} with subject {account.subject}")


def client_add(options: argparse.Namespace) -> int:
    """Add an OAuth client to a file, and print its id and its secret."""
    from pathlib import Path

    from daypass.server import clients

    client, secret = clients.add(
        Path(options.file),
        options.name,
        client_id=options.id,
        public=options.public,
        scope=options.scope,
        introspects=options.introspects,
    )
    _say(f"Added {client.name} to {options.file}")
    _say(f"client_id      {client.id}")
    if secret is None:
        return _say("It has no secret")
    return _say(f"client_secret  {secret}\nThe secret is kept nowhere and not shown again")


def store_migrate(options: argparse.Namespace) -> int:
    """Make a store's tables, or bring them up to date."""
    from daypass.store_steps import Migrate

    with contextlib.closing(_open_store(options)) as store:
        return _say(f"The store has schema {store.perform(Migrate())}")


def keys_list(options: argparse.Namespace) -> int:
    """List the keys in the store, newest first: what each is for, and since when or from when on it is used."""
    from daypass.clock import system_clock
    from daypass.keys import in_use
    from daypass.store_steps import ReadKeys

    with contextlib.closing(_open_store(options)) as store:
        records = store.perform(ReadKeys())
    now = system_clock()
    for record in records:
        using = in_use([each for each in records if each.algorithm == record.algorithm], now)
        state = "in use" if record is using else "to come" if record.created_at > using.created_at else "verifies"
        _say(f"{record.kid:43}  {record.algorithm:7}  {state:8}  from {_time(record.used_from)}")
    return 0


def keys_rotate(options: argparse.Namespace) -> int:
    """Add new keys, to be used once every node has read them."""
    from daypass.issuer import Daypass
    from daypass.keys import REFRESH
    from daypass.server.configuration import read_secret
    from daypass.store_steps import ReadKeys

    secret = read_secret(options.secret_file or os.environ.get("DAYPASS_SECRET_FILE"), os.environ)
    with contextlib.closing(_open_store(options)) as store:
        signing = (record.algorithm for record in store.perform(ReadKeys()) if record.algorithm != REFRESH)
        algorithm: Any = next(signing, "ES256")  # that of the newest: what the service signs with
        auth = Daypass(store, issuer="http://localhost", load_user=_nobody, secret=secret, algorithm=algorithm)
        auth.rotate_keys(at_once=options.now)
    return keys_list(options)


def keys_remove(options: argparse.Namespace) -> int:
    """Remove a key: tokens made with it are refused from then on."""
    from daypass.store_steps import ReadKeys, RemoveKey

    with contextlib.closing(_open_store(options)) as store:
        if all(record.kid != options.kid for record in store.perform(ReadKeys())):
            raise ConfigurationError(f"there is no key {options.kid}; daypass keys list shows those there are")
        store.perform(RemoveKey(options.kid))
    return _say(f"Removed {options.kid}")


def login(options: argparse.Namespace) -> int:
    """Log in, for every shell."""
    _require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    password = _read_password(again=False)
    name = {"username": options.username} if options.email is None else {"email": options.email}
    commands.login(options.url, password, keyring=options.keyring, **name)
    return _say(f"Logged in at {options.url}")


def token(options: argparse.Namespace) -> int:
    """Print a fresh access token."""
    _require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    return _say(commands.token(options.url))


def request(options: argparse.Namespace) -> int:
    """Send a request with a fresh access token, and print the answer's body."""
    _require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    body = sys.stdin.buffer.read() if options.data == "-" else options.data and options.data.encode()
    answer = commands.request(options.method, options.target, url=options.url, headers=options.header, body=body)
    sys.stdout.buffer.write(answer.body)
    sys.stdout.flush()
    return 0 if answer.status < 400 else _fail(f"{answer.status} {answer.reason}")


def logout(options: argparse.Namespace) -> int:
    """Log out, in every shell."""
    _require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    told = commands.logout(options.url)
    return _say("Logged out" if told else "Logged out here; the server could not be told, and the session lives there")


def demo(options: argparse.Namespace) -> int:
    """Watch tokens expire and nobody notice."""
    _require("demo", "argon2", "httpx2", "rich", "starlette", "uvicorn")
    from daypass.demo.show import show

    return show(None if options.seconds is None else _seconds(options.seconds), as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="daypass", description="Keeps users logged in.")
    parser.add_argument("--version", action="version", version=f"daypass {version('daypass')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serving = commands.add_parser(
        "serve",
        help="run the ready-made service",
        description="Run the ready-made service: the endpoints at /auth, the public keys, and /healthz.",
        epilog="Each option may also be given as DAYPASS_… in the environment (DAYPASS_ACCESS_TTL=5m); the secret only "
        "as DAYPASS_SECRET or in a file. Durations are written 90s, 15m, 12h or 30d.",
    )
    serving.add_argument("--store", metavar="URL", help="where sessions live (sqlite:///daypass.db)")
    serving.add_argument("--issuer", metavar="URL", help="what access tokens name as their issuer (http://localhost)")
    serving.add_argument("--host", help="the address to listen on (127.0.0.1)")
    serving.add_argument("--port", help="the port to listen on, 0 for a free one (8000)")
    serving.add_argument("--access-ttl", metavar="TIME", help="how long an access token lives (15m)")
    serving.add_argument("--idle-ttl", metavar="TIME", help="how long a session lives unless it is refreshed (30d)")
    serving.add_argument("--absolute-ttl", metavar="TIME", help="how long a session lives at the most (180d)")
    serving.add_argument("--grace-period", metavar="TIME", help="how long a refresh may be repeated (30s)")
    serving.add_argument("--secret-file", metavar="FILE", help="the master secrets, newest first, mode 0600")
    serving.add_argument("--clients", metavar="FILE", help="the OAuth clients, as daypass client add writes it")
    serving.add_argument("--allow-insecure", action="store_true", help="serve plain HTTP to others than loopback")
    serving.add_argument(
        "--allowed-origins", metavar="ORIGINS", help="other origins whose pages may use it: https://app.example.com"
    )
    serving.add_argument("--trusted-proxies", metavar="PROXIES", help="addresses and networks, or off (127.0.0.1 ::1)")
    serving.add_argument(
        "--proxy-header", metavar="NAME", help="what they write: x-forwarded or forwarded (x-forwarded)"
    )
    serving.add_argument(
        "--rate-limits",
        metavar="URL",
        help="where they are counted: memory:, redis://… for several nodes, or off (memory:)",
    )
    serving.add_argument("--login-per-address", metavar="RATE", help="logins from one address, or off (30/minute)")
    serving.add_argument("--login-per-account", metavar="RATE", help="logins with one name, or off (10/minute)")
    serving.set_defaults(command=serve)

    user = commands.add_parser("user", help="the built-in users of the service")
    users = user.add_subparsers(metavar="COMMAND", required=True)
    adding = users.add_parser("add", help="add a user; the password is asked for, or read from standard input")
    adding.add_argument("email")
    adding.add_argument("--username", metavar="NAME")
    adding.add_argument("--store", metavar="URL", help=_STORE)
    adding.set_defaults(command=user_add)

    store = commands.add_parser("store", help="where sessions live")
    stores = store.add_subparsers(metavar="COMMAND", required=True)
    migrating = stores.add_parser(
        "migrate", help="make its tables, or bring them up to date; any number of nodes may do so at once"
    )
    migrating.add_argument("--store", metavar="URL", help=_STORE)
    migrating.set_defaults(command=store_migrate)
    keys = commands.add_parser("keys", help="the keys that tokens are made with").add_subparsers(
        metavar="COMMAND", required=True
    )
    listing = keys.add_parser("list", help="list them, newest first")
    listing.set_defaults(command=keys_list)
    rotating = keys.add_parser(
        "rotate",
        help="add new ones, published now and used in ten minutes; no token breaks",
        description="Add a signing key and a refresh key. They are published now and used in ten minutes, when every "
        "node and every cache of the key set has them; those before them verify on for as long as is needed. The "
        "secret is given as DAYPASS_SECRET or in a file, as for the service.",
    )
    rotating.add_argument("--now", action="store_true", help="use them in five seconds")
    rotating.add_argument("--secret-file", metavar="FILE", help="the master secrets, newest first, mode 0600")
    rotating.set_defaults(command=keys_rotate)
    removing = keys.add_parser("remove", help="remove one that has leaked: tokens made with it are refused")
    removing.add_argument("kid", metavar="KID")
    removing.set_defaults(command=keys_remove)
    for command in (listing, rotating, removing):
        command.add_argument("--store", metavar="URL", help=_STORE)
    _add_client_commands(commands)
    _add_oauth_commands(commands)

    showing = commands.add_parser("demo", help="watch tokens expire and nobody notice")
    showing.add_argument("--for", dest="seconds", metavar="SECONDS", help="end by itself after so long")
    showing.add_argument("--json", action="store_true", help="print the summary alone, as JSON")
    showing.set_defaults(command=demo)
    return parser


def _open_store(options: argparse.Namespace) -> "Store":
    from daypass.server.configuration import DEFAULTS
    from daypass.stores import open_store

    url = options.store or os.environ.get("DAYPASS_STORE") or DEFAULTS["store"]
    if url == "memory:":
        raise ConfigurationError("a memory store keeps nothing; give the store that the service uses, with --store")
    return open_store(url)


def _nobody(_: str) -> None:
    """Load no user: none is asked for."""


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // SECOND, UTC).isoformat().replace("+00:00", "Z")


def _add_client_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    entering = commands.add_parser("login", help="log in; the password is asked for, or read from standard input")
    entering.add_argument("url", metavar="URL", help="of the session endpoints, such as https://api.example.com/auth")
    who = entering.add_mutually_exclusive_group(required=True)
    who.add_argument("--email")
    who.add_argument("--username", metavar="NAME")
    entering.add_argument("--keyring", action="store_true", help="keep the session in the system's keyring")
    entering.set_defaults(command=login)

    showing = commands.add_parser("token", help="print a fresh access token; any number of shells may do so at once")
    sending = commands.add_parser("request", help="send a request with a fresh access token")
    sending.add_argument("method", metavar="METHOD")
    sending.add_argument("target", metavar="URL", help="or a path on the session's origin")
    sending.add_argument("--data", metavar="TEXT", help="the body; - reads it from standard input")
    sending.add_argument("--header", metavar="HEADER", action="append", default=[], help="such as 'Accept: text/plain'")
    leaving = commands.add_parser("logout", help="log out, here and on the server")
    for parser, command in ((showing, token), (sending, request), (leaving, logout)):
        parser.add_argument("--url", metavar="URL", help="which session, if not the one that was logged in last")
        parser.set_defaults(command=command)


def _add_oauth_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    client = commands.add_parser("client", help="the OAuth clients of the service")
    adding = client.add_subparsers(metavar="COMMAND", required=True).add_parser(
        "add", help="add one to a file, and print its id and its secret, once"
    )
    adding.add_argument("name", metavar="NAME", help="for people")
    adding.add_argument("--file", metavar="FILE", required=True, help="what the service reads by --clients")
    adding.add_argument("--id", metavar="ID", help="what it is known by; drawn at random unless given")
    adding.add_argument("--public", action="store_true", help="it can keep no secret, and gets none")
    adding.add_argument("--scope", metavar="SCOPE", help="the most that its access tokens may bear: 'read write'")
    adding.add_argument("--introspects", action="store_true", help="it may ask what tokens are worth")
    adding.set_defaults(command=client_add)


def _require(extra: str, *modules: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigurationError(f"this command needs {', '.join(missing)}: pip install 'daypass[{extra}]'")


def _read_password(*, again: bool = True) -> str:
    outcome = "nothing was added" if again else "nothing was changed"
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\r\n")
        password = getpass.getpass("Password: ")
        if again and getpass.getpass("Again: ") != password:
            raise ConfigurationError(f"the two passwords differ; {outcome}")
    except EOFError:
        raise ConfigurationError(f"no password was given; {outcome}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the password is not text in UTF-8; {outcome}") from None
    return password


def _seconds(text: str) -> float:
    return milliseconds(f"{text}s" if text.replace(".", "", 1).isdecimal() else text) / SECOND


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"daypass: {reason}\n")
    return 1
