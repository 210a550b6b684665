"""Chromium binds its sessions behind a real nginx that ends TLS: with forward auth, and at an OpenID Connect provider.

`make bound` runs this; the suite does not. It has the same without a browser in `tests/dbsc`. Chromium makes at most
six signatures for a site in nine minutes, so each test has a fresh profile and spends few.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error, Page

from daypass.duration import MINUTE

from ..dbsc.behind_nginx import Proxy, Site, forward_auth, free_port, running, serve
from ..oidc.providers import CLIENT, HERE, SECRET, node_provider
from ..server.processes import SECRET as MASTER
from ..server.processes import running as service
from ..servers.nginx import NGINX
from ..web.reverse_proxies import packaged_nginx
from . import npm
from .device_profile import Profile, wait_until
from .engines import Engines

LOG_IN = """fetch("/auth/login", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ username: "ann", password: "correct" }),
}).then(({ status }) => status)"""
KINDS = """() => {
  new WebSocket(location.origin.replace("https", "wss") + "/socket");
  const stream = new EventSource("/events");
  stream.onerror = () => stream.close();
  navigator.sendBeacon("/beacon", "x");
  new Worker("/worker");
}"""
LOG_OUT = "fetch('/auth/logout', { method: 'POST' }).then(({ status }) => status)"
ASK = """Promise.all(Array.from({ length: 10 }, async (_, n) => {
  const answer = await fetch(`/orders/${n}`);
  return answer.redirected ? answer.url : (await answer.text()).match(/<title>(.*)<.title>/)?.[1] ?? answer.status;
}))"""


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture(params=[NGINX, packaged_nginx()], ids=["nginx of Debian", "newer nginx"])
def proxy(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[Proxy]:
    """Run nginx with forward auth before the site's application."""
    with (
        site.serving() as addresses,
        running(tmp_path, forward_auth(*addresses), program=request.param) as proxy,
    ):
        yield proxy


@pytest.fixture
def profiles(engines: Engines, proxy: Proxy, tmp_path: Path) -> Iterator[Callable[[], Profile]]:
    made: list[Profile] = []

    def profile() -> Profile:
        made.append(Profile(engines, proxy.url, proxy.certificate, tmp_path / f"profile-{len(made)}"))
        return made[-1]

    yield profile
    for each in made:
        each.context.close()


def logged_in(site: Site, profile: Profile) -> Page:
    page = profile.context.new_page()
    page.goto(f"{profile.url}/orders")
    assert page.url.endswith("/auth/login-page")
    assert 200 == page.evaluate(LOG_IN)
    profile.until_registered()
    assert [200] == site.count("register")
    return page


def expire(site: Site, profile: Profile) -> None:
    """Let the access token expire, for the server and for the browser."""
    site.clock.advance(16 * MINUTE)
    profile.expire()


def test_protected_pages_go_on_after_the_expiry(site: Site, profiles: Callable[[], Profile]) -> None:
    """A page, ten requests in each of two tabs, a form, and a link of another site: one proof each."""
    owner = profiles()
    page = logged_in(site, owner)
    page.wait_for_timeout(61_000)  # the first cookie expires by itself
    page.goto(f"{owner.url}/orders")
    assert ("ann", [200]) == (page.title(), site.count("refresh"))
    assert "bound" in site.codes
    other = owner.context.new_page()
    other.goto(f"{owner.url}/orders")
    expire(site, owner)
    assert [["ann"] * 10] * 2 == [each.evaluate(ASK) for each in (page, other)]
    assert [200] == site.count("refresh")
    expire(site, owner)
    page.click("button")
    page.wait_for_selector("p:has-text('text=kept')")
    assert ("ann", [200]) == (page.title(), site.count("refresh"))
    expire(site, owner)
    page.goto(f"{owner.url.replace('localhost', '127.0.0.1')}/orders")
    page.set_content(f"<a href={owner.url}/orders>there</a>")
    page.click("a")
    wait_until(lambda: "ann" == page.title(), "the page was not loaded again")
    assert [200] == site.count("refresh")
    assert not {"reused", "logged_out", "ended"} & set(site.codes)


def test_requests_of_each_kind_prove_the_key(site: Site, profiles: Callable[[], Profile]) -> None:
    """A WebSocket, a stream of events, a beacon and a worker after the expiry: a proof first, then all pass."""
    owner = profiles()
    page = logged_in(site, owner)
    page.goto(f"{owner.url}/orders")
    expire(site, owner)
    page.evaluate(KINDS)
    wanted = {(f"/{kind}", "ann") for kind in ("socket", "events", "beacon", "worker")}
    wait_until(lambda: wanted <= set(site.reached), "not all passed")
    assert {200} == set(site.count("refresh"))


