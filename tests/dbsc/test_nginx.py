"""Bound sessions behind a real nginx that ends TLS, with each configuration that this project shows."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from daypass.duration import MINUTE, SECOND

from .behind_nginx import Configuration, Site, compose, forward_auth, running, serve
from .browser import DeviceBrowser


@pytest.fixture
def site() -> Site:
    return Site()


Browsing = Callable[[Configuration], DeviceBrowser]


@pytest.fixture
def browsing(site: Site, tmp_path: Path) -> Iterator[Browsing]:
    """Return what gives a browser of the site behind nginx, by nginx's configuration."""
    with ExitStack() as stack:
        addresses = stack.enter_context(site.serving())

        def browser(configuration: Configuration) -> DeviceBrowser:
            proxy = stack.enter_context(running(tmp_path, configuration(*addresses)))
            trusted = ssl.create_default_context(cafile=proxy.certificate)
            client = stack.enter_context(httpx2.Client(base_url=proxy.url, verify=trusted, timeout=30))
            return DeviceBrowser(client, clock=lambda: site.clock() / SECOND)

        yield browser


@pytest.mark.parametrize("configuration", [forward_auth, serve, compose])
def test_a_bound_session_goes_on_behind_nginx(site: Site, browsing: Browsing, configuration: Configuration) -> None:
    """Registration, proofs and logout pass nginx, also with the longest tokens; a copied jar gets nothing."""
    browser = browsing(configuration)
    assert 3800 < len(browser.log_in().json()["accessToken"]) < 4060
    assert f"{browser.client.base_url}".rstrip("/") == browser.registered["scope"]["origin"]
    for _ in range(3):
        thief = browser.copied()
        site.clock.advance(16 * MINUTE)
        browser.log.clear()
        assert 200 == browser.post("/auth/refresh").status_code
        assert [("/auth/device/refresh", 200), ("/auth/refresh", 200)] == browser.log
        assert 401 == thief.post("/auth/refresh").status_code
    assert 1 == site.codes.count("bound")
    assert 204 == browser.post("/auth/logout").status_code
    browser.prove()
    assert browser.registered is None


def is_anns(answer: httpx2.Response) -> bool:
    return answer.status_code == 200 and "<title>ann</title>" in answer.text


def test_pages_behind_forward_auth(site: Site, browsing: Browsing) -> None:
    """The application's page is answered after a proof; without one, by what the browser says of itself.

    A thief is sent to the login page, also by a request that pretends to be one of the browser's own.
    """
    browser = browsing(forward_auth)
    browser.log_in()
    for _ in range(2):
        site.clock.advance(16 * MINUTE)
        browser.log.clear()
        assert is_anns(browser.get("/page"))
        assert [("/auth/device/refresh", 200), ("/page", 200)] == browser.log
    thief = browser.copied()
    assert is_anns(thief.get("/page"))
    site.clock.advance(16 * MINUTE)
    own = {"sec-secure-session-id": browser.identifier, "secure-session-response": "x"}
    for sent in ({}, own, {"proxy-set-cookie": "split", "x-forwarded-method": "GET"}):
        refused = thief.get("/page", headers=sent)
        assert (303, "/auth/login-page") == (refused.status_code, refused.headers["location"])
        assert "set-cookie" not in refused.headers
    led = {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}
    for sent, refresh in ((led, "0"), (browser.skips, None)):
        waiting = browser._send("GET", "/page", sent)
        assert (503, "1", refresh) == (
            waiting.status_code,
            waiting.headers["retry-after"],
            waiting.headers.get("refresh"),
        )
    assert is_anns(browser.get("/page"))
    assert not {"reused", "logged_out", "ended"} & set(site.codes)
