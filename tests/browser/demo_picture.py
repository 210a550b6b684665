"""Take a picture of the demo's page: ``python -m tests.browser.demo_picture 1080 docs/images/demo-page.png``.

After a change of the page, look at it at 390 and at 1280 pixels too.
"""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from .engines import CHROMIUM, CHROMIUM_ARGUMENTS

SECONDS = 27
HEIGHT = 720


def main(width: int, file: Path) -> None:
    """Log in to a demonstration, let some tokens expire, send a hundred requests at once, and take the picture."""
    command: list[str | Path] = [Path(sys.executable).with_name("daypass"), "demo", "--for", str(2 * SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo, sync_playwright() as playwright:
        assert demo.stdout is not None
        address = demo.stdout.readline().rpartition(" ")[2].strip()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": HEIGHT})
        page.goto(address)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_timeout(SECONDS * 1000)
        page.get_by_role("button", name="100 requests at once").click()
        page.wait_for_timeout(1_500)
        page.screenshot(path=file)
        browser.close()
        demo.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
