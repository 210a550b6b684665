"""Which of ``httpx2`` and ``httpx`` are installed, and what of theirs the adapter stands on.

The two have the same interface and different classes, so one class of ours descends from both where both are there.
"""

import importlib
from types import ModuleType
from typing import Any

from daypass.errors import ConfigurationError


def _installed() -> list[ModuleType]:
    modules: list[ModuleType] = []
    for name in ("httpx2", "httpx"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue
        if module not in modules:  # httpx2.alias_httpx() makes the two names one module
            modules.append(module)
    if not modules:
        raise ConfigurationError('there is no httpx2 or httpx here; write: pip install "daypass[httpx]"')
    return modules


_MODULES = _installed()


def classes(name: str) -> tuple[type[Any], ...]:
    """Return the class called ``name`` of every library that is installed."""
    return tuple(getattr(module, name) for module in _MODULES)


def check_client(client: object, *, is_async: bool | None = None) -> None:
    """Make sure that ``client`` is a client of either library, and of the right colour.

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
    """Return the library for a client of our own: httpx2 where it is installed."""
    return _MODULES[0]
