"""Describes why no response came, without secrets.

The text of an HTTP library's error may contain what was sent. The texts of the operating system and of OpenSSL do not,
so only these are shown; for any other error, the name of its type.
"""

import os
import traceback
from collections.abc import Iterator


def described(error: BaseException) -> str:
    """Return the type of an error, and the system's reason if there is one: ``ConnectError: Connection refused``."""
    name = type(error).__name__
    reasons = [reason for each in _chain(error) if (reason := _reason(each))]
    return f"{name}: {reasons[-1]}" if reasons else name


def was_not_written(error: BaseException) -> bool:
    """Return whether the connection turned out to be closed while the request was written (EPIPE).

    This happens if the server has closed a kept-alive connection: it did not get the whole request.
    """
    return any(isinstance(each, BrokenPipeError) for each in _chain(error))


def frames_of(error: BaseException) -> str:
    """Return where an error was raised: files, lines and functions, without its message."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo and len(seen) < 20:
        each = todo.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        todo += [one for one in inner if isinstance(one, BaseException)]


def _reason(error: BaseException) -> str | None:
    import socket  # imported here because it loads ssl, which few programs need
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "TLS failed")
    if isinstance(error, socket.gaierror):
        return error.strerror
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return os.strerror(error.errno)  # not the error's text, which a library may have written
    return None
