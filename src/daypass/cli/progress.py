"""How a long command gets on, on standard error: one line that changes in a terminal, otherwise a line now and then."""

import sys
import threading
import time
from typing import Self

_EVERY = 0.2
_EVERY_IN_A_PIPE = 10.0
_CLEAR = "\r\x1b[K"


class Progress:
    """Shows what a command is doing; use it with ``with``. A command that ends at once shows nothing.

    Args:
        doing: what the command does: ``purging``.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._so_far = ""
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="daypass-progress", daemon=True)

    def note(self, so_far: str) -> None:
        """Note what was done so far: ``3,000 sessions``."""
        self._so_far = so_far

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._terminal and self._shown:
            self._write(_CLEAR)

    def _show(self) -> None:
        while not self._ended.wait(_EVERY if self._terminal else _EVERY_IN_A_PIPE):
            self._shown = True
            so_far = f": {self._so_far}" if self._so_far else ""
            line = f"{self._doing}{so_far} ({time.monotonic() - self._began:.0f} s)"
            self._write(f"{_CLEAR}{line}" if self._terminal else f"daypass: {line}\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
