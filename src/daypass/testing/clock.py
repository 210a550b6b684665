"""A clock that a test sets."""

START = 1_800_000_000_000
"""When it is, in the tests: milliseconds since the epoch."""


class Clock:
    """A clock that stands still until it is set; give it as ``clock=``.

    Attributes:
        now: milliseconds since the epoch; may be set to anything.
    """

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return self.now

    def advance(self, milliseconds: int) -> None:
        """Let so much time pass; a negative span sets the clock back."""
        self.now += milliseconds
