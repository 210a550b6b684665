"""The plain axios recipe, unmodified, in a real browser: on a 401 refresh, and send the request again.

`page.html` contains it as in many tutorials: no queue, no lock, several refreshes at once. The tests compare the page's
results with the requests that the server received.
"""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page

from daypass import EventCode
from daypass.duration import Duration

from .conftest import Application
from .marks import marks
from .stranger import standing_by

REFRESHED = ("POST", "/auth/refresh", 200)

pytestmark = marks("axios", why="without `daypass.js`")


def test_reading_past_expiry(page: Page, application: Application) -> None:
    """A read after expiry succeeds after one refresh, three times in a row."""
    for _ in range(3):
        application.expire()
        assert {"status": 200, "data": {"user": "alice"}} == page.evaluate("read()")
        assert [("GET", "/api/items", 401), REFRESHED, ("GET", "/api/items", 200)] == application.take()
        assert {"status": 200, "data": {"user": "alice"}} == page.evaluate("read()")
        assert [("GET", "/api/items", 200)] == application.take()
    assert {EventCode.STARTED: 1, EventCode.ROTATED: 3} == application.counts()


def test_writing_past_expiry(page: Page, application: Application) -> None:
    """A write after expiry succeeds after one refresh; the server gets the body once."""
    application.expire()
    assert 200 == page.evaluate("write({name: 'Zoë', count: 3})")["status"]
    assert [("POST", "/api/items", 401), REFRESHED, ("POST", "/api/items", 200)] == application.take()
    assert ['{"name":"Zoë","count":3}'.encode()] == application.bodies


def test_uploading_past_expiry(page: Page, application: Application) -> None:
    """An upload by FormData after expiry succeeds after one refresh, with the whole file."""
    application.expire()
    size = 300_000
    answer = page.evaluate("(size) => upload('cat.png', size)", size)
    assert (200, True) == (answer["status"], answer["data"]["bytes"] > size)
    assert [("POST", "/api/upload", 401), REFRESHED, ("POST", "/api/upload", 200)] == application.take()
    (body,) = application.bodies
    assert size * b"A" in body
    assert b'filename="cat.png"' in body


def test_twenty_at_expiry(page: Page, application: Application) -> None:
    """Twenty requests at expiry all succeed, although the recipe refreshes for each.

    One refresh rotates, the others repeat it. The next expiry is the same: no refresh is refused.
    """
    for rotations in (1, 2):
        application.expire()
        answers = page.evaluate("readMany(20)")
        assert 20 * [200] == [answer["status"] for answer in answers]
        seen = application.take()
        refreshes = [each for each in seen if each[1] == "/auth/refresh"]
        assert {REFRESHED} == set(refreshes)
        assert len(refreshes) > 1, "the recipe was to send several refreshes at once"
        assert (20, len(refreshes)) == (seen.count(("GET", "/api/items", 200)), seen.count(("GET", "/api/items", 401)))
        assert rotations == application.counts()[EventCode.ROTATED]
    assert {EventCode.STARTED, EventCode.ROTATED, EventCode.REPEATED, EventCode.HELD} >= set(application.counts())
    assert 1 == application.counts()[EventCode.STARTED]


def test_two_tabs_at_expiry(page: Page, context: BrowserContext, application: Application) -> None:
    """Two tabs send requests at the same expiry: none fails, and the session rotates once."""
    other = context.new_page()
    other.goto(application.address)
    application.expire()
    for each in (page, other):
        each.evaluate("() => { window.pending = readMany(10) }")
    answers = [answer["status"] for each in (page, other) for answer in each.evaluate("window.pending")]
    assert 20 * [200] == answers
    assert 1 == application.counts()[EventCode.ROTATED]


class TestRealTime:
    """With the real clock."""

    @pytest.fixture
    def lifetimes(self) -> dict[str, Duration]:
        return {"access_ttl": "1s", "grace_period": "30s"}

    def test_reading_past_three_expiries(self, page: Page, application: Application) -> None:
        """With access tokens of one second, for four seconds no request fails, over at least three expiries."""
        statuses = page.evaluate("readFor(4000, 50)")
        assert {200} == set(statuses)
        seen = application.take()
        assert seen.count(REFRESHED) >= 3
        assert seen.count(REFRESHED) == seen.count(("GET", "/api/items", 401))
        assert len(statuses) == seen.count(("GET", "/api/items", 200))


def test_reading_past_a_reload(page: Page, application: Application) -> None:
    """After a reload the page has no access token: the first request refreshes."""
    page.reload()
    assert 200 == page.evaluate("read()")["status"]
    assert [("GET", "/api/items", 401), REFRESHED, ("GET", "/api/items", 200)] == application.take()


def test_after_logout(page: Page, context: BrowserContext, application: Application) -> None:
    """After a logout the refresh gets 401, and the page gets that 401."""
    assert 204 == page.evaluate("logout()")["status"]
    assert [] == context.cookies()
    application.take()
    answer = page.evaluate("read()")
    assert (401, "invalid_grant") == (answer["status"], answer["data"]["error"])
    assert [("GET", "/api/items", 401), ("POST", "/auth/refresh", 401)] == application.take()


def test_reading_past_a_lost_answer(page: Page, application: Application) -> None:
    """If the response to a refresh is lost, the session goes on: the next request refreshes again."""
    application.expire()
    application.lose_refreshes = 1
    assert 502 == page.evaluate("read()")["status"]
    assert 200 == page.evaluate("read()")["status"]
    assert 2 == application.take().count(REFRESHED)
    assert (1, 1) == (application.counts()[EventCode.ROTATED], application.counts()[EventCode.REPEATED])


def test_scripts_cannot_read_the_cookie(page: Page, context: BrowserContext, application: Application) -> None:
    """No script can read or delete the refresh cookie; it is sent to this host only."""
    assert "" == page.evaluate("document.cookie")
    assert [0, 0] == page.evaluate("[localStorage.length, sessionStorage.length]")
    (cookie,) = context.cookies()
    address = urlsplit(application.address)
    name = f"daypass-{address.port}"
    expected = (name, address.hostname, "/", True, "Strict")
    assert expected == (cookie["name"], cookie["domain"], cookie["path"], cookie["httpOnly"], cookie["sameSite"])
    assert cookie["value"].startswith("dpr_")
    page.evaluate(f"document.cookie = '{name}=; max-age=0; path=/'")
    assert 1 == len(context.cookies())


def test_a_page_of_another_site(page: Page, context: BrowserContext, application: Application) -> None:
    """A page of another site cannot refresh or end the session, by script or by form. The user stays logged in."""
    hostile = context.new_page()
    with standing_by() as (elsewhere, _):
        hostile.goto(f"{elsewhere}/200")
    hostile.evaluate(
        """async (address) => {
            for (const path of ["refresh", "logout"]) {
                await fetch(`${address}/auth/${path}`, { method: "POST", mode: "no-cors", credentials: "include" });
            }
        }""",
        application.address,
    )
    with hostile.expect_navigation():
        hostile.evaluate(
            """(address) => {
                document.body.innerHTML = `<form method="post" action="${address}/auth/logout"></form>`;
                document.forms[0].submit();
            }""",
            application.address,
        )
    refused = [("POST", f"/auth/{path}", 403) for path in ("refresh", "logout", "logout")]
    assert refused == application.take()
    application.expire()
    assert 200 == page.evaluate("read()")["status"]
