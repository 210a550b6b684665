"""A clock that a test sets."""

START = 1_800_000_000_000
"""The time at which tests start: milliseconds since the epoch."""


class Clock:
    """A clock that only moves when you set it; pass it as ``clock=``.

    Attributes:
        now: milliseconds since the epoch; may be set to anything.
    """

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return self.now

    def advance(self, milliseconds: int) -> None:
        """Move the clock forward; a negative number moves it back."""
        self.now += milliseconds
