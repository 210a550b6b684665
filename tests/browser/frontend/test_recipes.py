"""The examples of the other frameworks and of the API clients in a real browser."""

import pytest

from .conftest import Tab, fill_in, log_in, wait_for
from .site import Site, refreshes

pytestmark = pytest.mark.engines("chromium")  # the libraries are tested, not the engines

CLIENTS = {
    "axios": "error",
    "ky": "error",
    "openapi": "error",
    "trpc": "error.cause",
    "apollo": "error",
    "urql": "error.networkError",
}
"""Where a client's error holds the session's error."""


def test_react_router(tab: Tab, site: Site) -> None:
    """Loaders only run for users who are logged in; others get the login, and then the page that they wanted."""
    page = tab("react_router", "/?page=2")
    wait_for(page, "form", "Log in")
    assert "/login" == page.evaluate("location.pathname")
    assert [] == [status for path, status in site.take() if path == "/api/notes"]
    fill_in(page)
    wait_for(page, "#notes", "alice sees milk of alice, bread of alice")
    assert "/?page=2" == page.evaluate("location.pathname + location.search")
    other = tab("react_router")
    wait_for(other, "#notes", "alice sees milk of alice")
    log_in(other, "ben")
    wait_for(page, "#notes", "ben sees milk of ben")
    other.evaluate("session.logout()")
    wait_for(page, "form", "Log in")


def test_tanstack_query(tab: Tab, site: Site) -> None:
    """Data that one user has loaded are not shown to the next one. The end of the session is not retried."""
    page = tab("react_query")
    wait_for(page, "form", "Log in")
    fill_in(page)
    wait_for(page, "#list", "alice: milk of alice, bread of alice")
    site.expire(page)
    site.take()
    page.evaluate("queryClient.refetchQueries()")
    assert [("/api/notes", 401), ("/auth/refresh", 200), ("/api/notes", 200)] == site.take()
    site.items = ["tea"]
    shown = page.evaluate("""async () => {
        const shown = new Set();
        new MutationObserver(() => shown.add(document.querySelector("#list")?.textContent)).observe(
            document.body, { childList: true, subtree: true, characterData: true });
        await session.login({ username: "ben", password: "correct horse battery" });
        while (!shown.has("ben: tea of ben")) await new Promise((go) => setTimeout(go, 10));
        return [...shown];
    }""")
    assert not [text for text in shown if "ben" in text and "alice" in text]
    page.context.clear_cookies()
    site.expire(page)
    site.take()
    page.evaluate("queryClient.refetchQueries()")
    wait_for(page, "form", "Log in")
    assert [("/api/notes", 401), ("/auth/refresh", 401)] == site.take()
    assert [] == page.evaluate("queryClient.getQueryCache().getAll().map((each) => each.state.data)")


def test_svelte(tab: Tab, site: Site) -> None:
    """The template shows a login by the form, a reload, and changes in another tab."""
    page = tab("svelte_recipe")
    wait_for(page, "form", "Log in")
    fill_in(page)
    wait_for(page, "#root", "Hello, alice")
    page.reload()
    wait_for(page, "#root", "Hello, alice")
    other = tab("svelte_recipe")
    wait_for(other, "#root", "Hello, alice")
    log_in(other, "ben")
    wait_for(page, "#root", "Hello, ben")
    other.click("button")
    wait_for(page, "form", "Log in")


def test_angular(tab: Tab, site: Site) -> None:
    """`HttpClient` gets 200 at expiry, the signals show the session, and the guard returns the login."""
    page = tab("angular_recipe")
    assert "/login" == page.evaluate("guard()")
    log_in(page)
    site.expire(page)
    site.take()
    assert 200 == page.evaluate("get('/api/items')")
    assert [("/api/items", 401), ("/auth/refresh", 200), ("/api/items", 200)] == site.take()
    assert {"status": "in", "name": "alice"} == page.evaluate("shown()")
    assert "true" == page.evaluate("guard()")
    page.evaluate("session.logout()")
    assert {"status": "out", "name": None} == page.evaluate("shown()")


def test_clients(tab: Tab, site: Site) -> None:
    """The requests of all API clients at expiry succeed after one refresh."""
    page = tab("clients")
    log_in(page)
    site.expire(page)
    site.take()
    answers = page.evaluate("Promise.all(Object.values(ask).map((each) => each()))")
    assert ["alice"] * len(CLIENTS) == answers
    assert [200] == refreshes(site.take())


def test_end_in_a_client(tab: Tab, site: Site) -> None:
    """If the session has ended, each client's error has the code `login_required`. The request is not retried."""
    for client, error in CLIENTS.items():
        page = tab("clients")
        log_in(page)
        page.context.clear_cookies()
        site.expire(page)
        site.take()
        assert "login_required" == page.evaluate(f"ask['{client}']().catch((error) => {error}.code)"), client
        assert 2 == len(site.take()), client


def test_websocket(tab: Tab, site: Site) -> None:
    """A WebSocket opened at expiry gets a valid token. It is closed when the user logs out."""
    page = tab("clients")
    log_in(page)
    site.expire()
    page.evaluate("skipped += 60_000")
    page.evaluate("async () => { window.socket = await connect('/api/live', (text) => { window.said = text; }); }")
    page.wait_for_function("window.said === 'Hello, alice'")
    page.evaluate("session.logout()")
    page.wait_for_function("socket.readyState === WebSocket.CLOSED")


def test_graphql_subscriptions(tab: Tab, site: Site) -> None:
    """graphql-ws subscribes again when its access token has expired, and not after a logout."""
    page = tab("clients")
    log_in(page)
    page.evaluate("""() => {
        window.said = [];
        const sink = {
            next: ({ data }) => said.push(data.hello),
            error: (error) => said.push(error.error?.code ?? `${error.code} ${error}`),
            complete: () => said.push("complete"),
        };
        subscriptions.subscribe({ query: "subscription { hello }" }, sink);
    }""")
    page.wait_for_function("said.length === 2")
    site.expire(page)  # the server closes the connection with 4401
    page.wait_for_function("said.length === 4")
    assert 2 * ["0 alice", "1 alice"] == page.evaluate("said")
    page.evaluate("session.logout()")
    page.wait_for_function("said.length === 5", timeout=60_000)
    assert "login_required" == page.evaluate("said[4]")
    assert 2 == site.subscriptions
