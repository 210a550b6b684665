"""The examples in README and docs are programs, and are run without a change."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDRESS = "127.0.0.1:8000"
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "```python" in page.read_text())

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```\w+\n(?://|<!--) ([\w./+\[\]-]+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```|<!-- on the site.*?-->", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_SHOWN = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def run(program: str, folder: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, re.sub(r"^made a secret in .*\n", "", done.stderr))
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the quickstart's server as its reader would; give where it listens."""
    folder = tmp_path_factory.mktemp("quickstart")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    (folder / "app.py").write_text(blocks(ROOT / "README.md")[0].replace(ADDRESS, address))
    port = address.partition(":")[2]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", port, "--log-level", "warning"], cwd=folder
    )
    try:
        _wait_for(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    host, _, port = address.partition(":")
    for _ in range(300):
        assert server.poll() is None
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the quickstart's server did not come up")


def test_the_quickstart_works(quickstart: str, tmp_path: Path) -> None:
    """The README's client, run unchanged against the README's server, is logged in and gets its answer."""
    client = blocks(ROOT / "README.md")[1].replace(ADDRESS, quickstart)
    assert ["{'user': '1'}"] == run(client, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS).with_suffix("")))
def test_a_pages_examples_run_and_print_what_they_say(page: Path, quickstart: str, tmp_path: Path) -> None:
    """The examples of a page, taken together, run; the comment after a print is what it prints."""
    program = "\n".join(blocks(page))
    printed = run(program.replace(ADDRESS, quickstart), tmp_path)
    assert [] == [shown for shown in _SHOWN.findall(program) if shown not in printed]


def test_links_between_pages_lead_somewhere() -> None:
    """Each relative link in README and docs names a file that is there, and a heading that it has."""
    broken = []
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for name, anchor in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{page.name}: {name}#{anchor}")
    assert [] == broken


@cache
def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found) for found in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("heading", "example"), [("Nuxt", "nuxt_app"), ("SvelteKit", "sveltekit_app")])
def test_files_of_server_rendering_are_those_of_the_example(heading: str, example: str) -> None:
    """Each line that the page shows of a file is in that file of the example, which `make frameworks` builds."""
    text = (DOCS / "server-rendering.md").read_text(encoding="utf-8")
    files = _FILE.findall(text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0])
    assert files
    for name, shown in files:
        there = {line.strip() for line in (ROOT / "examples" / example / name).read_text(encoding="utf-8").splitlines()}
        lines = [line.strip() for line in shown.splitlines() if "createPages({ url" not in line]
        assert [] == [line for line in lines if line not in there], name
