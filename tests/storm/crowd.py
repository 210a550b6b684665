"""The users of the storm: honest ones, whose tabs share a cookie jar, and thieves, who copy a jar once."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

from ..dpop.signing import Signer
from .network import hang_up
from .weather import Scale, Weather

GIVEN, REFUSED = 200, 401
"""The status of a refresh that succeeded, and of one that was rejected for good."""


@dataclass(slots=True)
class Jar:
    """Holds a refresh token. Every response that arrives, however late, stores its token here.

    Attributes:
        token: the token of the last response.
        signer: has the key that the session is bound to; None for a session without a key.
    """

    token: str
    signer: Signer | None = None


@dataclass(slots=True)
class Presence:
    """When a user was active whose session is not remembered. Times are in seconds.

    Attributes:
        leaves_at: when the user leaves; after that only the page's timers refresh, passively.
        sent_at: when the last active refresh was sent.
        confirmed_at: when the last active refresh that got a response was sent.
    """

    leaves_at: float
    sent_at: float
    confirmed_at: float


@dataclass(slots=True)
class Theft:
    """A theft and its result.

    Attributes:
        uses: successful refreshes of the thief before the theft was found.
        owner_uses: successful refreshes of the owner since the thief's first one.
        found: whether the owner or the thief was rejected.
        given_up: whether the thief stopped: without any token, or because it was not found in time.
        outlived: successful refreshes after the theft was found.
        bound: whether the session is bound to a key, which the thief does not have.
    """

    uses: int = 0
    owner_uses: int = 0
    found: bool = False
    given_up: bool = False
    outlived: int = 0
    bound: bool = False


@dataclass(slots=True)
class Crowd:
    """All users, and the counts of their results.

    Attributes:
        refreshes: successful refreshes.
        stale: 409 responses (`token_stale`).
        unanswered: refreshes without a response, or with an unreadable one.
        passive: successful refreshes by the page's timers after the user had left.
        unproven: rejected proofs: a thief's, or one that the network had repeated.
        expired: sessions that ended because their user had left.
        logged_out: honest users who were logged out without a theft; must be 0.
        kept_late: sessions that were refreshed after their idle lifetime; must be 0.
        thefts: the thefts, by user.
    """

    port: int
    scale: Scale
    weather: Weather
    refreshes: int = 0
    stale: int = 0
    unanswered: int = 0
    unavailable: int = 0
    passive: int = 0
    unproven: int = 0
    expired: int = 0
    logged_out: list[str] = field(default_factory=list)
    kept_late: list[str] = field(default_factory=list)
    thefts: dict[str, Theft] = field(default_factory=dict)
    _presences: dict[str, Presence] = field(default_factory=dict)

    async def run(self) -> None:
        """Let all users log in, and refresh until the end of the storm."""
        await asyncio.gather(*(self._user(f"user-{number}", number) for number in range(self.scale.users)))

    async def _user(self, name: str, number: int) -> None:
        ends = time.monotonic() + self.scale.seconds
        await asyncio.sleep(self.weather.draw(name, "login").uniform(0, min(self.scale.pause, self.scale.seconds / 4)))
        remember = number % 2 == 0 or number < self.scale.thefts
        signer = Signer() if number % 3 == 1 else None
        jar, started = await self._login(name, signer, remember=remember)
        if not remember:
            away = self.weather.draw(name, "leaves").uniform(0, self.scale.seconds / 2)
            self._presences[name] = Presence(time.monotonic() + away, time.monotonic(), started)
        parties = [self._tab(name, tab, jar, ends) for tab in range(self.scale.tabs)]
        if number < self.scale.thefts:
            self.thefts[name] = Theft(bound=signer is not None)
            parties.append(self._thief(name, jar, ends))
        await asyncio.gather(*parties)

    async def _login(self, name: str, signer: Signer | None, *, remember: bool) -> tuple[Jar, float]:
        """Log in; return the jar, and when the request was sent."""
        body = {"username": name, "password": "x", "tokenDelivery": "body", "remember": remember}
        for attempt in itertools.count():
            started = time.monotonic()
            status, answer = await self._ask(f"{name}/login/{attempt}", "login", body, signer)
            if status == 200:
                return Jar(answer["refreshToken"], signer), started
            await asyncio.sleep(0.1)
        raise AssertionError

    async def _tab(self, name: str, tab: int, jar: Jar, ends: float) -> None:
        """Refresh with the token in the jar, independently of the other tabs."""
        pauses = self.weather.draw(name, tab, "pauses")
        theft = self.thefts.get(name)
        for turn in itertools.count():
            await asyncio.sleep(pauses.uniform(0, 2 * self.scale.pause))
            over = time.monotonic() - ends
            if over > 0 and (theft is None or theft.found or theft.given_up):
                return
            message, presence = f"{name}/{tab}/{turn}", self._presences.get(name)
            if presence is not None:
                if not await self._refresh_while_there(name, message, jar, presence):
                    return
            elif await self._refresh(message, jar, theft, is_owner=True) == REFUSED:
                if theft is None or theft.bound:
                    self.logged_out.append(name)
                return

    async def _refresh_while_there(self, name: str, message: str, jar: Jar, presence: Presence) -> bool:
        """Refresh once, passively if the user has left, and check the result against the idle lifetime."""
        scale, now = self.scale, time.monotonic()
        passive = now >= presence.leaves_at or self.weather.draw(message, "passive").random() < 0.3
        if not passive:
            presence.sent_at = now
        status = await self._refresh(message, jar, None, is_owner=True, passive=passive)
        if status == REFUSED:
            early = now < presence.confirmed_at + scale.session_idle_ttl - scale.grace_period - scale.skew
            self.logged_out += [name] * early
            self.expired += not early
        elif status == GIVEN:
            self.passive += passive
            if not passive:
                presence.confirmed_at = max(presence.confirmed_at, now)
            elif now > presence.sent_at + scale.session_idle_ttl + scale.skew + scale.grace_period:
                self.kept_late.append(name)
        return status != REFUSED

    async def _thief(self, name: str, jar: Jar, ends: float) -> None:
        """Copy the jar, wait for more than the grace period, and refresh as the owner does.

        The copy has no key. For a bound session some thieves sign with another key, and others send no proof.
        """
        luck = self.weather.draw(name, "thief")
        await asyncio.sleep(luck.uniform(0.1, 0.5) * self.scale.seconds)
        copy = Jar(jar.token, Signer() if jar.signer is not None and luck.random() < 0.5 else None)
        await asyncio.sleep(self.scale.grace_period * luck.uniform(1.1, 1.5))
        theft = self.thefts[name]
        for turn in itertools.count():
            if time.monotonic() - ends > (self._patience_with_thieves if theft.uses else 0):
                theft.given_up = True
                return
            if await self._refresh(f"{name}/thief/{turn}", copy, theft, is_owner=False) == REFUSED:
                return
            await asyncio.sleep(luck.uniform(0, 2 * self.scale.pause))

    @property
    def _patience_with_thieves(self) -> float:
        """Seconds after the end within which each thief must be found; others are reported.

        Within the owner's grace period a thief with a used token only gets *stale*. *reuse* is found at the first
        attempt between two of these periods.
        """
        return 30 * self.scale.pause

    async def _refresh(
        self, message: str, jar: Jar, theft: Theft | None, *, is_owner: bool, passive: bool = False
    ) -> int:
        """Refresh once; return the status: `GIVEN`, `REFUSED`, another one, or 0 without a response."""
        known = theft is not None and theft.found
        body = {"refreshToken": jar.token}
        status, answer = await self._ask(message, "refresh", body, jar.signer, passive=passive)
        if status == GIVEN:
            jar.token = answer.get("refreshToken", jar.token)
            self.refreshes += 1
            if theft is not None:
                self._count(theft, known=known, is_owner=is_owner)
        elif status == REFUSED:
            if theft is not None:
                theft.found = True
        else:
            self.stale += status == 409
            self.unproven += status == 400
            self.unavailable += status == 503
            self.unanswered += status == 0
        return status

    def _count(self, theft: Theft, *, known: bool, is_owner: bool) -> None:
        theft.outlived += known  # the request was sent after the theft had been found
        theft.uses += not is_owner
        theft.owner_uses += is_owner and theft.uses > 0

    async def _ask(
        self,
        message: str,
        path: str,
        content: dict[str, Any],
        signer: Signer | None = None,
        *,
        passive: bool = False,
    ) -> tuple[int, dict[str, str]]:
        """Return the status and the content of the response; 0 if there was none in time, or an invalid one."""
        try:
            async with asyncio.timeout(self.scale.patience):
                header = "X-Daypass-Passive: 1\r\n" if passive else ""
                if signer is not None:
                    header += f"DPoP: {signer.proof('POST', f'http://127.0.0.1/auth/{path}')}\r\n"
                return await self._post(f"{message}\r\n{header}", path, json.dumps(content).encode())
        except (OSError, TimeoutError, ValueError, IndexError):
            return 0, {}

    async def _post(self, message: str, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        sent = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = (
                f"POST /auth/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Message: {message}"
                f"X-Sent: {sent}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.read()
        finally:
            await hang_up(writer)
        headers, _, content = answer.partition(b"\r\n\r\n")
        return int(headers.split(b" ", 2)[1]), json.loads(content)
