"""React in a real browser, always in StrictMode: expiry, parallel requests, other tabs, early unmounts, other users."""

import pytest

from .conftest import Tab, fill_in, log_in, wait_for
from .site import Site, refreshes

pytestmark = [pytest.mark.clients("React"), pytest.mark.not_for(fetch="no components", axios="no components")]


@pytest.mark.not_for(Vue="not counted")
def test_refresh_renders_nothing(tab: Tab, site: Site) -> None:
    """A component's request after expiry succeeds after one refresh. The refresh renders no component."""
    page = tab("react_lab")
    log_in(page)
    wait_for(page, "#name", "alice")
    site.expire(page)
    site.take()
    rendered = page.evaluate("seen.renders.Name")
    page.evaluate("show('one')")
    wait_for(page, ".result", "200")
    assert [200] == refreshes(site.take())
    assert 2 >= page.evaluate("seen.renders.Name") - rendered  # what `show` renders, twice in StrictMode


def test_a_hundred_components(tab: Tab, site: Site) -> None:
    """A hundred components, mounted twice, send requests at expiry: all succeed after one refresh."""
    page = tab("react_lab")
    log_in(page)
    site.expire(page)
    site.take()
    page.evaluate("show('many')")
    page.wait_for_function("[...document.querySelectorAll('.result')].every((each) => each.textContent === '200')")
    assert 100 == page.evaluate("document.querySelectorAll('.result').length")
    assert [200] == refreshes(site.take())


def test_component_that_unmounts(tab: Tab, site: Site) -> None:
    """A component that unmounts during a refresh aborts its request. The next request uses the new token."""
    page = tab("react_lab")
    log_in(page)
    site.expire(page)
    site.delay = 0.5
    site.take()
    asked = site.asked
    page.evaluate("show('one')")
    while site.asked == asked:
        page.wait_for_timeout(20)
    page.evaluate("show('')")
    page.wait_for_function("results.length === 2")
    assert ["AbortError", "AbortError"] == page.evaluate("results")
    page.evaluate("show('one')")
    wait_for(page, ".result", "200")
    assert [200] == refreshes(site.take())


@pytest.mark.not_for(Vue="Vue mounts a component once")
def test_session_that_a_component_makes(tab: Tab, site: Site) -> None:
    """A component can create a session and close it when it unmounts, also if StrictMode mounts it twice."""
    page = tab("react_lab", "/?show=own")
    wait_for(page, "#own", "200")
    page.evaluate("show('')")


def test_guard_after_a_logout_elsewhere(tab: Tab, site: Site) -> None:
    """A logout in one tab shows the login in the other; a login there shows the page again."""
    page = tab("react_lab", "/?show=guarded")
    wait_for(page, "#login", "log in")
    log_in(page)
    wait_for(page, "#count", "0")
    other = tab("react_lab")
    wait_for(other, "#name", "alice")
    other.evaluate("session.logout()")
    wait_for(page, "#login", "log in")
    wait_for(page, "#name", "nobody")
    log_in(other)
    wait_for(page, "#count", "0")


def test_components_of_another_user(tab: Tab, site: Site) -> None:
    """If another user logs in, the children of `RequireLogin` are mounted again."""
    page = tab("react_lab", "/?show=guarded")
    log_in(page)
    wait_for(page, "#count", "0")
    page.click("#count")
    page.click("#count")
    wait_for(page, "#count", "2")
    other = tab("react_lab")
    wait_for(other, "#name", "alice")
    log_in(other, "ben")
    wait_for(page, "#name", "ben")
    wait_for(page, "#count", "0")


def test_guard_during_a_reload(tab: Tab, site: Site) -> None:
    """While the status is `unknown`, `RequireLogin` shows `pending`, and never the login."""
    page = tab("react_lab", "/?show=guarded")
    log_in(page)
    wait_for(page, "#count", "0")
    site.delay = 0.5
    page.reload()
    wait_for(page, "#pending", "one moment")
    page.evaluate(
        "window.logins = new MutationObserver(() => document.querySelector('#login') && seen.errors.push('login'))"
        ".observe(document.body, { childList: true, subtree: true })"
    )
    wait_for(page, "#count", "0")


def test_guard_at_the_end(tab: Tab, site: Site) -> None:
    """If the server has ended the session, the next request shows the login."""
    page = tab("react_lab", "/?show=guarded")
    log_in(page)
    wait_for(page, "#count", "0")
    page.context.clear_cookies()
    site.expire(page)
    page.evaluate("session.fetch('/api/items').catch(({ code }) => { window.code = code; })")
    wait_for(page, "#login", "log in")
    assert "login_required" == page.evaluate("code")


def test_guard_while_the_server_is_down(tab: Tab, site: Site) -> None:
    """While the server is down, `RequireLogin` shows `pending`, not the login. Afterwards it shows the page."""
    page = tab("react_lab", "/?show=guarded")
    log_in(page)
    wait_for(page, "#count", "0")
    site.down = True
    page.reload()
    page.wait_for_function("window.ready")
    page.evaluate("session.ready.then(() => {})")  # settles after the first attempts
    wait_for(page, "#pending", "one moment")
    site.down = False
    wait_for(page, "#count", "0")


@pytest.mark.not_for(Vue="its `Suspense` is an experiment")
def test_suspense(tab: Tab, site: Site) -> None:
    """`use(session.ready)` suspends until the session is restored."""
    page = tab("react_lab", "/?show=first")
    wait_for(page, "#first", "nobody")
    log_in(page)
    site.delay = 0.5
    page.reload()
    wait_for(page, "#first", "suspended")
    wait_for(page, "#first", "alice")


@pytest.mark.not_for(Vue="it does not render in slices")
def test_logout_during_a_concurrent_render(tab: Tab, site: Site) -> None:
    """A logout during a concurrent render: no component shows the user while others show none."""
    page = tab("react_lab")
    log_in(page)
    shown = page.evaluate(
        """async () => {
            showLater("slow");
            while (!seen.renders[5]) await new Promise((go) => setTimeout(go));
            if (seen.renders[59]) throw new Error("rendered in one piece");
            session.logout();
            const slow = () => [...document.querySelectorAll(".slow")].map((each) => each.textContent);
            while (!slow().length) await new Promise((go) => setTimeout(go));
            return [...new Set(slow())];
        }"""
    )
    assert ["nobody"] == shown


@pytest.mark.not_for(Vue="not React")
def test_react_18(tab: Tab, site: Site) -> None:
    """The binding works in React 18 too."""
    page = tab("18/react_18")
    wait_for(page, "#login", "log in")
    log_in(page)
    wait_for(page, "#name", "18.")
    wait_for(page, "#name", "alice")
    page.evaluate("session.logout()")
    wait_for(page, "#login", "log in")


@pytest.mark.not_for(Vue="see the next row")
def test_example_of_the_docs(tab: Tab, site: Site) -> None:
    """The example of the docs: log in with the form, see the user also after a reload, log out."""
    page = tab("react_recipe")
    wait_for(page, "form", "Log in")
    fill_in(page, password="wrong")
    wait_for(page, "form", "Wrong name or password.")
    fill_in(page)
    wait_for(page, "#root", "Hello, alice")
    page.reload()
    wait_for(page, "#root", "Hello, alice")
    page.click("button")
    wait_for(page, "form", "Log in")
