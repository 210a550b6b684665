"""The documentation site: each page has its place, and each place its page."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gather the pages, as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "site" / "pages.py", folder], check=True)
    return folder


def test_navigation_has_each_page(site: Path) -> None:
    """The navigation leads to all pages, and to no page that is not there."""
    configured = tomllib.loads((site / "zensical.toml").read_text())["project"]["nav"]
    pages = {str(page.relative_to(site / "pages")) for page in (site / "pages").rglob("*.md")}
    assert pages == set(_targets(configured))


def test_diagrams_are_drawn(site: Path) -> None:
    """The site needs no script for its diagrams."""
    text = (site / "pages" / "index.md").read_text()
    assert (3, 0) == (text.count("<svg"), text.count("```mermaid"))


def test_reference_has_each_public_name(site: Path) -> None:
    """The Python reference has all names of the package itself, and the command's page each command."""
    import daypass

    reference = (site / "pages" / "reference" / "python" / "issuer.md").read_text()
    assert [] == [name for name in daypass.__all__ if f"::: daypass.{name}\n" not in reference]
    assert "## `daypass key list`" in (site / "pages" / "reference" / "command.md").read_text()
    assert "## `POST /auth/refresh`" in (site / "pages" / "reference" / "http-api.md").read_text()


def test_javascript_reference_has_each_export(site: Path) -> None:
    """The page has each name that an entry of the npm package exports, with all members of its interfaces."""
    page = (site / "pages" / "reference" / "javascript.md").read_text()
    for types in (ROOT / "js" / "dist").glob("*.d.ts"):
        entry = types.name.removesuffix(".d.ts")
        label = "daypass" if entry == "index" else f"daypass/{entry}"
        section = page.split(f"\n## `{label}`\n")[1].split("\n## ")[0]
        text = types.read_text()
        exported = re.findall(r"^export (?:declare )?(?:function|class|const|interface|type) (\w+)", text, re.MULTILINE)
        assert [] == [name for name in exported if f"`{name}`" not in section], label
    assert "| `token(options?: TokenOptions): Promise<string>` |" in page
    assert "`QuotaExceededError` if that would be more than `queue` bytes" in page


def test_links_that_only_the_site_has_lead_somewhere(site: Path) -> None:
    """The start page links to each part of the reference that is made."""
    text = (site / "pages" / "index.md").read_text()
    assert "<!--" not in text
    links = re.findall(r"\]\((reference/[^)]*)\)", text)
    assert [] == [link for link in links if not (site / "pages" / link).exists()]
    assert {str(page.relative_to(site / "pages")) for page in (site / "pages" / "reference").rglob("*.md")} == set(
        links
    )


def _targets(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from _targets(target)
