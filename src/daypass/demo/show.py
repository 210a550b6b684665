"""Runs the demonstration: the server's process, its users, and the display."""

import io
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from daypass.client.clock import monotonic_ms
from daypass.demo.people import People
from daypass.demo.tally import Summary, Tally
from daypass.demo.terminal import Screen, open_screen
from daypass.duration import SECOND
from daypass.errors import ConfigurationError

UNATTENDED = 30.0
"""Seconds after which it ends by itself where nobody watches."""

_FRAME = 0.25
_ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals that end it; Windows has no SIGHUP."""


def show(seconds: float | None, *, as_json: bool) -> int:
    """Run it for so many seconds, or until Ctrl-C, SIGTERM or SIGHUP; return the exit status.

    The status is 0 if at least two access tokens expired and no user saw a failure, otherwise 1. If standard output is
    not a terminal, it ends by itself after `UNATTENDED` seconds.

    Raises:
        ConfigurationError: the server could not be started.
        KeyboardInterrupt: it was interrupted before the server could be reached; nothing is left behind.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a question mark is better than no summary
    if seconds is None and not sys.stdout.isatty():
        seconds = UNATTENDED
    with (
        _Ending() as ending,
        tempfile.TemporaryDirectory(prefix="daypass-demo-") as folder,
        _service(folder) as address,
    ):
        tally = Tally(monotonic_ms())
        people = People(address, tally)
        with open_screen(tally, address, as_json=as_json) as screen:
            try:
                people.start()
                _watch(screen, seconds)
                ending.ignore()
            except KeyboardInterrupt:
                pass
            finally:
                people.stop()
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


class _Ending:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a `KeyboardInterrupt`, and ignores later ones."""

    def __init__(self) -> None:
        self._ignoring = False

    def __enter__(self) -> Self:
        self._before = {ending: signal.getsignal(ending) for ending in _ENDINGS}
        for ending, before in self._before.items():
            if before is not signal.SIG_IGN:  # nohup sets this: the user wants the signal ignored
                signal.signal(ending, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for ending, before in self._before.items():
            signal.signal(ending, before)

    def ignore(self) -> None:
        """Ignore further signals: the rest takes only a moment."""
        self._ignoring = True

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if not self._ignoring:
            self._ignoring = True
            raise KeyboardInterrupt


def _print(summary: Summary) -> None:
    sys.stdout.write(json.dumps(summary.as_dict()) + "\n")
    sys.stdout.flush()


@contextmanager
def _service(folder: str) -> Iterator[str]:
    """Run the server in its own process and session, so that Ctrl-C reaches only us."""
    server = subprocess.Popen(  # noqa: S603 - our own module, with our own interpreter
        [sys.executable, "-m", "daypass.demo.service", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            if not address:
                _, errors = server.communicate()
                reason = errors.strip().rpartition("\n")[2].removeprefix("daypass: ")
                raise ConfigurationError(f"the server of the demonstration did not start: {reason}")
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)
