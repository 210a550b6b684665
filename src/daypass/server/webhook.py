"""Users from your own service, by signed HTTP requests (standardwebhooks.com)."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import httpx2

from daypass.errors import StoreUnavailable
from daypass.server.user_source import user_of
from daypass.user import User

MAXIMUM_ANSWER = 65_536
MAXIMUM_CACHED = 10_000
_PAUSE = 0.1
"""Seconds before the second attempt."""


class Webhook:
    """Users behind your URL.

    Args:
        url: the URL of your service.
        secret: signs the requests.
        timeout: seconds for both attempts together.
        cache: for how many seconds a loaded user is not loaded again; 0 turns it off.
        clock: seconds since the epoch.
        monotonic: seconds of a monotonic clock.
    """

    hashes = False

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout: float,
        cache: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._timeout = timeout
        self._cache = cache
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, User]] = OrderedDict()
        self._client: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<Webhook {self._url}>"

    async def check(self, identifier: str, password: str) -> User | None:
        """Ask whether the password is right; raises the errors of `UserSource.check`."""
        return await self._ask("user.login", {"identifier": identifier, "password": password})

    async def load(self, subject: str) -> User | None:
        """Load a user, unless that was done seconds ago; raises the errors of `UserSource.load`."""
        until, user = self._known.get(subject, (0.0, None))
        if self._monotonic() < until:
            return user
        user = await self._ask("user.load", {"subject": subject})
        if user is not None and user.subject != subject:
            raise self._unavailable("gave the answer for another user")
        self._known.pop(subject, None)
        if user is not None and self._cache:
            self._known[subject] = self._monotonic() + self._cache, user
            if len(self._known) > MAXIMUM_CACHED:
                self._known.popitem(last=False)
        return user

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, kind: str, data: dict[str, str]) -> User | None:
        body = json.dumps({"type": kind, "data": data}).encode()
        if self._client is None:  # reads the CA certificates, which takes a while
            self._client = await asyncio.to_thread(httpx2.AsyncClient, timeout=self._timeout, trust_env=False)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._answer(self._client, body)
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._timeout:g} s") from None
        if not isinstance(answer, dict) or answer.keys() != {"user"}:
            raise self._unavailable('did not answer {"user": …}')
        return user_of(answer["user"], self._name)

    async def _answer(self, client: httpx2.AsyncClient, body: bytes) -> Any:
        try:
            return await self._attempt(client, body)
        except (httpx2.TransportError, _Again):
            await asyncio.sleep(_PAUSE)
        try:
            return await self._attempt(client, body)
        except httpx2.TransportError as error:
            raise self._unavailable(f"cannot be reached ({type(error).__name__})") from None
        except _Again as error:
            raise self._unavailable(f"answered {error}") from None

    async def _attempt(self, client: httpx2.AsyncClient, body: bytes) -> Any:
        async with client.stream("POST", self._url, content=body, headers=self._headers(body)) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise _Again(response.status_code)
            if response.status_code != 200:
                raise self._unavailable(f"answered {response.status_code}")
            received = b""
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > MAXIMUM_ANSWER:
                    raise self._unavailable(f"answered more than {MAXIMUM_ANSWER} bytes")
        try:
            return json.loads(received)
        except ValueError:
            raise self._unavailable("did not answer JSON") from None

    def _headers(self, body: bytes) -> dict[str, str]:
        identifier, at = f"msg_{uuid.uuid4().hex}", str(int(self._clock()))
        signed = hmac.digest(self._secret, b"%s.%s.%s" % (identifier.encode(), at.encode(), body), hashlib.sha256)
        return {
            "content-type": "application/json",
            "user-agent": "daypass",
            "webhook-id": identifier,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }

    @property
    def _name(self) -> str:
        return f"the users' webhook {self._url}"

    def _unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self._name} {reason}")


class _Again(Exception):
    """A response after which a retry may help: the status."""
