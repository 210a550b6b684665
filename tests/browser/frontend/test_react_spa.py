"""``examples/react_spa``, built by Vite and served by FastAPI, in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from ...examples.uvicorn_process import started
from . import project
from .conftest import fill_in, wait_for

EXAMPLE = project.ROOT / "examples/react_spa"
LIFETIME = ("load_user=PEOPLE.get)", 'load_user=PEOPLE.get, access_ttl="2s")')


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the example's address; its access tokens live two seconds."""
    dist = project.example(tmp_path_factory) / "dist"
    with started("react_spa", tmp_path_factory.mktemp("spa"), LIFETIME, dist=dist) as address:
        yield address


@pytest.fixture
def page(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    wait_for(page, "form", "Log in")
    return page


def add(page: Page, text: str) -> None:
    page.fill("input[name=text]", text)
    page.click("form button")


@pytest.mark.clients("React")
@pytest.mark.not_for(fetch="written in React", axios="written in React", Vue="written in React")
def test_example(page: Page, context: BrowserContext, address: str) -> None:
    """A note added after an expiry appears in another tab. A logout shows the login in both, at the same path."""
    fill_in(page, "ann", "wrong")
    wait_for(page, "form", "Wrong name or password.")
    fill_in(page, "ann")
    wait_for(page, "nav", "ann")
    other = context.new_page()
    other.goto(f"{address}/devices")
    wait_for(other, "ul", "this device")
    other.goto(address)
    page.wait_for_timeout(2_500)
    text = f"milk for {id(page)}"
    add(page, text)
    for each in (page, other):
        wait_for(each, "ul", text)
    other.goto(f"{address}/devices")
    wait_for(other, "ul", "this device")
    page.click("nav button")
    for each in (page, other):
        wait_for(each, "form", "Log in")
    fill_in(other, "ben")
    wait_for(other, "ul", "this device")
    wait_for(page, "nav", "ben")
    wait_for(page, "ul", text)


def test_packages_of_the_example() -> None:
    """The example has the packages that it is tested with, and the Daypass package that its own server serves."""
    described = json.loads((EXAMPLE / "package.json").read_text())
    tested = json.loads((Path(__file__).with_name("package.json")).read_text())["dependencies"]
    named = described["dependencies"] | described["devDependencies"]
    assert "http://127.0.0.1:8000/auth/daypass.tgz" == named.pop("daypass")
    assert named.items() <= tested.items()
    assert not list(EXAMPLE.glob("*lock*"))
