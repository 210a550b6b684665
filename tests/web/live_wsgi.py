"""The promises that hold in every WSGI framework, besides those of all frameworks."""

import threading
from contextlib import AbstractContextManager
from typing import Any
from wsgiref.types import WSGIApplication

import pytest

from daypass import AsyncDaypass, ConfigurationError, Daypass

from ..servers.wsgi import serving
from .live import Application, MountedAnywhere
from .world import ISSUER, SECRET


class SyncApplication(Application):
    """An application whose issuer needs no event loop."""

    auth: Daypass

    def __init__(self, store: Any = "memory:") -> None:
        super().__init__(store)
        self.entered = threading.Event()

    def make(self, store: Any, **arguments: Any) -> None:
        self.auth = Daypass(store, load_user=self.find, **arguments)


class MountedInWsgi(MountedAnywhere):
    def serve(self, app: WSGIApplication) -> AbstractContextManager[str]:
        return serving(app)

    def make(self, store: str = "memory:") -> SyncApplication:
        return SyncApplication(store)

    def test_an_async_issuer(self) -> None:
        """An `AsyncDaypass` needs an event loop, so each way of mounting refuses it, and says what to use."""
        auth = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
        for make in type(self).makers:
            with pytest.raises(ConfigurationError, match="needs Daypass, not AsyncDaypass"):
                make(auth)
