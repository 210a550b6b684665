"""A look at some keys of all servers, and what it found. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scanned:
    """The answer to `Scan`.

    Attributes:
        keys: what was found.
        place: from where to go on, empty when all has been seen.
    """

    keys: Sequence[bytes]
    place: str


@dataclass(frozen=True, slots=True)
class Scan:
    """Look at about ``count`` keys of the whole store, on one of its servers, from ``place`` on."""

    place: str
    pattern: bytes
    count: int
