"""Which of ``httpx2`` and ``httpx`` a program uses, and what the adapter uses of theirs.

The two have the same interface and different classes. Only what the program has loaded is used, and one of them is
loaded if it has loaded neither: each takes a while.
"""

import importlib
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

from daypass.errors import ConfigurationError

_NAMES = ("httpx2", "httpx")


def loaded() -> tuple[ModuleType, ...]:
    """Return the libraries that the program has loaded so far; ``httpx2.alias_httpx()`` makes the two one module."""
    return tuple(dict.fromkeys(sys.modules[name] for name in _NAMES if name in sys.modules))


def classes(name: str) -> tuple[type[Any], ...]:
    """Return the class called ``name`` of every library that the program has loaded."""
    return tuple(getattr(module, name) for module in loaded())


def library_of(kind: type[Any]) -> ModuleType:
    """Return the library that a class descends from."""
    names = (each.__module__.partition(".")[0] for each in kind.__mro__)
    return sys.modules[next(name for name in names if name in _NAMES)]


def check_client(client: object, *, is_async: bool | None = None) -> None:
    """Make sure that ``client`` is a client of either library, and sync or async as it is needed.

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
    """Return the library for a client of our own: one that is loaded, or else one that is installed; httpx2 first.

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
    """Makes an auth of one library an ``Auth`` of the other one too, as soon as the program has loaded that."""

    @property  # type: ignore[misc]  # nothing writes it
    def __class__(self) -> Any:
        """The class that `isinstance` sees."""
        kind: Any = type(self)
        return _with_bases(kind, classes("Auth"))


@lru_cache(maxsize=16)
def _with_bases(kind: Any, bases: tuple[Any, ...]) -> Any:
    missing = tuple(base for base in bases if base not in kind.__mro__)
    return type(kind.__name__, (kind, *missing), {}) if missing else kind
