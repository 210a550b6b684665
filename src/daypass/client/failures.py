"""Why no answer came, in words that hold no secret.

The text of an HTTP library's error may quote what was sent. The words of the operating system and of OpenSSL do not, so
only these are repeated; of everything else the name of its type.
"""

import os
import traceback
from collections.abc import Iterator


def described(error: BaseException) -> str:
    """Return the type of an error, and the reason where the system gave one: ``ConnectError: Connection refused``."""
    name = type(error).__name__
    reasons = [reason for each in _chain(error) if (reason := _reason(each))]
    return f"{name}: {reasons[-1]}" if reasons else name


def was_not_written(error: BaseException) -> bool:
    """Tell whether a connection was found closed while the request was being written (EPIPE).

    That happens to a kept-alive connection that the server has closed meanwhile: it did not get the whole request.
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
    import socket  # here, with ssl: few programs that import Daypass ever get here
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "TLS failed")
    if isinstance(error, socket.gaierror):
        return error.strerror
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return os.strerror(error.errno)  # not the error's own text, which a library may have written
    return None
