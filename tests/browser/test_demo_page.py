"""The demo's page in real browsers: tokens expire and requests do not fail; the page is accessible."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from daypass.clock import system_clock
from daypass.demo import service
from daypass.demo.people import EMAIL, PASSWORD
from daypass.server import run, users
from daypass.stores.sqlite import SqliteStore

from ..servers.application import serving
from . import npm
from .conftest import HERE


@pytest.fixture
def address(tmp_path: Path, host: str) -> Iterator[str]:
    """Return the address of the demo's service, without its simulated users."""
    database = tmp_path / "demo.db"
    with closing(SqliteStore(database)) as store:
        users.add(store, EMAIL, "demo", PASSWORD, system_clock())
    with run.bind("127.0.0.1", 0) as listening:
        issuer = run.address(listening)
    with serving(service.build(database, issuer), grace=1, host=host) as address:
        yield address


@pytest.fixture
def demo(context: BrowserContext, engine: str, address: str) -> Iterator[Page]:
    """Return the page, logged in. At the end it must have loaded nothing from other origins, and logged no error."""
    page = context.new_page()
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    if engine != "webkit":  # WebDriver has no command for the console
        page.on("console", heard)
        page.on("pageerror", lambda error: problems.append(str(error)))
    log_in(page, address)
    yield page
    assert [] == problems
    asked = page.evaluate("performance.getEntries().map((each) => each.name).filter((name) => name.includes('://'))")
    assert [] == [url for url in asked if not url.startswith(f"{address}/")]


def log_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Log in").press("Enter")
    page.wait_for_selector("#app:not([hidden])")


def figure(page: Page, name: str) -> int:
    return int(page.inner_text(f"#{name}").replace(",", ""))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def wait_for(page: Page, name: str, at_least: int, seconds: float = 20) -> None:
    page.wait_for_function(
        "([name, least]) => Number(document.getElementById(name).textContent) >= least",
        arg=[name, at_least],
        timeout=seconds * 1000,
    )


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_expired_tokens_are_refreshed_and_no_request_fails(demo: Page) -> None:
    """Access tokens expire and are refreshed, and no request fails."""
    wait_for(demo, "tokens", 3, seconds=30)
    assert (0, True) == (figure(demo, "failures"), figure(demo, "requests") > 30)
    assert figure(demo, "tokens") == figure(demo, "refreshes") + 1
    assert "refreshed the access token" in demo.inner_text("#log")


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_lost_response_and_503_of_refreshes(demo: Page) -> None:
    """A hundred requests at once, a lost response to a refresh, a 503: the refresh succeeds, and no request fails."""
    press(demo, "100 requests at once")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('100 succeeded, 0 failed')")
    for turn, name in enumerate(["Lose a response", "Answer 503"], 1):
        press(demo, name)
        wait_for(demo, "refreshes", turn)
        demo.wait_for_timeout(500)
    assert (0, True) == (figure(demo, "failures"), figure(demo, "requests") > 100)


def test_revoked_access_token_costs_one_refresh(demo: Page) -> None:
    """A hundred requests that get 401 share one refresh, are sent again, and do not fail."""
    press(demo, "Revoke the access token")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('1 refresh, 0 failed')")
    assert figure(demo, "replays") >= 100
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_double_click_fails_no_request(demo: Page) -> None:
    """A second click before the first is done does nothing: no request fails."""
    demo.wait_for_timeout(1500)
    demo.evaluate("() => { const it = document.querySelector('[data-do=revoke]'); it.click(); it.click() }")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('1 refresh, 0 failed')")
    for _ in range(2):
        press(demo, "Revoke the access token")
    demo.wait_for_timeout(2500)
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_focus_is_kept(demo: Page) -> None:
    """After a login the focus is on the first heading; after a device was ended, on another control of the list."""
    assert "Access token" == demo.evaluate("document.activeElement.textContent")
    press(demo, "Log in on another device")
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 2")
    demo.evaluate(
        """() => {
            const others = [...document.querySelectorAll("#devices li")].filter((li) => !li.innerText.includes("this"));
            const end = others[0].querySelector("button");
            end.focus();
            end.click();
        }"""
    )
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 1")
    assert demo.evaluate("document.getElementById('devices').contains(document.activeElement)")


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_second_theft_is_refused(demo: Page) -> None:
    """A second click on "steal" is refused while the thief has the token, so no line is shown twice."""
    for _ in range(2):
        press(demo, "from this page")
        demo.wait_for_timeout(300)
    assert "The thief has your refresh token already." == demo.inner_text("#said")
    assert 1 == demo.inner_text("#thief-log").count("copied your refresh token")


