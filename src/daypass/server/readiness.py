"""Whether the service is ready: its store works, its keys are known, and it is not shutting down."""

import logging
import time

from daypass.errors import DaypassError
from daypass.issuer import AsyncDaypass
from daypass.store_steps import Probe
from daypass.stores import AsyncStore

TRUSTED_SECONDS = 1
"""After a probe of the store that succeeded, none is made: it writes, and anyone may ask."""

_log = logging.getLogger("daypass")


class Readiness:
    """The state behind `/readyz`.

    Attributes:
        draining: whether the service is shutting down: it still answers, but wants no new connections.
    """

    def __init__(self) -> None:
        self.draining = False
        self._ready_until = 0.0
        self._said: str | None = None

    def forget(self) -> None:
        """Check again at the next question: the store may be another one."""
        self._ready_until = 0.0

    async def reason(self, auth: AsyncDaypass, store: AsyncStore) -> str | None:
        """Return why the service is not ready, None if it is."""
        if self.draining:
            return "draining"
        now = time.monotonic()
        if now >= self._ready_until:
            try:
                await store.perform(Probe())
                await auth.jwks()
            except DaypassError as error:  # a configuration error, such as missing tables, may be corrected
                self._say(str(error))
                return "store unavailable"
            self._said = None
            self._ready_until = now + TRUSTED_SECONDS
        return None

    def _say(self, error: str) -> None:
        if error != self._said:
            _log.warning("not ready: %s", error)
        self._said = error
