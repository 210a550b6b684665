"""The request that is being answered, for the project's own backends and signals."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

_current: ContextVar[HttpRequest | None] = ContextVar("daypass_request", default=None)


def current_request() -> HttpRequest | None:
    """Return the request of this login, None without one, as in a script."""
    return _current.get()


@contextmanager
def answering(request: HttpRequest) -> Iterator[None]:
    """Make `current_request` return ``request`` meanwhile, in this thread or task and in those that it starts."""
    before = _current.set(request)
    try:
        yield
    finally:
        _current.reset(before)
