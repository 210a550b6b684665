"""The worlds that are explored: small ones on every test run, large ones on demand. Times in ticks."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from .world import Apart, Settings

TABS = Settings(delay=1, grace=3, slow_nodes=True)
"""Any number of tabs, any number of messages."""

LOST_WRITES = Settings(delay=1, grace=3, slow_nodes=True, room=2, patient=True, lost_writes=1)
"""A client that refreshes one at a time; the store falls back by a generation, once."""

THIEF_APART = Settings(delay=1, grace=3, thief=True, apart=Apart.ALL)
"""Any number of tabs and a thief with one jar, who is never within W of them."""

THIEF = Settings(delay=1, grace=3, thief=True)
"""Any number of tabs and a thief who has one jar and uses it whenever he likes."""

BOUND = Settings(delay=1, grace=3, slow_nodes=True, thief=True, bound=True)
"""Any number of tabs with a key, and a thief who has every token at any time and does not have the key."""

THIEF_AND_LOST_WRITES = Settings(delay=1, grace=3, room=1, patient=True, lost_writes=1, thief=True, apart=Apart.ALL)
"""A client that refreshes one at a time, a thief who is never within W of it, and a store that falls back once."""

QUICK: Mapping[str, Settings] = MappingProxyType(
    {
        "any number of tabs": TABS,
        "any number of tabs, half a D a tick": Settings(delay=2, grace=6, slow_nodes=True),
        "any number of tabs, real time, W = 3.5 D": Settings(delay=2, grace=7, slow_nodes=True, edge=True),
        "two tabs, racing nodes": Settings(delay=1, grace=3, slow_nodes=True, room=2, races=True),
        "one at a time, lost writes": LOST_WRITES,
        "thief, uses apart": THIEF_APART,
        "thief": THIEF,
        "bound to a key, thief without it": BOUND,
    }
)

DEEP: Mapping[str, Settings] = MappingProxyType(
    {
        **QUICK,
        "any number of tabs, a third of a D a tick": Settings(delay=3, grace=9, slow_nodes=True),
        "any number of tabs, real time, W = 3 1/3 D": Settings(delay=3, grace=10, slow_nodes=True, edge=True),
        "any number of tabs, answers with a D of their own, W = 5 D": Settings(
            delay=2, grace=10, slow_nodes=True, round_trip=False
        ),
        "three tabs, racing nodes": Settings(delay=1, grace=3, slow_nodes=True, room=3, races=True),
        "one at a time, three generations lost": replace(LOST_WRITES, lost_writes=3),
        "one at a time, lost writes, half a D a tick": Settings(
            delay=2, grace=6, slow_nodes=True, room=2, patient=True, lost_writes=3
        ),
        "one at a time, two copies, lost writes": Settings(
            delay=1, grace=3, slow_nodes=True, room=3, patient=True, lost_writes=3
        ),
        "thief who keeps every token, uses apart": replace(THIEF_APART, hoard=True),
        "thief, uses apart, half a D a tick": Settings(delay=2, grace=6, thief=True, hoard=True, apart=Apart.ALL),
        "thief who keeps every token": Settings(delay=1, grace=3, thief=True, hoard=True),
        "one at a time, thief, uses apart, a generation lost": THIEF_AND_LOST_WRITES,
        "one at a time, thief, uses apart, two generations lost": replace(THIEF_AND_LOST_WRITES, lost_writes=2),
        "bound to a key, thief without it, two tabs, racing nodes": Settings(
            delay=1, grace=3, slow_nodes=True, room=2, races=True, thief=True, bound=True
        ),
        "bound to a key, thief without it, lost writes": replace(LOST_WRITES, thief=True, bound=True),
        "thief, slow nodes": Settings(delay=1, grace=3, slow_nodes=True, thief=True),
    }
)
