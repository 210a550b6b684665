"""Resets locks, threads and event loops in a forked child."""

import os
import weakref
from typing import Protocol


class Survivor(Protocol):
    """An object that must be reset in a forked child."""

    def recover_from_fork(self) -> None:
        """Called in the child, before anything else runs there."""


_survivors: weakref.WeakSet[Survivor] = weakref.WeakSet()


def survive_forks(survivor: Survivor) -> None:
    """Have ``survivor`` reset in every forked child, as long as it exists."""
    _survivors.add(survivor)


def _recover_all() -> None:
    for survivor in list(_survivors):
        survivor.recover_from_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_recover_all)
