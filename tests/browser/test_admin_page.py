"""The page for operators in real browsers: what it shows and changes, and its accessibility."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from daypass.account_steps import SetScope
from daypass.duration import MINUTE
from daypass.operator_steps import AuditRecord, NoteEvents
from daypass.user import Account

from ..operating.admin_service import PASSWORD, SCOPE, Service, counted, started
from . import npm
from .conftest import HERE
from .hosts import fresh_host

MARKUP = '"><img src=x onerror="window.attacked=1"><b>'
BROKEN = """() => {
    window.broken = [];
    addEventListener("securitypolicyviolation", (event) => broken.push(event.violatedDirective));
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with data, for all tests here. The test that puts its clock forward comes last."""
    with started(f"sqlite:///{tmp_path_factory.mktemp('admin') / 'app.db'}", host=fresh_host()) as service:
        fill(service)
        yield service


def fill(service: Service) -> None:
    """Write an hour of counts of two nodes, and some events."""
    now = service.now() // MINUTE * MINUTE
    records = []
    for number in range(62):
        many = 40 + 25 * ((number * 7) % 5) + (number % 11) * 3
        counts = {"started": many // 9, "rotated": many, "held": many // 6, "repeated": many // 10}
        counts |= {"login_failed": number % 6, "branched": int(number % 7 == 0), "stale": int(number % 4 == 0)}
        counts |= {"healed": int(number == 30), "reused": int(number in (11, 12)), "limited": int(number % 9 == 0)}
        counts |= {"/auth/refresh 503": 3 if number in (20, 21) else 0}
        counts |= {"t1": many, "t2": many // 2, "t3": many // 4, "t5": many // 20, "t6": int(number == 20)}
        at = now - number * MINUTE
        records.append(counted(at, 0xA1, number, host="auth-1", pid=7, clock=12, **counts))
        records.append(counted(at, 0xB2, number, host="auth-2", pid=7, clock=8200, **counts))
    subject, address = service.user.subject, "203.0.113.9"
    records += [
        AuditRecord(now - 11 * MINUTE, f"{1:016x}", "reused", "ab" * 16, subject, "token_reused", None, address),
        AuditRecord(now - 3 * MINUTE, f"{2:016x}", "login_failed", None, MARKUP, MARKUP, None, address),
    ]
    service.store.perform_operator(NoteEvents(tuple(records)))


def log_in(page: Page, user: Account, password: str = PASSWORD) -> None:
    page.get_by_label("Email or name").fill(user.email)
    page.fill("#login [name=password]", password)
    page.locator("#login").get_by_role("button", name="Log in").click()


@pytest.fixture
def page(context: BrowserContext, service: Service) -> Iterator[Page]:
    """Return the page, logged in. At the end it must have loaded nothing from elsewhere, and kept to its CSP."""
    page = context.new_page()
    page.goto(f"{service.address}/admin")
    page.evaluate(BROKEN)
    log_in(page, service.operator)
    page.wait_for_selector("#figures .card")
    yield page
    assert ([], None) == (page.evaluate("window.broken ?? []"), page.evaluate("window.attacked ?? null"))
    asked = page.evaluate("performance.getEntries().map((each) => each.name).filter((name) => name.includes('://'))")
    assert [] == [url for url in asked if not url.startswith(f"{service.address}/")]


def wait_for(page: Page, expression: str) -> None:
    """Wait until an expression is true. The page's CSP forbids Playwright's own way to wait."""
    until = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < until, f"it never came to be: {expression}"
        page.wait_for_timeout(50)


def visitor(service: Service, browser: Browser, user: Account) -> Page:
    """Return a page of another profile, in which the user is logged in."""
    page = browser.new_context().new_page()
    page.goto(f"{service.address}/healthz")
    page.evaluate(
        "(body) => fetch('/auth/login', { method: 'POST', body: JSON.stringify(body),"
        " headers: { 'content-type': 'application/json' } }).then((answer) => answer.status)",
        {"email": user.email, "password": PASSWORD},
    )
    return page


def refreshes(page: Page) -> int:
    return int(page.evaluate("fetch('/auth/refresh', { method: 'POST' }).then((answer) => answer.status)"))


@pytest.mark.engines("chromium")
def test_plots_have_labels_and_tables(page: Page) -> None:
    """Each plot has its numbers as a label and as a table, and the table has the period of the plot."""
    plot = page.locator("figure").nth(3)
    label = plot.get_by_role("img").get_attribute("aria-label") or ""
    assert "Thefts" in label
    assert "found 4" in label
    assert "4" == page.locator("#figures a").inner_text()
    plot.locator("summary").press("Enter")
    wait_for(page, "document.querySelectorAll('figure:nth-of-type(4) tbody tr').length === 60")
    page.get_by_label("Last day").click()
    wait_for(page, "document.querySelectorAll('figure:nth-of-type(4) tbody tr').length === 144")
    page.locator("#figures a").click()
    page.wait_for_selector("#trail tbody tr")
    assert ["theft found"] == page.locator("#trail .badge").all_inner_texts()


@pytest.mark.engines("chromium")
def test_names_are_not_read_as_markup(page: Page) -> None:
    """Names and reasons that look like HTML are shown as text."""
    page.get_by_role("link", name="Audit trail").click()
    page.wait_for_selector("#trail tbody tr")
    assert MARKUP in page.inner_text("#trail")
    page.locator("#trail").get_by_role("link", name=MARKUP).click()
    page.wait_for_selector("#user:not([hidden])")
    assert MARKUP in page.inner_text("#user h2")
    assert 0 == page.locator("main img, main b:not(.legend b)").count()


@pytest.mark.engines("chromium")
def test_new_records_are_followed(page: Page, service: Service, browser: Browser) -> None:
    """With Follow on, a login elsewhere appears by itself; the audit trail can be filtered by event."""
    page.get_by_role("link", name="Audit trail").click()
    page.get_by_label("Event").select_option("started")
    page.get_by_role("button", name="Show", exact=True).click()
    wait_for(page, f"document.getElementById('trail').textContent.includes('{service.operator.email}')")
    assert service.user.email not in page.inner_text("#trail")
    page.get_by_role("button", name="Follow").click()
    other = visitor(service, browser, service.user)
    wait_for(page, f"document.getElementById('trail').textContent.includes('{service.user.email}')")
    other.context.close()


@pytest.mark.engines("chromium")
def test_keys_and_nodes_are_shown(page: Page) -> None:
    """Keys are shown with their state; a node whose clock is wrong is marked."""
    page.get_by_role("link", name="Keys").click()
    page.wait_for_selector("#keys tbody tr")
    assert ["in use", "in use"] == page.locator("#keys .badge").all_inner_texts()
    page.get_by_role("link", name="Nodes").click()
    page.wait_for_selector("#nodes tbody tr")
    assert ["auth-1", "auth-2"] == page.locator("#nodes td:first-child").all_inner_texts()
    assert ["+8.2 s"] == page.locator("#nodes .badge.bad").all_inner_texts()


@pytest.mark.engines("chromium")
def test_ending_ones_own_session_logs_out(page: Page, service: Service) -> None:
    """The dialog says that the session is the one of this page; afterwards the page shows the login."""
    page.get_by_role("link", name="Users").click()
    page.get_by_label("Email, name or subject").fill(service.operator.subject)
    page.get_by_role("button", name="Find").click()
    page.locator("#user tr", has_text="this page").get_by_role("button").click()
    assert "It is the one of this page" in page.inner_text("#sure")
    page.locator("#sure-yes").click()
    page.wait_for_selector("#login:not([hidden])")
    assert page.locator("#nav").is_hidden()


@pytest.mark.engines("chromium")
def test_user_without_the_scope_has_no_access(context: BrowserContext, service: Service) -> None:
    """A wrong password is reported by the form. If the user loses the scope, the page says at once what is missing."""
    user = service.add("dora", SCOPE)
    page = context.new_page()
    page.goto(f"{service.address}/admin")
    log_in(page, user, "a wrong password")
    expect(page.locator("#login-problem")).to_have_text("The name or the password is wrong.")
    log_in(page, user)
    page.wait_for_selector("#figures .card")
    service.store.perform_account(SetScope(user.subject, None))
    page.get_by_role("link", name="Keys").click()
    page.wait_for_selector("#refused:not([hidden])")
    assert "does not have the scope daypass:admin" in page.inner_text("#refused")
    page.get_by_role("button", name="Log out").last.click()
    page.wait_for_selector("#login:not([hidden])")


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe-core, which checks the rules of accessibility."""
    return npm.fetch(HERE, "axe-core/axe.min.js", tmp_path_factory).read_text(encoding="utf-8")


@pytest.mark.engines("chromium")
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_accessibility(browser: Browser, service: Service, axe: str, width: int, scheme: Any) -> None:
    """WCAG 2.2 AA holds, as far as axe-core checks it; nothing scrolls sideways."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

    def broken() -> list[str]:
        found = page.evaluate("(rules) => axe.run({ runOnly: rules, resultTypes: ['violations'] })", rules)
        sideways = ["scrolls sideways"] if page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
        return [
            f"{each['id']}: {node['html'][:90]}" for each in found["violations"] for node in each["nodes"]
        ] + sideways

    page.goto(f"{service.address}/admin")
    page.wait_for_selector("#login:not([hidden])")
    page.evaluate(f"() => {{ {axe} }}")
    found = {"login": broken()}
    log_in(page, service.operator)
    page.wait_for_selector("#figures .card")
    page.locator("figure summary").first.click()
    found["overview"] = broken()
    views = {"events": "#trail tbody tr", "keys": "#keys tbody tr", "nodes": "#nodes tbody tr"}
    if scheme == "dark":  # the other views have the same elements
        views = {}
    for name, ready in ({f"users/{service.operator.email}": "#user tbody tr"} | views).items():
        page.evaluate("(hash) => { location.hash = hash }", name)
        page.wait_for_selector(ready)
        found[name] = broken()
    page.evaluate("(hash) => { location.hash = hash }", "users/" + service.operator.email)
    page.get_by_role("button", name="End session").last.click()
    found["dialog"] = broken()
    assert {} == {name: each for name, each in found.items() if each}
    context.close()


def test_operator_ends_a_session_by_keyboard(page: Page, service: Service, browser: Browser) -> None:
    """An operator finds a user and ends a session without a mouse; the page asks for the password again."""
    user = service.add(f"carol-{time.time_ns()}-", None)
    other = visitor(service, browser, user)
    assert 200 == refreshes(other)
    service.ahead += 6 * MINUTE
    page.bring_to_front()  # Firefox ignores keys in a window behind another
    page.get_by_role("link", name="Users").press("Enter")
    page.get_by_label("Email, name or subject").fill(user.email)
    page.keyboard.press("Enter")
    end = page.get_by_role("button", name="End session")
    end.press("Enter")
    page.wait_for_selector("#sure[open]")
    assert "Cancel" == page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#step-up[open]")
    page.fill("#step-up-form [name=password]", "wrong")
    page.keyboard.press("Enter")
    wait_for(page, "document.getElementById('step-up-problem').textContent.includes('wrong')")
    assert 200 == refreshes(other)
    page.fill("#step-up-form [name=password]", PASSWORD)
    page.keyboard.press("Enter")
    wait_for(page, "document.getElementById('said').textContent === 'The session was ended.'")
    assert "Live sessions: none" == page.evaluate("document.activeElement.textContent")
    assert 401 == refreshes(other)
    page.get_by_role("link", name="Audit trail of this user").press("Enter")
    page.get_by_role("button", name="Follow").press("Enter")
    wait_for(page, "document.getElementById('trail').textContent.includes('ended')")
    other.context.close()
