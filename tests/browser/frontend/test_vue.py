"""The example of Vue and vue-router in a real browser."""

import pytest
from playwright.sync_api import Page

from .conftest import REFRESHED, Tab, fill_in, log_in, wait_for
from .site import Site, refreshes

pytestmark = [pytest.mark.clients("Vue"), pytest.mark.not_for(fetch="no components", axios="no components")]


def path_of(page: Page) -> str:
    return str(page.evaluate("location.pathname + location.search"))


@pytest.mark.not_for(React="see the row before")
def test_login_and_back(tab: Tab, site: Site) -> None:
    """The guard sends visitors to the login, and the login sends them back to the page that they wanted."""
    page = tab("vue_recipe", "/notes?page=2")
    page.wait_for_function("location.pathname === '/login'")
    assert "/login?redirect=/notes?page=2" == path_of(page)
    fill_in(page, password="wrong")
    wait_for(page, "form", "Wrong name or password.")
    fill_in(page)
    wait_for(page, "#notes", "200")
    assert "/notes?page=2" == path_of(page)
    wait_for(page, "#app", "Hello, alice")
    page.reload()
    wait_for(page, "#notes", "200")


def test_component_that_unmounts(tab: Tab, site: Site) -> None:
    """A component that unmounts during a refresh aborts its request. The next request uses the new token."""
    page = tab("vue_lab")
    log_in(page)
    page.evaluate(REFRESHED)
    site.expire(page)
    site.delay = 0.5
    site.take()
    asked = site.asked
    page.evaluate("show(1)")
    while site.asked == asked:
        page.wait_for_timeout(20)
    page.evaluate("show(0)")
    page.evaluate("refreshed")
    page.evaluate("show(1)")
    wait_for(page, ".result", "200")
    assert [("/api/items", 401), ("/auth/refresh", 200), ("/api/items", 200)] == site.take()


def test_a_hundred_components(tab: Tab, site: Site) -> None:
    """A hundred components send requests at expiry: all succeed after one refresh."""
    page = tab("vue_lab")
    log_in(page)
    site.expire(page)
    site.take()
    page.evaluate("show(100)")
    page.wait_for_function("document.querySelectorAll('.result').length === 100")
    page.wait_for_function("[...document.querySelectorAll('.result')].every((each) => each.textContent === '200')")
    assert [200] == refreshes(site.take())


def test_components_of_another_user(tab: Tab, site: Site) -> None:
    """The refs follow another user's login in another tab, until the app is unmounted."""
    page, other = tab("vue_lab"), tab("vue_lab")
    wait_for(page, "#name", "out nobody")
    log_in(page)
    wait_for(page, "#name", "in alice")
    wait_for(other, "#name", "in alice")
    log_in(other, "ben")
    wait_for(page, "#name", "in ben")
    page.evaluate("app.unmount()")
    other.evaluate("session.logout()")
    wait_for(other, "#name", "out nobody")


def test_guard_after_a_logout_elsewhere(tab: Tab, site: Site) -> None:
    """A logout in another tab sends a guarded page to the login, and leaves an open page where it is."""
    page, other = tab("vue_recipe", "/login"), tab("vue_recipe", "/open")
    log_in(page)
    page.evaluate("router.push('/notes')")
    wait_for(page, "#notes", "200")
    wait_for(other, "#app", "Hello, alice")
    other.click("button")
    wait_for(page, "form", "Log in")
    assert "/login?redirect=/notes" == path_of(page)
    assert "/open" == path_of(other)


def test_guard_at_the_end(tab: Tab, site: Site) -> None:
    """If the server has ended the session, the next request sends a guarded page to the login."""
    page = tab("vue_recipe", "/login")
    log_in(page)
    page.evaluate("router.push('/notes')")
    wait_for(page, "#notes", "200")
    page.context.clear_cookies()
    site.expire(page)
    page.evaluate("session.fetch('/api/items').catch(() => {})")
    wait_for(page, "form", "Log in")


def test_guard_during_a_reload(tab: Tab, site: Site) -> None:
    """While the status is `unknown`, a guarded page stays, and is never sent to the login."""
    page = tab("vue_recipe", "/login")
    log_in(page)
    site.delay = 0.5
    page.goto(f"{site.address}/notes?page=2")
    page.wait_for_function("window.ready")
    page.evaluate("() => { window.paths = []; router.afterEach(({ fullPath }) => { paths.push(fullPath); }); }")
    wait_for(page, "#notes", "200")
    assert {"/notes?page=2"} == {*page.evaluate("paths"), path_of(page)}


def test_guard_while_the_server_is_down(tab: Tab, site: Site) -> None:
    """While the server is down, a guarded page is not sent to the login."""
    page = tab("vue_recipe", "/login")
    log_in(page)
    site.down = True
    page.goto(f"{site.address}/notes")
    wait_for(page, "#notes", "RefreshUnavailable")
    assert "/notes" == path_of(page)
