"""The three browser engines: Chromium and Firefox by Playwright, WebKitGTK by its own WebDriver."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, cast

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Playwright, sync_playwright

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
    "dom.ipc.processPrelaunch.enabled": False,  # start no processes in advance
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
ONE_PROCESS = ["--renderer-process-limit=1", "--disable-site-isolation-trials"]
"""All tabs of a profile share a renderer. Starting one takes longer than most tests."""
VARIANTS: dict[tuple[str, str], dict[str, Any]] = {
    # Playwright disables the back/forward cache and the throttling of hidden tabs. These browsers have both.
    ("chromium", "everyday"): {
        "args": CHROMIUM_ARGUMENTS,
        "ignore_default_args": [
            "--disable-back-forward-cache",
            "--disable-background-timer-throttling",
            "--disable-backgrounding-occluded-windows",
            "--disable-renderer-backgrounding",
        ],
    },
    ("firefox", "private"): {"browser.privatebrowsing.autostart": True},
    ("firefox", "no cookies"): {"network.cookie.cookieBehavior": 2},
    ("webkit", "no cookies"): {"arguments": ["--cookies-policy=never"]},
}
"""Browsers with other options than the usual ones. An engine without an entry needs none, or has none."""


LIFE = 60
"""How many tests use one Firefox. It gets slower with every profile, so then another is started."""


class Engines:
    """Browsers, each started when it is first used, and closed at the end.

    While a browser is open, Playwright keeps an event loop running in the thread of the tests.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[tuple[str, str], Browser] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        self._idle: defaultdict[tuple[str, str], list[BrowserContext]] = defaultdict(list)
        self._playwright: Playwright | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def running(self, engine: str, variant: str = "") -> Browser:
        """Return the engine's browser, or the variant of it that `VARIANTS` names."""
        kind = _kind(engine, variant)
        self._asked[kind] += 1
        if engine == "firefox" and self._asked[kind] % LIFE == 0 and kind in self._running:
            self._idle[kind].clear()
            self._running.pop(kind).close()
        if kind not in self._running:
            self._running[kind] = self._started(engine, VARIANTS.get(kind, {}))
        return self._running[kind]

    @contextmanager
    def profile(self, engine: str, variant: str = "", *, again: bool = False) -> Iterator[BrowserContext]:
        """Lend a profile without cookies or storage.

        Args:
            engine: its browser's.
            variant: as for `running`.
            again: whether another test may use it afterwards: this one only opens pages of hosts of its own.
        """
        browser, idle = self.running(engine, variant), self._idle[_kind(engine, variant)]
        context = idle.pop() if again and idle else _new_profile(browser)
        context.set_default_timeout(15_000)
        yield context
        if again and _emptied(context):
            idle.append(context)
        else:
            context.close()

    def without_cookies(self, engine: str, profile: Path) -> BrowserContext:
        """Return a new profile that accepts no cookies. Chromium keeps it in the folder ``profile``."""
        browser = self.running(engine, "no cookies" if engine != "chromium" else "")
        if engine != "chromium":
            return browser.new_context()
        (profile / "Default").mkdir()
        settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
        (profile / "Default" / "Preferences").write_text(json.dumps(settings))
        return browser.browser_type.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )

    def with_devices(self, profile: Path, certificate_key: str, **options: Any) -> BrowserContext:
        """Return a profile of Chromium that binds sessions to keys, which it keeps in software.

        Args:
            profile: its folder; a new one for a fresh profile.
            certificate_key: the hash of a server's public key, whose certificate it accepts.
            options: of the context.
        """
        return self.running("chromium").browser_type.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=[
                *CHROMIUM_ARGUMENTS,
                "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
                f"--ignore-certificate-errors-spki-list={certificate_key}",
            ],
            **options,
        )

    def _started(self, engine: str, options: dict[str, Any]) -> Browser:
        if reason := missing(engine):
            pytest.skip(reason)
        if engine == "webkit":
            return cast("Browser", self._stack.enter_context(webkit.Browser(**options)))  # it has what the tests call
        if self._playwright is None:
            self._playwright = self._stack.enter_context(sync_playwright())
        if engine == "firefox":
            preferences = FIREFOX_PREFERENCES | options
            return self._stack.enter_context(
                self._playwright.firefox.launch(
                    channel="moz-firefox",  # WebDriver BiDi, which Debian's Firefox speaks
                    executable_path=FIREFOX,
                    firefox_user_prefs=preferences,
                )
            )
        return self._stack.enter_context(
            self._playwright.chromium.launch(
                executable_path=CHROMIUM, **{"args": CHROMIUM_ARGUMENTS + ONE_PROCESS} | options
            )
        )


def _kind(engine: str, variant: str) -> tuple[str, str]:
    """Return the key of a browser: that of the usual one, if the engine has no such variant."""
    return engine, variant if (engine, variant) in VARIANTS else ""


def _new_profile(browser: Browser) -> BrowserContext:
    """Return a new profile. Its first tab stays empty and open, so that the profile's process does not end."""
    context = browser.new_context()
    made: object = context
    if not isinstance(made, webkit.Context):
        context.new_page()
    return context


def _emptied(context: BrowserContext) -> bool:
    """Close a profile's tabs, and delete its cookies; return whether it worked."""
    lent: object = context
    if isinstance(lent, webkit.Context):
        return lent.emptied()
    try:
        for page in context.pages[1:]:
            page.close()
        context.clear_cookies()
        context.set_offline(False)
    except Error:
        return False
    return True


def missing(engine: str) -> str | None:
    """Return why an engine cannot run here, or None if it can."""
    wanted = {"chromium": [CHROMIUM], "firefox": [FIREFOX], "webkit": [webkit.DRIVER, webkit.BROWSER, webkit.DISPLAY]}
    absent = [str(path) for path in wanted[engine] if not path.exists()]
    return f"{engine}: there is no {', no '.join(absent)}" if absent else None
