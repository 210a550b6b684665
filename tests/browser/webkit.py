"""Drive WebKitGTK by its own WebDriver, with the methods of Playwright that the tests call.

Playwright only drives its own WebKit builds. So selenium drives Debian's, and `Browser`, `Context`, `Page` and
`Locator` here have the names and the behaviour of Playwright's. WebDriver has no commands for init scripts,
interception of requests, the console and offline mode, so these are missing.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.file_detector import UselessFileDetector
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

DRIVER = Path("/usr/bin/WebKitWebDriver")
BROWSER = Path("/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser")
DISPLAY = Path("/usr/bin/Xvfb")
PATIENCE = 15_000
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.1
EVALUATE = """
const [__argument, __done] = arguments;
const __told = (error) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
Promise.resolve()
  .then(() => { const __value = (%s
); return typeof __value === "function" ? __value(__argument) : __value; })
  .then((value) => __done({ value }), (error) => __done({ error: __told(error) }));
"""
NAME = """(
  arguments[0].ariaLabel || arguments[0].labels?.[0]?.innerText || arguments[0].innerText || arguments[0].value || ""
)"""
SELECTORS = {
    "alert": "[role=alert]",
    "button": "button, [role=button], input[type=submit]",
    "heading": "h1, h2, h3, h4, h5, h6",
    "link": "a[href]",
    "listitem": "li",
    "status": "[role=status], output",
    "textbox": "input:not([type]), input[type=text], input[type=email], input[type=password], textarea",
}


class Error(Exception):
    """An error that a page threw, or a wait that timed out."""


class Browser:
    """Browsers on a private display. Each context is a MiniBrowser with an empty profile that is never stored."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self.contexts: list[Context] = []
        self._arguments = arguments

    def __enter__(self) -> Self:
        self._read, write = os.pipe()
        self._display = subprocess.Popen(
            [DISPLAY, "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(self._read) as told:
            self._number = told.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        for context in self.contexts:
            context.quit()
        self._display.terminate()
        self._display.wait()

    def new_context(
        self,
        *,
        ignore_https_errors: bool = False,
        java_script_enabled: bool = True,
        viewport: dict[str, int] | None = None,
        color_scheme: str = "light",
    ) -> "Context":
        options = Options()
        options.binary_location = str(BROWSER)
        options.add_argument("--automation")
        options.accept_insecure_certs = ignore_https_errors
        if not java_script_enabled:
            options.add_argument("--enable-javascript-markup=false")  # disables the page's scripts, not the driver's
        for argument in self._arguments:
            options.add_argument(argument)
        environment = os.environ | {
            "DISPLAY": f":{self._number}",
            "GDK_BACKEND": "x11",
            "GTK_THEME": "Adwaita:dark" if color_scheme == "dark" else "Adwaita",
            "GTK_A11Y": "none",
            "NO_AT_BRIDGE": "1",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        }
        service = Service(str(DRIVER), env=environment)
        service.start()
        address = ClientConfig(remote_server_addr=service.service_url, keep_alive=True)
        driver = webdriver.Remote(RemoteConnection(client_config=address), options=options)
        driver.set_script_timeout(60)
        driver.file_detector = UselessFileDetector()  # the driver reads the files of this machine
        self.contexts.append(Context(self, driver, service))
        if viewport:
            self.contexts[-1].resize(**viewport)
        return self.contexts[-1]


class Context:
    """A browser with an empty profile, and its pages."""

    def __init__(self, browser: Browser, driver: WebDriver, service: Service) -> None:
        self.browser = browser
        self.driver = driver
        self._service = service
        self.patience = PATIENCE
        self.pages: list[Page] = []
        self.current = driver.current_window_handle
        self._unused = [self.current]

    def set_default_timeout(self, timeout: float) -> None:
        self.patience = int(timeout)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the viewport: the window without its bars."""
        for _ in range(2):
            outer = self.driver.get_window_size()
            inner = self.driver.execute_script("return [innerWidth, innerHeight]")
            self.driver.set_window_size(outer["width"] + width - inner[0], outer["height"] + height - inner[1])

    def new_page(self) -> "Page":
        if self._unused:
            return self.adopt(self._unused.pop())
        if self.pages:
            self.pages[0].focus()
        self.driver.switch_to.new_window("tab")
        self.current = self.driver.current_window_handle
        return self.adopt(self.current)

    def switch_to(self, handle: str) -> None:
        self.driver.switch_to.window(handle)
        self.current = handle

    def adopt(self, handle: str) -> "Page":
        self.pages.append(Page(self, handle))
        return self.pages[-1]

    def cookies(self) -> list[dict[str, Any]]:
        """Return the cookies of the hosts of all pages."""
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for page in self.pages:
            page.focus()
            for cookie in self.driver.get_cookies():
                found[cookie["name"], cookie["domain"], cookie["path"]] = cookie
        return list(found.values())

    def clear_cookies(self) -> None:
        for page in self.pages:
            page.focus()
            self.driver.delete_all_cookies()

    def close(self) -> None:
        self.browser.contexts.remove(self)
        self.quit()

    def quit(self) -> None:
        with suppress(WebDriverException):
            self.driver.quit()
        self._service.stop()

    def emptied(self) -> bool:
        """Close all tabs except one, and empty that; return whether it worked."""
        try:
            kept, *others = self.driver.window_handles
            for handle in others:
                self.switch_to(handle)
                self.driver.close()
            self.switch_to(kept)
            self.driver.get("about:blank")
        except WebDriverException:
            return False
        self.patience, self.pages, self._unused = PATIENCE, [], [kept]
        return True


class Page:
    """A tab."""

    def __init__(self, context: Context, handle: str) -> None:
        self.context = context
        self.keyboard = Keyboard(self)
        self._handle = handle

    def focus(self) -> WebDriver:
        """Switch the driver to this tab, unless it is there already."""
        if self.context.current != self._handle:
            self.bring_to_front()
        return self.context.driver

    @property
    def url(self) -> str:
        return self.focus().current_url

    def title(self) -> str:
        return self.focus().title

    def content(self) -> str:
        return self.focus().page_source

    def goto(self, url: str) -> None:
        self.focus().get(url)

    def reload(self, *, wait_until: str = "load") -> None:
        if wait_until != "commit":
            self.focus().refresh()
            return
        self.focus().execute_script("window.__leaving = true; location.reload()")
        self.wait_for_function("!window.__leaving")

    def go_back(self) -> None:
        self.focus().back()

    def go_forward(self) -> None:
        self.focus().forward()

    def bring_to_front(self) -> None:
        self.context.switch_to(self._handle)

    def close(self) -> None:
        self.context.pages.remove(self)
        self.focus().close()
        self.context.current = ""

    def evaluate(self, expression: str, arg: object = None) -> Any:
        answer = self.focus().execute_async_script(EVALUATE % expression.rstrip().removesuffix(";"), arg)
        if "error" in answer:
            raise Error(answer["error"])
        return answer.get("value")

    def wait_for_function(self, expression: str, *, arg: object = None, timeout: float | None = None) -> None:
        true = (
            f"async (arg) => {{ const value = ({expression});"
            " return !!(typeof value === 'function' ? await value(arg) : value); }"
        )
        self.wait_until(lambda: self.evaluate(true, arg), expression, timeout)

    def wait_until(self, true: Callable[[], object], what: str, timeout: float | None = None) -> None:
        """Wait until ``true()`` is true. An error counts as false: pages may be loading."""
        patience = self.context.patience if timeout is None else timeout
        deadline = time.monotonic() + patience / 1000
        pause = SHORTEST_PAUSE
        failure: Exception | None = None
        while time.monotonic() < deadline:
            try:
                if true():
                    return
            except (WebDriverException, Error) as error:
                failure = error
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        raise Error(f"not within {patience} ms: {what}") from failure

    def wait_for_timeout(self, timeout: float) -> None:
        time.sleep(timeout / 1000)

    def wait_for_url(self, url: str | Callable[[str], bool]) -> None:
        matches = url if callable(url) else url.__eq__
        self.wait_until(lambda: matches(self.url), f"URL {url}")

    def wait_for_selector(self, selector: str, *, timeout: float | None = None) -> "Locator":
        found = self.locator(selector)
        found.wait_for(timeout=timeout)
        return found

    def wait_for_load_state(self, state: str = "load") -> None:
        self.wait_for_function("document.readyState === 'complete'")

    def add_script_tag(self, *, content: str) -> None:
        """Run a script in the page, whatever its Content-Security-Policy."""
        self.focus().execute_script(content)

    @contextmanager
    def expect_popup(self) -> Iterator["Popup"]:
        """Yield an object whose ``value`` is the tab that was opened inside the block."""
        before = set(self.focus().window_handles)
        popup = Popup()
        yield popup
        self.wait_until(lambda: set(self.context.driver.window_handles) - before, "a new tab")
        (handle,) = set(self.context.driver.window_handles) - before
        popup.value = self.context.adopt(handle)

    @contextmanager
    def expect_navigation(self) -> Iterator[None]:
        """Wait at the end of the block until another document has been loaded."""
        self.focus().execute_script("window.__leaving = true")
        yield
        self.wait_for_function("!window.__leaving && document.readyState === 'complete'")

    def locator(self, selector: str, *, has_text: str = "", has_not_text: str = "") -> "Locator":
        return Locator(self, lambda: self.focus().find_elements(By.CSS_SELECTOR, selector), selector).having(
            has_text=has_text, has_not_text=has_not_text
        )

    def get_by_role(self, role: str, *, name: str = "", exact: bool = False) -> "Locator":
        return self.locator(SELECTORS[role]).named(name, exact=exact)

    def get_by_label(self, text: str) -> "Locator":
        return self.locator("input, select, textarea").named(text)

    def get_by_text(self, text: str) -> "Locator":
        return self.locator("body *:not(:has(*))").having(has_text=text)

    def name_of(self, element: WebElement) -> str:
        """Return an element's accessible name, well enough for the tests' pages. The driver has no command for it."""
        return str(self.focus().execute_script(f"return {NAME}", element)).strip()

    def click(self, selector: str) -> None:
        self.locator(selector).click()

    def fill(self, selector: str, value: str) -> None:
        self.locator(selector).fill(value)

    def set_input_files(self, selector: str, files: str | Path) -> None:
        (element,) = self.focus().find_elements(By.CSS_SELECTOR, selector)
        element.send_keys(str(files))

    def inner_text(self, selector: str) -> str:
        return self.locator(selector).inner_text()


class Popup:
    """Holds the tab that was opened."""

    value: Page


class Keyboard:
    """Presses keys in the focused element."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, key: str) -> None:
        self._page.focus().switch_to.active_element.send_keys(getattr(Keys, key.upper(), key))


class Locator:
    """Elements of a page; the search is repeated at each use."""

    def __init__(self, page: Page, find: Callable[[], Sequence[WebElement]], what: str) -> None:
        self._page = page
        self._find = find
        self._what = what

    def _only(self, keep: Callable[[WebElement], bool], what: str) -> "Locator":
        return Locator(self._page, lambda: [each for each in self._find() if keep(each)], f"{self._what} {what}")

    def having(self, *, has_text: str = "", has_not_text: str = "") -> "Locator":
        found = self
        if has_text:
            found = found._only(lambda each: has_text.lower() in each.text.lower(), f"with {has_text!r}")
        if has_not_text:
            found = found._only(lambda each: has_not_text.lower() not in each.text.lower(), f"without {has_not_text!r}")
        return found

    def named(self, name: str, *, exact: bool = False) -> "Locator":
        if not name:
            return self
        if exact:
            return self._only(lambda each: name == self._page.name_of(each), f"called {name!r}")
        return self._only(lambda each: name.lower() in self._page.name_of(each).lower(), f"called {name!r}")

    def locator(self, selector: str) -> "Locator":
        def find() -> list[WebElement]:
            return [each for outer in self._find() for each in outer.find_elements(By.CSS_SELECTOR, selector)]

        return Locator(self._page, find, f"{self._what} {selector}")

    def get_by_role(self, role: str, *, name: str = "", exact: bool = False) -> "Locator":
        return self.locator(SELECTORS[role]).named(name, exact=exact)

    def _one(self) -> WebElement:
        """Wait for exactly one visible element, and return it."""
        found: list[WebElement] = []

        def there() -> bool:
            found[:] = [each for each in self._find() if each.is_displayed()]
            return len(found) == 1

        self._page.wait_until(there, f"one visible {self._what}")
        return found[0]

    def wait_for(self, *, state: str = "visible", timeout: float | None = None) -> None:
        there = {"visible": self.is_visible, "hidden": self.is_hidden, "attached": self.count}[state]
        self._page.wait_until(there, f"{state}: {self._what}", timeout)

    def count(self) -> int:
        return len(self._find())

    def all(self) -> list["Locator"]:
        return [Locator(self._page, lambda each=each: [each], self._what) for each in self._find()]  # type: ignore[misc]  # mypy infers no lambda with a default

    def is_visible(self) -> bool:
        return any(each.is_displayed() for each in self._find())

    def is_hidden(self) -> bool:
        return not self.is_visible()

    def click(self) -> None:
        self._one().click()

    def press(self, key: str) -> None:
        self._one().send_keys(getattr(Keys, key.upper(), key))

    def fill(self, value: str) -> None:
        element = self._one()
        element.clear()
        element.send_keys(value)

    def inner_text(self) -> str:
        return self._one().text

    def text_content(self) -> str:
        return str(self._one().get_property("textContent"))

    def all_inner_texts(self) -> list[str]:
        return [each.text for each in self._find()]

    def get_attribute(self, name: str) -> str | None:
        return self._one().get_dom_attribute(name)

    def bounding_box(self) -> dict[str, float]:
        rectangle: dict[str, float] = self._one().rect
        return rectangle
