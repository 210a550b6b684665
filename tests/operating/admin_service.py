"""A service with the page for operators, served, whose clock a test can move."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from daypass import AsyncDaypass
from daypass.clock import system_clock
from daypass.duration import MINUTE
from daypass.operator_steps import MINUTE_COUNTS, AuditRecord
from daypass.server import users
from daypass.server.app import build_app
from daypass.server.users import Users
from daypass.stores import open_async_store, open_store
from daypass.user import Account

from ..servers.application import serving

PASSWORD = "correct horse battery"
SECRET = "a master secret of thirty-two bytes and a few more".replace(" ", "-")
SCOPE = "daypass:admin"


def counted(at: int, process: int, number: int, **content: Any) -> AuditRecord:
    """Return the counts of one minute of a process."""
    return AuditRecord(at, f"{process:08x}{number:08x}", MINUTE_COUNTS, reason=json.dumps(content))


class Service:
    """A running service with an operator and a user, whose clock a test can move."""

    def __init__(self, url: str) -> None:
        self.ahead = MINUTE // 2 - system_clock() % MINUTE  # so that no minute ends in the middle of a test
        self.stack = ExitStack()
        self.store: Any = open_store(url)
        self.number = time.time_ns()
        self.operator = self.add("ada", SCOPE)
        self.user = self.add("bob", None)
        self.address = ""

    def add(self, name: str, scope: str | None) -> Account:
        """Add a user whose name no other test has: Redis is shared."""
        email = f"{name}{self.number}@example.com"
        return users.add(self.store, email, f"{name}{self.number}", PASSWORD, system_clock(), scope)

    def now(self) -> int:
        return system_clock() + self.ahead


@contextmanager
def started(url: str, host: str = "127.0.0.1", **options: Any) -> Iterator[Service]:
    """Serve; ``options`` are those of `build_app`, and ``audit_ttl``."""
    service = Service(url)
    store = open_async_store(url)
    known = Users(store)
    auth = AsyncDaypass(
        store,
        issuer="http://127.0.0.1",
        secret=SECRET,
        load_user=known.load,
        authenticate=known.check,
        clock=service.now,
        audit_ttl=options.pop("audit_ttl", "90d"),
    )
    app = build_app(auth, store, users=known, rate_limits=None, **options)
    with serving(app, grace=1, host=host) as address:
        service.address = address
        with service.stack, closing(service.store):
            yield service
