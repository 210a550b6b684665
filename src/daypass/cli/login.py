"""``daypass login``, ``token``, ``request`` and ``logout`` share one session among all shells of a user: logging in."""

import argparse

from daypass.cli.output import require, say, show_page, warn
from daypass.cli.parser import describe
from daypass.cli.passwords import read_password
from daypass.errors import ConfigurationError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options and subcommands of this command."""
    describe(
        parser,
        login,
        "Log in, and keep the session for all shells. A session at the same URL with the same account is\n"
        "replaced, and ended on the server.",
        "daypass login https://api.example.com/auth --email ada@example.com\n"
        "daypass login --oauth https://id.example.com --client-id shell --scope 'openid offline_access'",
    )
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="base URL of the auth endpoints: https://api.example.com/auth; with --oauth, of the application",
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--email")
    who.add_argument("--username", metavar="NAME")
    who.add_argument("--oauth", metavar="ISSUER", help="log in at this OAuth 2 server, with a browser")
    parser.add_argument("--client-id", metavar="ID", help="the client's id at ISSUER")
    parser.add_argument("--scope", metavar="SCOPE", help="what to ask ISSUER for: 'openid offline_access'")
    parser.add_argument("--device", action="store_true", help="log in with a browser on another device")
    parser.add_argument("--account", metavar="NAME", default="", help="keep several sessions at one URL, by name")
    parser.add_argument("--dpop", action="store_true", help="bind the session to a new key: copied tokens are useless")
    parser.add_argument("--keyring", action="store_true", help="store the session in the system's keyring")


def add_session_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose one of the sessions of this user."""
    parser.add_argument("--url", metavar="URL", help="which session; the latest login by default")
    parser.add_argument("--account", metavar="NAME", help="which of several sessions at one URL")


def login(options: argparse.Namespace) -> int:
    """Log in; every shell of this user shares the session."""
    require("shell", "httpx2", "filelock", "platformdirs")
    if options.oauth is not None:
        return _login_by_oauth(options)
    if options.url is None:
        raise ConfigurationError("the URL is missing: daypass login URL --email you@example.com")
    from daypass.client import commands

    password = read_password(again=False)
    name = {"username": options.username} if options.email is None else {"email": options.email}
    kept = {"account": options.account, "keyring": options.keyring, "dpop": options.dpop}
    ended = commands.login(options.url, password, **name, **kept)
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
        dpop=options.dpop,
    )
    return _logged_in(options.url or options.oauth, ended=ended)


def _logged_in(url: str, *, ended: bool) -> int:
    say(f"Logged in at {url}")
    if not ended:
        warn("the replaced session could not be ended on the server; it stays there until it expires")
    return 0