def test_a_copied_jar_is_sent_to_the_login_page(site: Site, profiles: Callable[[], Profile]) -> None:
    """The thief's pages open until the access token expires; the owner's go on, and a logout ends the session."""
    owner = profiles()
    page = logged_in(site, owner)
    expire(site, owner)
    page.goto(f"{owner.url}/orders")
    thief = profiles()
    thief.context.add_cookies(owner.context.cookies())  # type: ignore[arg-type]  # what one gives, the other takes
    stolen = thief.context.new_page()
    stolen.goto(f"{owner.url}/orders")
    assert "ann" == stolen.title()
    site.count("refresh")
    for _ in range(2):
        expire(site, owner)
        thief.expire()
        stolen.goto(f"{owner.url}/orders")
        assert stolen.url.endswith("/auth/login-page")
        assert 401 == stolen.evaluate("fetch('/auth/refresh', { method: 'POST' }).then(({ status }) => status)")
        page.goto(f"{owner.url}/orders")
        assert ("ann", [200]) == (page.title(), site.count("refresh"))
    assert 204 == page.evaluate(LOG_OUT)
    page.goto(f"{owner.url}/orders")
    assert page.url.endswith("/auth/login-page")


def test_no_outage_behind_nginx_logs_out(site: Site, engines: Engines, tmp_path: Path) -> None:
    """Without nginx, without Daypass (502 at the proof), after the browser was closed: the session goes on."""
    port, daypass_port = free_port(), free_port()
    with site.serving(daypass_port) as addresses, running(tmp_path, forward_auth(*addresses), port) as proxy:
        owner = Profile(engines, proxy.url, proxy.certificate, tmp_path / "profile")
        page = logged_in(site, owner)
    expire(site, owner)
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        page.goto(f"{owner.url}/orders")
    with running(tmp_path, forward_auth(*addresses), port):  # and nothing behind it
        answer = page.goto(f"{owner.url}/orders")
        assert answer is not None
        assert 503 == answer.status
    with site.serving(daypass_port) as addresses, running(tmp_path, forward_auth(*addresses), port):
        page.goto(f"{owner.url}/orders")
        assert "ann" == page.title()
        expire(site, owner)
        owner.context.close()
        owner.open()
        page = owner.context.new_page()
        page.goto(f"{owner.url}/orders")
        assert ("ann", True) == (page.title(), 200 in site.count("refresh"))
        owner.context.close()
    assert not {"rejected", "reused", "logged_out"} & set(site.codes)


LOOK = """async () => {
  const { createSession } = await import("/auth/daypass.js");
  const session = createSession();
  const { sessions } = await (await session.fetch("/auth/sessions")).json();
  return [session.user.subject, sessions.find(({ current }) => current).bound];
}"""


def test_a_login_at_an_openid_provider_is_bound(engines: Engines, tmp_path: Path, tmp_path_factory: Any) -> None:
    """By `daypass serve` behind nginx, after the provider's form and also when the provider only redirects."""
    npm.fetch(HERE, "oidc-provider/package.json", tmp_path_factory)
    port = free_port()
    origin = f"https://localhost:{port}"
    client = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [f"{origin}/auth/oidc/callback"],
        "post_logout_redirect_uris": [f"{origin}/"],
    }
    with node_provider(client, {"u-1": {"preferred_username": "ann"}}) as issuer:
        given = {
            "DAYPASS_SECRET": MASTER,
            "DAYPASS_ISSUER": origin,
            "DAYPASS_DEVICE_BOUND": "1",
            "DAYPASS_OIDC_ISSUER": issuer,
            "DAYPASS_OIDC_CLIENT_ID": CLIENT,
            "DAYPASS_OIDC_CLIENT_SECRET": SECRET,
        }
        with (
            service(folder=tmp_path, given=given) as daypass,
            running(tmp_path, serve(daypass.address.removeprefix("http://"), ""), port) as proxy,
        ):
            owner = Profile(engines, proxy.url, proxy.certificate, tmp_path / "profile")
            page = owner.context.new_page()
            for is_known in (False, True):
                page.goto(f"{origin}/auth/oidc/login?return_to=/openapi.json")
                if not is_known:
                    assert "Provider" == page.title()
                    page.fill("input", "u-1")
                    page.click("button")
                page.wait_for_url(f"{origin}/openapi.json")
                owner.until_registered()
                owner.expire()
                assert ["u-1", True] == page.evaluate(LOOK)
                assert 204 == page.evaluate(LOG_OUT)
            owner.context.close()
