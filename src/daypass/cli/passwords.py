"""Reads a password: from a person, or from standard input."""

import getpass
import sys

from daypass.errors import ConfigurationError


def read_password(*, again: bool = True) -> str:
    """Return the password; with ``again``, ask for a new one twice.

    Raises:
        ConfigurationError: it is missing, it is not UTF-8, or the two differ.
    """
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
