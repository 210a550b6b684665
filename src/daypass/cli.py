"""The `daypass` command. Thin: each command reads its options, calls one thing and prints the result."""

import argparse
import contextlib
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from daypass.cli_output import fail, iso_time, require, say, show_page, warn
from daypass.duration import SECOND, milliseconds
from daypass.errors import ConfigurationError, DaypassError

if TYPE_CHECKING:
    from daypass.stores import Store

_STORE = "the store of the service (sqlite:///daypass.db)"
_FILE_OF_SECRETS = "file of the master secrets, newest first; mode 0600"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 0 if it worked, 1 if it failed, 2 for wrong arguments."""
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.refuse(unknown[0])
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DaypassError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return fail("interrupted")


def serve(options: argparse.Namespace) -> int:
    """Run the ready-made service until a signal ends it."""
    require("server", "argon2", "starlette", "uvicorn")
    from daypass.server import configuration, run
    from daypass.server.app import open_service

    configured = configuration.read(vars(options))
    with run.bind(configured.host, configured.port) as listening:
        address = run.address(listening)
        app = open_service(configured)
        if configured.warning:
            warn(configured.warning)
        run.serve(app, listening, lambda: say(f"Daypass is ready at {address}"))
    return 0


def user_add(options: argparse.Namespace) -> int:
    """Add a built-in user."""
    require("server", "argon2")
    from daypass.clock import system_clock
    from daypass.server import users

    with contextlib.closing(_open_store(options)) as store:
        account = users.add(store, options.email, options.username, _read_password(), system_clock())
    return say(f"Added {account.email} with subject {account.subject}")


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
    say(f"Added {client.name} to {options.file}")
    say(f"client_id      {client.id}")
    if secret is None:
        return say("This is a public client: it has no secret")
    return say(f"client_secret  {secret}\nWrite the secret down: it is stored nowhere, and not shown again")


def store_migrate(options: argparse.Namespace) -> int:
    """Create a store's tables, or upgrade them."""
    from daypass.store_steps import Migrate

    with contextlib.closing(_open_store(options)) as store:
        return say(f"The store has schema {store.perform(Migrate())}")


def sessions_end_everyone(options: argparse.Namespace) -> int:
    """End all sessions of all users."""
    import secrets

    from daypass.issuer import Daypass

    if not options.yes and not _confirmed("This logs out every user. Type yes to go on: "):
        raise ConfigurationError("this logs out every user; write --yes to confirm. Nothing was changed")
    with contextlib.closing(_open_existing_store(options)) as store:
        unused = secrets.token_bytes(32)  # no key is read or made
        Daypass(store, issuer="http://localhost", load_user=_nobody, secret=unused).end_everyone()
    return say("Ended all sessions; every user has to log in again")


def keys_list(options: argparse.Namespace) -> int:
    """List the keys in the store, newest first: what each is for, its state, and when its use begins."""
    from daypass.clock import system_clock
    from daypass.keys import in_use
    from daypass.store_steps import ReadKeys

    with contextlib.closing(_open_existing_store(options)) as store:
        records = store.perform(ReadKeys())
    now = system_clock()
    for record in records:
        using = in_use([each for each in records if each.algorithm == record.algorithm], now)
        state = "in use" if record is using else "next" if record.created_at > using.created_at else "verifies"
        say(f"{record.kid:43}  {record.algorithm:7}  {state:8}  from {iso_time(record.used_from)}")
    return 0


def keys_rotate(options: argparse.Namespace) -> int:
    """Add new keys; they are used when every node has read them."""
    from daypass import secret_file
    from daypass.issuer import Daypass
    from daypass.keys import REFRESH
    from daypass.store_steps import ReadKeys

    file = options.secret_file or os.environ.get("DAYPASS_SECRET_FILE")
    secret = secret_file.given("DAYPASS_SECRET", file, os.environ)
    with contextlib.closing(_open_store(options)) as store:
        signing = (record.algorithm for record in store.perform(ReadKeys()) if record.algorithm != REFRESH)
        algorithm: Any = next(signing, "ES256")  # that of the newest: what the service signs with
        auth = Daypass(store, issuer="http://localhost", load_user=_nobody, secret=secret, algorithm=algorithm)
        auth.rotate_keys(at_once=options.now)
    return keys_list(options)


