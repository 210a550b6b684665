"""For tests: the suites that stores and account stores must pass, and a clock that only moves when a test sets it.

Only pytest is needed. See the docstring of each module, for example `daypass.testing.store_contract`. For tests of
clients there are also a strict server and scenarios in `daypass.testing.client_contract`; they need uvicorn too.
"""

from daypass.testing.account_contract import AccountStoreContract, account
from daypass.testing.client_subject import Subject
from daypass.testing.clients import django_client, flask_client, starlette_client
from daypass.testing.clock import START, Clock
from daypass.testing.logged_in import LoggedIn, MovableClock
from daypass.testing.operator_contract import OperatorStoreContract
from daypass.testing.storage_contract import SharedStorageContract, StorageContract
from daypass.testing.store_contract import (
    CALLERS,
    AsyncStoreContract,
    Performing,
    StoreContract,
    advance,
    key,
    session,
    sweep,
)
from daypass.testing.strict_server import StrictServer

__all__ = [
    "CALLERS",
    "START",
    "AccountStoreContract",
    "AsyncStoreContract",
    "Clock",
    "LoggedIn",
    "MovableClock",
    "OperatorStoreContract",
    "Performing",
    "SharedStorageContract",
    "StorageContract",
    "StoreContract",
    "StrictServer",
    "Subject",
    "account",
    "advance",
    "django_client",
    "flask_client",
    "key",
    "session",
    "starlette_client",
    "sweep",
]
