"""For tests: the suite that every store has to pass, and a clock that stands still until it is set.

pytest is needed, and nothing else. Each part tells of itself: `daypass.testing.store_contract`.
"""

from daypass.testing.clock import START, Clock
from daypass.testing.store_contract import (
    CALLERS,
    AsyncStoreContract,
    Performing,
    StoreContract,
    account,
    advance,
    key,
    session,
    sweep,
)

__all__ = [
    "CALLERS",
    "START",
    "AsyncStoreContract",
    "Clock",
    "Performing",
    "StoreContract",
    "account",
    "advance",
    "key",
    "session",
    "sweep",
]
