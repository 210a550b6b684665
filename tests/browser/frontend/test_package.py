"""The npm package as its users get it: its types under both resolutions, and the checks of publint and attw."""

import re
from pathlib import Path

import pytest

from .project import BIN, TARBALL, run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("resolution", [("bundler", "esnext"), ("nodenext", "nodenext")], ids=lambda pair: pair[0])
def test_types(built: Path, resolution: tuple[str, str]) -> None:
    """Under the strictest settings and both resolutions, correct code compiles, and incorrect code does not."""
    how, module = resolution
    run(BIN / "tsc", "-p", "types", "--moduleResolution", how, "--module", module, folder=built)


def test_types_without_a_framework(tmp_path: Path, built: Path) -> None:
    """The types of the core need no other package, and have no errors."""
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/daypass").symlink_to(built / "node_modules/daypass")
    (tmp_path / "page.ts").write_text('import { createSession } from "daypass";\ncreateSession().close();\n')
    options = (
        "--strict",
        "--noEmit",
        "--types",
        "",
        "--preserveSymlinks",
        "--module",
        "nodenext",
        "--target",
        "es2022",
    )
    run(BIN / "tsc", *options, "page.ts", folder=tmp_path)


def test_types_of_the_examples(built: Path) -> None:
    """The examples of the docs compile with the types of their libraries."""
    run(BIN / "tsc", "-p", ".", folder=built)


def test_import_that_vite_leaves_alone(tmp_path: Path, built: Path) -> None:
    """With the option of docs/browser.md, Vite builds a page that imports the issuer's module, and keeps the import."""
    (option,) = re.findall(r"in Vite: `(build: .*)`\.", (ROOT / "docs/browser.md").read_text())
    (tmp_path / "vite.config.js").write_text(f"export default {{ {option} }};")
    (tmp_path / "index.html").write_text('<script type="module" src="/page.js"></script>')
    (tmp_path / "page.js").write_text('import { createSession } from "/auth/daypass.js";\ncreateSession();\n')
    run(BIN / "vite", "build", "--logLevel", "error", folder=tmp_path)
    (script,) = (tmp_path / "dist/assets").glob("*.js")
    assert re.search(r'import ?\{ ?createSession as \w+ ?\} ?from ?[`"\']/auth/daypass\.js', script.read_text())


def test_publint(built: Path) -> None:
    """Publint reports no problem."""
    said = run(BIN / "publint", "run", built / "node_modules/daypass", "--strict", "--pack", "false", folder=built)
    assert "All good" in said


def test_are_the_types_wrong(built: Path) -> None:
    """Every entry has types, for bundlers and for Node's modules; the package is ESM only."""
    said = run(BIN / "attw", TARBALL, "--profile", "esm-only", "--format", "ascii", "--no-emoji", folder=built)
    assert 9 == said.count("node16 (from ESM): OK (ESM)") == said.count("bundler: OK \n")
