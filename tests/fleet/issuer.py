"""A strict OAuth server for many sessions."""

import secrets
import time
from collections import Counter
from typing import Any

from daypass.testing.strict_server import Line, StrictServer

REFUSED = ("reused", "revoked", "unknown")
"""Why a refresh is rejected for good: its successor was used, the session has ended since, or it was never issued."""


class Issuer(StrictServer):
    """A strict server with fast lookups for ten thousand sessions. It knows when each access token expires.

    Attributes:
        too_early: the number of refreshes before the access token had expired.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.index: dict[str, tuple[str, Line]] = {}
        self.granted: dict[str, float] = {}
        self.too_early = 0
        self.rotated_by: Counter[str] = Counter()

    def begin(self) -> tuple[str, str]:
        """Start a session; return its access token and its refresh token."""
        sid, token = secrets.token_hex(8), secrets.token_hex()
        line = self.lines[sid] = Line([token])
        self.index[token] = (sid, line)
        self.granted[sid] = time.monotonic()
        return self._access_token(sid), token

    @property
    def refused(self) -> int:
        """The number of refreshes that were rejected for good."""
        return sum(self.counts[each] for each in REFUSED)

    def _line_of(self, token: str) -> tuple[str, Line | None]:
        return self.index.get(token, ("", None))

    def _verdict(self, line: Line, token: str) -> str:
        """Behave like providers with a reuse interval: for `grace`, the previous token returns the newest one."""
        age = len(line.tokens) - 1 - line.tokens.index(token)
        if age == 1 and not line.revoked and time.monotonic() - line.rotated_at < self.grace:
            return "repeated"
        if age or line.revoked:
            verdict = "revoked" if line.revoked else "reused"
            line.revoked = True
            return verdict
        self._rotate(line, *self.index[token])
        return "rotated"

    def _rotate(self, line: Line, sid: str, _: Line) -> None:
        now = time.monotonic()
        line.tokens.append(secrets.token_hex())
        line.rotated_at = now
        self.index[line.tokens[-1]] = (sid, line)
        self.too_early += now - self.granted[sid] < (self.expires_in or 0)
        self.granted[sid] = now
        self.rotated_by[sid] += 1