def keys_remove(options: argparse.Namespace) -> int:
    """Remove a key: tokens made with it are refused."""
    from daypass.drive import run
    from daypass.key_flows import remove

    with contextlib.closing(_open_existing_store(options)) as store:
        run(remove(options.kid), store.perform)  # type: ignore[arg-type]  # its steps are the store's
    return say(f"Removed {options.kid}")


def login(options: argparse.Namespace) -> int:
    """Log in; every shell of this user shares the session."""
    require("shell", "httpx2", "filelock", "platformdirs")
    if options.oauth is not None:
        return _login_by_oauth(options)
    if options.url is None:
        raise ConfigurationError("the URL is missing: daypass login URL --email you@example.com")
    from daypass.client import commands

    password = _read_password(again=False)
    name = {"username": options.username} if options.email is None else {"email": options.email}
    ended = commands.login(options.url, password, account=options.account, keyring=options.keyring, **name)
    return _logged_in(options.url, ended=ended)


def _login_by_oauth(options: argparse.Namespace) -> int:
    require("oauth", "authlib")
    if options.client_id is None:
        raise ConfigurationError("the client's id is missing: add --client-id ID")
    from daypass.client import commands

    ended = commands.login_by_oauth(
        options.oauth,
        options.client_id,
        show_page,
        url=options.url,
        scope=options.scope,
        device=options.device,
        account=options.account,
        keyring=options.keyring,
    )
    return _logged_in(options.url or options.oauth, ended=ended)


def _logged_in(url: str, *, ended: bool) -> int:
    say(f"Logged in at {url}")
    if not ended:
        warn("the replaced session could not be ended on the server; it stays there until it expires")
    return 0


def token(options: argparse.Namespace) -> int:
    """Print a fresh access token."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    return say(commands.token(options.url, options.account))


def request(options: argparse.Namespace) -> int:
    """Send a request with a fresh access token, and print the response body."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    body = sys.stdin.buffer.read() if options.data == "-" else options.data and options.data.encode()
    answer = commands.request(
        options.method, options.target, url=options.url, account=options.account, headers=options.header, body=body
    )
    sys.stdout.buffer.write(answer.body)
    sys.stdout.flush()
    return 0 if answer.status < 400 else fail(f"{answer.status} {answer.reason}")


def logout(options: argparse.Namespace) -> int:
    """Log out, here and on the server."""
    require("shell", "httpx2", "filelock", "platformdirs")
    from daypass.client import commands

    ended = commands.logout(options.url, options.account)
    return say("Logged out" if ended else "Logged out here; the session could not be ended on the server")


def demo(options: argparse.Namespace) -> int:
    """Show real sessions whose access tokens expire every few seconds."""
    require("demo", "argon2", "httpx2", "rich", "starlette", "uvicorn")
    from daypass.demo.show import show

    return show(None if options.seconds is None else _seconds(options.seconds), as_json=options.json)


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest option, and takes no abbreviations: they would change when options are added."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, allow_abbrev=False)

    def refuse(self, unknown: str) -> NoReturn:
        """Print the usage and what may have been meant, and exit with status 2."""
        name = unknown.partition("=")[0]
        options = [word for action in self._actions for word in action.option_strings]
        near = [word for word in options if word.startswith(name)] or get_close_matches(name, options, n=1)
        self.error(f"unknown argument {unknown}" + (f": did you mean {near[0]}?" if near else ""))


