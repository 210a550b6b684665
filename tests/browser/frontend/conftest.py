"""Fixtures: the pages of frameworks, built once, and the site that serves them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from ...servers.application import serving
from . import project
from .site import PASSWORD, Site


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project with the examples of the docs and the pages of this folder, built by Vite."""
    return project.built(tmp_path_factory)


@pytest.fixture
def site(tmp_path: Path, built: Path, host: str) -> Iterator[Site]:
    """Return the running site; its sessions are in a SQLite file."""
    site = Site(f"sqlite:///{tmp_path / 'site.db'}", built / "built")
    with serving(site, grace=1, websockets=True, host=host) as address:
        site.address = address
        yield site


Tab = Callable[..., Page]


@pytest.fixture
def tab(context: BrowserContext, site: Site) -> Iterator[Tab]:
    """Return a function that opens the site in a new tab. At the end no tab may have an unhandled error."""
    pages: list[Page] = []

    def opened(name: str, path: str = "/") -> Page:
        site.page = name
        page = context.new_page()
        page.goto(site.address + path)
        page.wait_for_function("window.ready")
        pages.append(page)
        return page

    yield opened
    assert [] == [error for page in pages for error in page.evaluate("seen.errors")]


REFRESHED = "() => { window.refreshed = new Promise((go) => session.on('refreshed', () => go(null))); }"
"""JavaScript: set `refreshed` to a promise of the next refresh."""


def log_in(page: Page, name: str = "alice") -> None:
    """Log in with the page's session."""
    page.evaluate("(credentials) => session.login(credentials)", {"username": name, "password": PASSWORD})


def fill_in(page: Page, name: str = "alice", password: str = PASSWORD) -> None:
    """Log in with the page's form."""
    page.fill("form input:not([type=password])", name)
    page.fill("form input[type=password]", password)
    page.click("form button")


def wait_for(page: Page, selector: str, text: str) -> None:
    """Wait until an element has this text."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )
