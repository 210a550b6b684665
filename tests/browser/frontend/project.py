"""The examples of ``docs/frontend.md`` as a project, built once for all tests."""

import fcntl
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import npm

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAGES = ("frontend.md",)
TARBALL = ROOT / "src/daypass/web/static/daypass.tgz"
BIN = HERE / "node_modules/.bin"

_BLOCK = re.compile(r"^```\w+\n(?://|<!--) (src/[\w./-]+)(?: -->)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """Return the examples whose first line names a file, by that name."""
    text = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES)
    return dict(_BLOCK.findall(text))


def built(factory: pytest.TempPathFactory) -> Path:
    """Return the project; its folder ``built`` is the output of Vite."""
    npm.fetch(HERE, "vite/package.json", factory)
    return _once("project", factory, _build)


def example(factory: pytest.TempPathFactory) -> Path:
    """Return ``examples/react_spa``, built by its own command with the packages of this folder."""
    npm.fetch(HERE, "vite/package.json", factory)
    return _once("react_spa", factory, _build_example)


def run(*command: str | Path, folder: Path) -> str:
    """Run a command, assert that it succeeds, and return its output."""
    done = npm.run(*command, folder=folder)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def install(project: Path) -> None:
    """Install the packages of this folder in a project, and the Daypass package that the issuer serves."""
    modules = project / "node_modules"
    modules.mkdir()
    for each in (HERE / "node_modules").iterdir():
        if not each.name.startswith("."):
            (modules / each.name).symlink_to(each)
    with tarfile.open(TARBALL) as packed:
        packed.extractall(modules, filter="data")
    (modules / "package").rename(modules / "daypass")


def _once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], None]) -> Path:
    """Create a folder once: one worker does it, the others wait."""
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, finished = shared / f"frontend-{name}", shared / f"frontend-{name}.finished"
    with (shared / f"frontend-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def _build(folder: Path) -> None:
    install(folder)
    for name in ("pages", "server", "src", "types"):
        shutil.copytree(HERE / name, folder / name)
    for name in ("package.json", "tsconfig.json", "vite.config.js", "shims.d.ts", "ssr.mjs"):
        shutil.copy(HERE / name, folder)
    for name, text in examples().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for react in ("19", "18"):
        run("env", f"REACT={react}", BIN / "vite", "build", "--mode", "development", folder=folder)


def _build_example(folder: Path) -> None:
    shutil.copytree(ROOT / "examples/react_spa", folder, dirs_exist_ok=True)
    install(folder)
    (folder / "node_modules/.bin").symlink_to(BIN)
    run(npm.NPM, "run", "--silent", "build", folder=folder)