class _Version(argparse.Action):
    """Looks the version up when it is asked for: that takes longer than most commands."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        say(f"daypass {version('daypass')}")
        parser.exit()


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, call: Callable[[argparse.Namespace], int], **texts: Any
) -> _Parser:
    parser = commands.add_parser(name, **texts)
    parser.set_defaults(command=call, parser=parser)
    return parser


def _group(commands: "argparse._SubParsersAction[_Parser]", name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text)
    parser.set_defaults(parser=parser)
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _parser() -> _Parser:
    parser = _Parser(prog="daypass", description="Keeps users logged in.")
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_store_commands(commands)
    _add_client_commands(commands)
    from daypass import cli_vault

    vault = _group(commands, "vault", "tokens of other services, kept once for all machines")
    cli_vault.add_commands(vault, _command)
    showing = _command(commands, "demo", demo, help="watch sessions whose access tokens expire every few seconds")
    showing.add_argument("--for", dest="seconds", metavar="SECONDS", help="end after this time")
    showing.add_argument("--json", action="store_true", help="print only the summary, as JSON")
    return parser


def _add_serve(commands: "argparse._SubParsersAction[_Parser]") -> None:
    serving = _command(
        commands,
        "serve",
        serve,
        help="run the ready-made service",
        description="Run the ready-made service: the endpoints at /auth, the public keys, and /healthz.",
        epilog="Every option can be set in the environment too: DAYPASS_ACCESS_TTL=5m. The secret can only be set as "
        "DAYPASS_SECRET or in a file. Durations are written 90s, 15m, 12h or 30d.",
    )
    serving.add_argument("--store", metavar="URL", help="where sessions are stored (sqlite:///daypass.db)")
    serving.add_argument("--issuer", metavar="URL", help="the issuer in access tokens (http://localhost)")
    serving.add_argument("--host", help="address to listen on (127.0.0.1)")
    serving.add_argument("--port", help="port to listen on, 0 for a free one (8000)")
    serving.add_argument("--access-ttl", metavar="TIME", help="lifetime of an access token (15m)")
    serving.add_argument("--idle-ttl", metavar="TIME", help="lifetime of a session that is not refreshed (30d)")
    serving.add_argument(
        "--session-idle-ttl", metavar="TIME", help="the same for a login with remember=false, if shorter (12h)"
    )
    serving.add_argument("--absolute-ttl", metavar="TIME", help="maximum lifetime of a session (180d)")
    serving.add_argument("--grace-period", metavar="TIME", help="how long a refresh can be repeated (30s)")
    serving.add_argument("--secret-file", metavar="FILE", help=_FILE_OF_SECRETS)
    serving.add_argument("--clients", metavar="FILE", help="file of OAuth clients, as daypass client add writes it")
    serving.add_argument("--allow-insecure", action="store_true", help="accept plain HTTP from other machines")
    serving.add_argument(
        "--cookie-name", metavar="NAME", help="name of the cookie; the same for all nodes of a service"
    )
    serving.add_argument("--allowed-origins", metavar="ORIGINS", help="other origins whose pages may use the service")
    serving.add_argument("--trusted-proxies", metavar="PROXIES", help="addresses and networks, or off (127.0.0.1 ::1)")
    serving.add_argument("--proxy-header", metavar="NAME", help="header they write: x-forwarded or forwarded")
    serving.add_argument("--rate-limits", metavar="URL", help="where to count: memory:, redis://… or off (memory:)")
    serving.add_argument("--login-per-address", metavar="RATE", help="logins per IP address, or off (30/minute)")
    serving.add_argument("--login-per-account", metavar="RATE", help="logins per account, or off (10/minute)")


def _add_store_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    users = _group(commands, "user", "users of the ready-made service")
    adding = _command(users, "add", user_add, help="add a user; asks for the password, or reads it from standard input")
    adding.add_argument("email")
    adding.add_argument("--username", metavar="NAME")

    stores = _group(commands, "store", "the database of sessions")
    migrating = _command(stores, "migrate", store_migrate, help="create or upgrade its tables; safe on running nodes")

    sessions = _group(commands, "sessions", "sessions of users")
    ending = _command(sessions, "end-everyone", sessions_end_everyone, help="log out every user, on every device")
    ending.add_argument("--yes", action="store_true", help="do not ask")

    keys = _group(commands, "keys", "keys that sign and check tokens")
    listing = _command(keys, "list", keys_list, help="list the keys, newest first")
    rotating = _command(
        keys,
        "rotate",
        keys_rotate,
        help="add new keys; all tokens stay valid",
        description="Add a signing key and a refresh key. They are published now and used in ten minutes, when every "
        "node and every cache has them. The old keys stay valid for verification as long as their tokens live. Give "
        "the secret as DAYPASS_SECRET or in a file, as for the service.",
    )
    rotating.add_argument("--now", action="store_true", help="use the new keys in five seconds")
    rotating.add_argument("--secret-file", metavar="FILE", help=_FILE_OF_SECRETS)
    removing = _command(keys, "remove", keys_remove, help="remove a leaked key: its tokens are refused")
    removing.add_argument("kid", metavar="KID")
    for command in (adding, migrating, ending, listing, rotating, removing):
        command.add_argument("--store", metavar="URL", help=_STORE)

    clients = _group(commands, "client", "OAuth clients of the ready-made service")
    registering = _command(clients, "add", client_add, help="add a client to a file; prints its id and its secret")
    registering.add_argument("name", metavar="NAME", help="display name")
    registering.add_argument("--file", metavar="FILE", required=True, help="the file that the service reads")
    registering.add_argument("--id", metavar="ID", help="client id (random)")
    registering.add_argument("--public", action="store_true", help="an app that cannot keep a secret; it gets none")
    registering.add_argument("--scope", metavar="SCOPE", help="maximum scope of its access tokens: 'read write'")
    registering.add_argument("--introspects", action="store_true", help="allow this client to call /oauth/introspect")


def _open_store(options: argparse.Namespace) -> "Store":
    from daypass.server.configuration import DEFAULTS
    from daypass.stores import open_store

    url = options.store or os.environ.get("DAYPASS_STORE") or DEFAULTS["store"]
    if url == "memory:":
        raise ConfigurationError("memory: is empty in a new process; give the service's store with --store")
    return open_store(url)


def _open_existing_store(options: argparse.Namespace) -> "Store":
    """Open the store; in a new, empty database nothing would be found or ended, and nothing would say so."""
    store = _open_store(options)
    path = getattr(store, "path", None)
    if path is None or path.exists():
        return store
    store.close()
    raise ConfigurationError(f"no database at {path}: give the service's store with --store. Nothing was changed")


def _nobody(_: str) -> None:
    """Load no user; nothing here asks for one."""


def _add_client_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    entering = _command(
        commands,
        "login",
        login,
        help="log in; asks for the password, or reads it from standard input",
        description="Log in, and keep the session for all shells. A session at the same URL with the same account is "
        "replaced, and ended on the server.",
    )
    entering.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="base URL of the auth endpoints: https://api.example.com/auth; with --oauth, of the application",
    )
    who = entering.add_mutually_exclusive_group(required=True)
    who.add_argument("--email")
    who.add_argument("--username", metavar="NAME")
    who.add_argument("--oauth", metavar="ISSUER", help="log in at this OAuth 2 server, with a browser")
    entering.add_argument("--client-id", metavar="ID", help="the client's id at ISSUER")
    entering.add_argument("--scope", metavar="SCOPE", help="what to ask ISSUER for: 'openid offline_access'")
    entering.add_argument("--device", action="store_true", help="log in with a browser on another device")
    entering.add_argument("--account", metavar="NAME", default="", help="keep several sessions at one URL, by name")
    entering.add_argument("--keyring", action="store_true", help="store the session in the system's keyring")

    showing = _command(commands, "token", token, help="print a fresh access token; safe in many shells at once")
    sending = _command(commands, "request", request, help="send a request with a fresh access token")
    sending.add_argument("method", metavar="METHOD")
    sending.add_argument("target", metavar="URL", help="URL, or a path on the session's origin")
    sending.add_argument("--data", metavar="TEXT", help="request body; - reads standard input")
    sending.add_argument("--header", metavar="HEADER", action="append", default=[], help="such as 'Accept: text/plain'")
    leaving = _command(commands, "logout", logout, help="log out, here and on the server")
    for parser in (showing, sending, leaving):
        parser.add_argument("--url", metavar="URL", help="which session; the latest login by default")
        parser.add_argument("--account", metavar="NAME", help="which of several sessions at one URL")


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


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip() == "yes"


def _seconds(text: str) -> float:
    return milliseconds(f"{text}s" if text.replace(".", "", 1).isdecimal() else text) / SECOND
