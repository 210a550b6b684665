"""A flow: a generator that asks questions (steps) and is sent the answers. No I/O here.

A flow writes ``answer = yield from Find(session_id)``, and `daypass.drive` answers it, sync or async.
"""

from collections.abc import Generator
from typing import Any, ClassVar, Generic, TypeVar

A = TypeVar("A")

Flow = Generator["Step[Any]", Any, A]


class Step(Generic[A]):
    """A question whose answer is an ``A``.

    Attributes:
        harmless: whether it may be interrupted, and asked again, because it changes nothing.
    """

    __slots__ = ()
    harmless: ClassVar[bool] = False

    def __iter__(self) -> Generator["Step[A]", A, A]:
        """Ask, by ``yield from``."""
        return (yield self)