def test_second_tab_shares_the_session(demo: Page) -> None:
    """A second tab needs no login, both share each new access token, and a logout in one logs out the other."""
    with demo.expect_popup() as opened:
        demo.get_by_role("link", name="Open a second tab").click()
    other = opened.value
    other.wait_for_selector("#app:not([hidden])")
    for tab in (demo, other):
        wait_for(tab, "refreshes", 1)
    shared = [tab.locator("#log .shared").all_inner_texts() for tab in (demo, other)]
    assert "another tab refreshed the access token for both" in shared[0] + shared[1]
    press(other, "Log out here")
    demo.wait_for_selector("#login:not([hidden])")
    assert [0, 0] == [figure(tab, "failures") for tab in (demo, other)]


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_the_thief_is_caught(demo: Page) -> None:
    """A thief with a copy of the refresh token gets an access token; soon the server ends the session for both."""
    press(demo, "from this page")
    demo.wait_for_function(
        "() => document.getElementById('thief-log').textContent.includes('got 401: refused')", timeout=60_000
    )
    thief = demo.inner_text("#thief-log")
    assert "used it and got an access token" in thief
    demo.wait_for_selector("#login:not([hidden])")
    assert 0 == figure(demo, "failures")
    press(demo, "Log in")
    demo.wait_for_selector("#app:not(.out)")
    assert demo.locator("#thief").is_hidden()


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_a_thief_without_the_key_gets_nothing(demo: Page) -> None:
    """Both tokens of a bound session are copied: each request of the thief is refused; the owner stays logged in."""
    press(demo, "from a program with a key")
    demo.wait_for_function("() => document.querySelectorAll('#thief-log li').length === 6")
    lines = demo.locator("#thief-log li").all_inner_texts()
    assert ["400", "400", "401", "401"] == [line.split(": ")[1].split(" ")[0] for line in lines[1:5]]
    assert "as before" in lines[5]
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_devices_can_be_ended(demo: Page) -> None:
    """Each device can be ended on this page; after ending its own session it shows the login."""
    press(demo, "Log in on another device")
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 2")
    demo.locator("#devices li", has_not_text="this session").get_by_role("button").click()
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 1")
    demo.locator("#devices li").get_by_role("button").click()
    demo.wait_for_selector("#login:not([hidden])")
    assert 0 == figure(demo, "failures")


def test_content_security_policy(address: str) -> None:
    """The page and its files have a CSP that allows no inline scripts and nothing from other origins."""
    for path in ("/", "/browser/page.js", "/browser/page.css", "/browser/icon.svg"):
        answer = httpx2.get(f"{address}{path}")
        assert 200 == answer.status_code
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_only_the_demo_uses_the_thief() -> None:
    """Only the demo's service imports the page with its failures and thieves."""
    source = Path(service.__file__).parents[1]
    found = [path for path in source.rglob("*.py") if "demo.page" in path.read_text(encoding="utf-8")]
    assert [source / "demo" / "service.py"] == found


# ---- accessibility


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe-core, which checks the rules of accessibility."""
    return npm.fetch(HERE, "axe-core/axe.min.js", tmp_path_factory).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1280])
def test_accessibility(browser: Browser, address: str, axe: str, width: int) -> None:
    """WCAG 2.2 AA holds, as far as axe-core checks it; nothing scrolls sideways; buttons are 44 pixels high."""
    check_for_everybody(browser, address, axe, "light", width)


@pytest.mark.engines("chromium")  # what is tested is not about the engine
@pytest.mark.parametrize("width", [390, 1280])
def test_accessibility_in_dark_colours(browser: Browser, address: str, axe: str, width: int) -> None:
    """The same holds in dark colours."""
    check_for_everybody(browser, address, axe, "dark", width)


def check_for_everybody(browser: Browser, address: str, axe: str, scheme: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

    def broken() -> list[str]:
        page.evaluate(f"() => {{ {axe} }}")
        found = page.evaluate("(rules) => axe.run({ runOnly: rules })", rules)
        return [f"{each['id']}: {node['html'][:90]}" for each in found["violations"] for node in each["nodes"]]

    page.goto(address)
    assert page.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    page.wait_for_selector("#login:not([hidden])")
    assert [] == broken()
    page.click("#login button")
    page.wait_for_selector("#app:not([hidden])")
    press(page, "from this page")
    page.wait_for_function("() => document.querySelectorAll('#thief-log li').length > 1")
    assert [] == broken()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = (
        "[...document.querySelectorAll('#app button, #app .button')].filter((each) => each.offsetHeight < 44).length"
    )
    assert 0 == page.evaluate(small)
    context.close()


@pytest.mark.engines("chromium")  # what is tested is not about the engine
def test_controls_are_reached_by_keyboard(demo: Page) -> None:
    """The tab key reaches every control in reading order, and the focused control has an outline."""
    reached = []
    demo.evaluate("document.activeElement.blur()")
    for _ in range(10):
        demo.keyboard.press("Tab")
        reached.append(
            demo.evaluate(
                "[document.activeElement.innerText.split('\\n')[0], "
                "getComputedStyle(document.activeElement).outlineStyle]"
            )
        )
    expected = [
        "100 requests at once",
        "Revoke the access token",
        "Lose a response",
        "Answer 503",
        "Open a second tab",
        "Steal everything",
        "Steal everything",
        "End",
        "Log in on another device",
        "Log out here",
    ]
    assert [[name, "solid"] for name in expected] == reached
