"""`AsyncVault`: a `Vault` that calls the database and providers in threads."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from daypass.client.event_loop import in_thread
from daypass.client.vault.vault import BATCH, WORKERS, Provider, Removed, Rewrapped, Vault

if TYPE_CHECKING:
    from daypass.client.storage.shared import SharedStorage
    from daypass.client.vault.connection import Connection
    from daypass.client.vault.events import VaultEvent
    from daypass.client.vault.keeper import Kept
    from daypass.duration import Duration
    from daypass.secret import Secret


class AsyncVault:
    """`Vault` with ``await``: it never blocks the event loop, asyncio's or trio's. The arguments are the same."""

    def __init__(
        self,
        url: str,
        *,
        secret: Secret,
        providers: Mapping[str, Provider] | None = None,
        on_event: Callable[[VaultEvent], object] | None = None,
        client: Any = None,
        **options: Any,
    ) -> None:
        self._vault = Vault(url, secret=secret, providers=providers, on_event=on_event, client=client, **options)

    def __repr__(self) -> str:
        return f"<Async{repr(self._vault)[1:]}"

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """The same as `Vault.counts`."""
        return self._vault.counts

    def metrics(self) -> str:
        """Return the same as `Vault.metrics`."""
        return self._vault.metrics()

    def connection(self, provider: str, name: str) -> SharedStorage:
        """Return the same as `Vault.connection`; an async client awaits its storage by itself."""
        return self._vault.connection(provider, name)

    async def put(
        self,
        provider: str,
        name: str,
        *,
        refresh_token: str,
        access_token: str | None = None,
        expires_in: float | None = None,
    ) -> None:
        """Call `Vault.put` in a thread."""
        tokens = {"refresh_token": refresh_token, "access_token": access_token, "expires_in": expires_in}
        await in_thread(partial(self._vault.put, provider, name, **tokens))  # type: ignore[arg-type]  # by their names

    async def connections(self, provider: str | None = None) -> AsyncIterator[Connection]:
        """Yield the same as `Vault.connections`."""
        pages = self._vault.pages(provider)
        while (page := await in_thread(next, pages, None)) is not None:
            for connection in page:
                yield connection

    async def show(self, provider: str, name: str) -> Connection | None:
        """Call `Vault.show` in a thread."""
        return await in_thread(self._vault.show, provider, name)

    async def remove(self, provider: str, name: str, *, only_if_revoked: bool = False) -> Removed:
        """Call `Vault.remove` in a thread."""
        return await in_thread(partial(self._vault.remove, provider, name, only_if_revoked=only_if_revoked))

    async def rewrap(self, *, on_progress: Callable[[Rewrapped], object] | None = None) -> Rewrapped:
        """Call `Vault.rewrap` in a thread, and ``on_progress`` too. Cancelling this ends it after a page."""
        stop = threading.Event()
        try:
            return await in_thread(partial(self._vault.rewrap, on_progress=on_progress, stop=stop))
        finally:
            stop.set()

    async def keep(self, *, every: Duration | None = None, batch: int = BATCH, workers: int = WORKERS) -> Kept:
        """Call `Vault.keep` in a thread; cancelling this ends it after the current batch."""
        stop = threading.Event()
        try:
            return await in_thread(partial(self._vault.keep, every=every, stop=stop, batch=batch, workers=workers))
        finally:
            stop.set()

    async def close(self) -> None:
        """Call `Vault.close` in a thread."""
        await in_thread(self._vault.close)
