"""Runs the demonstration: the server's process, the people who use it, and what is shown of it meanwhile."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from daypass.client.session import monotonic_ms
from daypass.demo.people import People
from daypass.demo.tally import Summary, Tally
from daypass.demo.terminal import Screen, open_screen
from daypass.errors import ConfigurationError
from daypass.model import SECOND

UNATTENDED = 30.0
"""Seconds after which it ends by itself where nobody watches."""

_FRAME = 0.25


def show(seconds: float | None, *, as_json: bool) -> int:
    """Run it for so many seconds, or until Ctrl-C; return the exit status.

    The status is 0 when at least two access tokens expired and no user saw a failure, else 1. Where standard output is
    no terminal, it ends by itself after `UNATTENDED` seconds.

    Raises:
        ConfigurationError: the server could not be started.
    """
    if seconds is None and not sys.stdout.isatty():
        seconds = UNATTENDED
    with tempfile.TemporaryDirectory(prefix="daypass-demo-") as folder, _service(folder) as address:
        tally = Tally(monotonic_ms())
        people = People(address, tally)
        with open_screen(tally, address, as_json=as_json) as screen:
            people.start()
            try:
                _watch(screen, seconds)
            except KeyboardInterrupt:
                pass
            finally:
                _stop(people)
            summary = tally.summary(monotonic_ms())
            screen.end(summary)
    if as_json:
        _print(summary)
    return 0 if summary.convincing else 1


def _watch(screen: Screen, seconds: float | None) -> None:
    ends = None if seconds is None else monotonic_ms() + seconds * SECOND
    while ends is None or monotonic_ms() < ends:
        screen.draw(monotonic_ms())
        time.sleep(_FRAME)


def _stop(people: People) -> None:
    """Stop everybody, even when Ctrl-C is pressed once more meanwhile: what is under way takes but a moment."""
    stopping = threading.Thread(target=people.stop)
    stopping.start()
    while stopping.is_alive():
        try:
            stopping.join()
        except KeyboardInterrupt:
            continue


def _print(summary: Summary) -> None:
    sys.stdout.write(json.dumps(summary.as_dict()) + "\n")
    sys.stdout.flush()


@contextmanager
def _service(folder: str) -> Iterator[str]:
    """Run the server as a process of its own, in a session of its own, so that Ctrl-C is for us alone."""
    server = subprocess.Popen(  # noqa: S603 - our own module, with our own interpreter
        [sys.executable, "-m", "daypass.demo.service", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with server:
        address = server.stdout.readline().strip() if server.stdout else ""
        if not address:
            _, errors = server.communicate()
            raise ConfigurationError(f"the server of the demonstration did not start: {errors.strip()}")
        try:
            yield address
        finally:
            server.terminate()
            server.communicate(timeout=30)
