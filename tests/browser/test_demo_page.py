"""The demonstration's page in real browsers: nothing happens, whatever one does; and anybody can watch it."""

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
def address(tmp_path: Path) -> Iterator[str]:
    """Return the address of the demonstration's service, without its people."""
    database = tmp_path / "demo.db"
    with closing(SqliteStore(database)) as store:
        users.add(store, EMAIL, "demo", PASSWORD, system_clock())
    with run.bind("127.0.0.1", 0) as listening:
        issuer = run.address(listening)
    with serving(service.build(database, issuer), grace=1) as address:
        yield address


@pytest.fixture
def demo(context: BrowserContext, engine: str, address: str) -> Iterator[Page]:
    """Return the page after its one press; at the end, nothing came from outside, and nothing went wrong in it."""
    page = context.new_page()
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    if engine != "webkit":  # WebDriver has no command for what is in the console
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


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_nothing_happens(demo: Page) -> None:
    """Access tokens expire and are refreshed, and no request fails."""
    wait_for(demo, "tokens", 3, seconds=30)
    assert (0, True) == (figure(demo, "failures"), figure(demo, "requests") > 30)
    assert figure(demo, "tokens") == figure(demo, "refreshes") + 1
    assert "refreshed the access token" in demo.inner_text("#log")


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_failures_of_refreshes(demo: Page) -> None:
    """A hundred at once, a lost answer, a busy server: the refresh that meets them is done, and nothing fails."""
    press(demo, "100 requests at once")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('100 succeeded, 0 failed')")
    for turn, name in enumerate(["Lose a response", "Answer 503"], 1):
        press(demo, name)
        wait_for(demo, "refreshes", turn)
        demo.wait_for_timeout(500)
    assert (0, True) == (figure(demo, "failures"), figure(demo, "requests") > 100)


def test_a_revoked_access_token(demo: Page) -> None:
    """A hundred requests that meet the 401 share one refresh, are sent again, and nothing fails."""
    press(demo, "Revoke the access token")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('1 refresh, 0 failed')")
    assert figure(demo, "replays") >= 100
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_a_double_click(demo: Page) -> None:
    """A second click while the first is at work does nothing: no request fails."""
    demo.wait_for_timeout(1500)
    demo.evaluate("() => { const it = document.querySelector('[data-do=revoke]'); it.click(); it.click() }")
    demo.wait_for_function("() => document.getElementById('said').textContent.includes('1 refresh, 0 failed')")
    for _ in range(2):
        press(demo, "Revoke the access token")
    demo.wait_for_timeout(2500)
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_focus_is_kept(demo: Page) -> None:
    """After a login the focus is on the page's first heading; after a device was ended, on the next control."""
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


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_a_second_theft(demo: Page) -> None:
    """While a thief has the token a second theft is refused, so that no line is shown twice."""
    for _ in range(2):
        press(demo, "from this page")
        demo.wait_for_timeout(300)
    assert "The thief has your refresh token already." == demo.inner_text("#said")
    assert 1 == demo.inner_text("#thief-log").count("copied your refresh token")


def test_a_second_tab(demo: Page) -> None:
    """A second tab needs no login, and the two share each new access token; a logout in one reaches the other."""
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


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_the_thief_is_caught(demo: Page) -> None:
    """A thief with a copy of the refresh token is let in at first, and soon the server ends the session for both."""
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


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_a_thief_without_the_key_gets_nothing(demo: Page) -> None:
    """Both tokens of a bound session are copied: each request of the thief is refused, and the owner goes on."""
    press(demo, "from a program with a key")
    demo.wait_for_function("() => document.querySelectorAll('#thief-log li').length === 6")
    lines = demo.locator("#thief-log li").all_inner_texts()
    assert ["400", "400", "401", "401"] == [line.split(": ")[1].split(" ")[0] for line in lines[1:5]]
    assert "as before" in lines[5]
    assert 0 == figure(demo, "failures")


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_devices(demo: Page) -> None:
    """Each device can be ended from here; ending this one asks for a login."""
    press(demo, "Log in on another device")
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 2")
    demo.locator("#devices li", has_not_text="this session").get_by_role("button").click()
    demo.wait_for_function("() => document.querySelectorAll('#devices li').length === 1")
    demo.locator("#devices li").get_by_role("button").click()
    demo.wait_for_selector("#login:not([hidden])")
    assert 0 == figure(demo, "failures")


def test_its_policy(address: str) -> None:
    """The page and its parts come with a policy under which nothing from outside, and nothing inline, would run."""
    for path in ("/", "/browser/page.js", "/browser/page.css", "/browser/icon.svg"):
        answer = httpx2.get(f"{address}{path}")
        assert 200 == answer.status_code
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_the_thief_is_the_demonstrations_alone() -> None:
    """Nothing but the demonstration knows of its page, its weather and its thieves."""
    source = Path(service.__file__).parents[1]
    found = [path for path in source.rglob("*.py") if "demo.page" in path.read_text(encoding="utf-8")]
    assert [source / "demo" / "service.py"] == found


# ---- for everybody


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return axe-core, which knows the rules of accessibility."""
    return npm.fetch(HERE, "axe-core/axe.min.js", tmp_path_factory).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1280])
def test_for_everybody(browser: Browser, address: str, axe: str, width: int) -> None:
    """No rule of WCAG 2.2 AA that a program can check is broken, wide and narrow; nothing scrolls sideways; everything
    that can be pressed is large enough for a finger.
    """
    check_for_everybody(browser, address, axe, "light", width)


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
@pytest.mark.parametrize("width", [390, 1280])
def test_for_everybody_in_the_dark(browser: Browser, address: str, axe: str, width: int) -> None:
    """It is the same in dark colours."""
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


@pytest.mark.engines("chromium")  # the demonstration on the server is the same for all
def test_by_keyboard(demo: Page) -> None:
    """Every control is reached by the tab key, in the order in which it is read, and shows that it is."""
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
