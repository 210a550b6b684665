"""A scan of some keys of all servers, and its result. No I/O here."""

from collections.abc import Sequence

from daypass.value import value


@value(frozen=True, slots=True)
class Scanned:
    """The answer to `Scan`.

    Attributes:
        keys: the keys that were found.
        place: where to continue, empty at the end.
    """

    keys: Sequence[bytes]
    place: str


@value(frozen=True, slots=True)
class Scan:
    """Look at about ``count`` keys of the whole store, on one of its servers, from ``place`` on."""

    place: str
    pattern: bytes
    count: int
