"""Finds out whether a program uses ``httpx2`` or ``httpx``, and gives the adapter their classes.

The two have the same interface and different classes. Only a library that the program has imported is used. If it has
imported neither, one of them is imported: each import takes a while.
"""

import importlib
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

from daypass.errors import ConfigurationError

_NAMES = ("httpx2", "httpx")


def loaded() -> tuple[ModuleType, ...]:
    """Return the libraries imported so far; ``httpx2.alias_httpx()`` makes the two the same module."""
    return tuple(dict.fromkeys(sys.modules[name] for name in _NAMES if name in sys.modules))


def classes(name: str) -> tuple[type[Any], ...]:
    """Return the class called ``name`` of every library that the program has imported."""
    return tuple(getattr(module, name) for module in loaded())


def library_of(kind: type[Any]) -> ModuleType:
    """Return the library that a class descends from."""
    names = (each.__module__.partition(".")[0] for each in kind.__mro__)
    return sys.modules[next(name for name in names if name in _NAMES)]


def check_client(client: object, *, is_async: bool | None = None) -> None:
    """Check that ``client`` is a client of either library, and sync or async as needed.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(client, classes("Client")) and is_async is not True:
        return
    if isinstance(client, classes("AsyncClient")) and is_async is not False:
        return
    wanted = {None: "a client", False: "a Client", True: "an AsyncClient"}[is_async]
    name = type(client).__name__
    raise ConfigurationError(
        f"{wanted} of httpx2 or httpx is needed, not {name}; a Client has login, an AsyncClient alogin"
    )


def default_library() -> ModuleType:
    """Return the library for Daypass's own client: one that is imported, or else one that is installed; httpx2 first.

    Raises:
        ConfigurationError: neither is installed.
    """
    for module in loaded():
        return module
    for name in _NAMES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ConfigurationError('httpx2 or httpx is not installed; run: pip install "daypass[httpx]"')


class AuthOfAllLibraries:
    """Makes an auth of one library an ``Auth`` of the other one too, once the program has imported that one."""

    @property  # type: ignore[misc]  # nothing writes it
    def __class__(self) -> Any:
        """The class that `isinstance` checks."""
        kind: Any = type(self)
        return _with_bases(kind, classes("Auth"))


@lru_cache(maxsize=16)
def _with_bases(kind: Any, bases: tuple[Any, ...]) -> Any:
    missing = tuple(base for base in bases if base not in kind.__mro__)
    return type(kind.__name__, (kind, *missing), {}) if missing else kind
