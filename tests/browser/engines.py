"""The three browser engines: Chromium and Firefox by Playwright, WebKitGTK by its own WebDriver."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, cast

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from . import webkit

ENGINES = ("chromium", "firefox", "webkit")
CHROMIUM = Path("/usr/bin/chromium")
FIREFOX = Path("/usr/bin/firefox-esr")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIREFOX_PREFERENCES: dict[str, Any] = {
    "browser.safebrowsing.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,  # a tab's process is started when it is needed: less work for two cores
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Engines:
    """Browsers that are started when they are first asked for, and kept.

    Playwright keeps an event loop running in the thread of the tests while a browser of its is open.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[str, Browser] = {}
        self._playwright: Playwright | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def running(self, engine: str, *, back_forward_cache: bool = False) -> Browser:
        """Return the engine's browser; on request one that keeps pages for Back, as users' browsers do."""
        key = f"{engine} {back_forward_cache}"
        if key not in self._running:
            self._running[key] = self._started(engine, back_forward_cache=back_forward_cache)
        return self._running[key]

    def _started(self, engine: str, *, back_forward_cache: bool) -> Browser:
        if reason := missing(engine):
            pytest.skip(reason)
        if engine == "webkit":
            return cast("Browser", self._stack.enter_context(webkit.Browser()))  # it has what the tests call
        if self._playwright is None:
            self._playwright = self._stack.enter_context(sync_playwright())
        if engine == "firefox":
            return self._stack.enter_context(
                self._playwright.firefox.launch(
                    channel="moz-firefox",  # by WebDriver BiDi, so a Firefox as Debian builds it will do
                    executable_path=FIREFOX,
                    firefox_user_prefs=FIREFOX_PREFERENCES,
                )
            )
        return self._stack.enter_context(
            self._playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=CHROMIUM_ARGUMENTS,
                ignore_default_args=["--disable-back-forward-cache"] if back_forward_cache else None,
            )
        )


def missing(engine: str) -> str | None:
    """Return why an engine cannot run here, or None if it can."""
    wanted = {"chromium": [CHROMIUM], "firefox": [FIREFOX], "webkit": [webkit.DRIVER, webkit.BROWSER, webkit.DISPLAY]}
    absent = [str(path) for path in wanted[engine] if not path.exists()]
    return f"{engine}: there is no {', no '.join(absent)}" if absent else None
