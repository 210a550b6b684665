"""Take pictures of the page for operators, for review: ``python -m tests.browser.admin_pictures FOLDER``.

Each view at 390 and 1280 pixels, in light and dark.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from ..operating.admin_service import Service, started
from .engines import CHROMIUM, CHROMIUM_ARGUMENTS
from .test_admin_page import fill, log_in, visitor

VIEWS = {
    "overview": "#figures .card",
    "users": "#users-heading",
    "user": "#user tbody tr",
    "events": "#trail tbody tr",
    "keys": "#keys tbody tr",
    "nodes": "#nodes tbody tr",
}


def main(folder: Path) -> None:
    """Start a service with data, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        started(f"sqlite:///{place}/app.db") as service,
        sync_playwright() as playwright,
    ):
        fill(service)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        others = [visitor(service, browser, service.user) for _ in range(2)]
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                take(browser, service, folder, width, scheme)
        for each in others:
            each.context.close()
        browser.close()


def take(browser: Browser, service: Service, folder: Path, width: int, scheme: Any) -> None:
    """Take the pictures of one width and scheme."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()

    def picture(name: str, *, full_page: bool = True) -> None:
        page.wait_for_timeout(200)
        page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=full_page)

    page.goto(f"{service.address}/admin")
    page.wait_for_selector("#login:not([hidden])")
    picture("login")
    log_in(page, service.operator)
    for name, ready in VIEWS.items():
        go(page, f"users/{service.user.email}" if name == "user" else name)
        page.wait_for_selector(ready)
        picture(name)
    go(page, f"users/{service.user.email}")
    page.get_by_role("button", name="End all sessions").click()
    picture("dialog", full_page=False)
    context.close()


def go(page: Page, view: str) -> None:
    """Show a view."""
    page.evaluate("(hash) => { location.hash = hash }", view)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
