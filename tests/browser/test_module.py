"""The shipped daypass.js: its tests under Node, its size, and the npm package."""

import json
import re
import sys
import tarfile
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from . import npm

JS = Path(__file__).parents[2] / "js"
LARGEST = 5_000


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder ``js``, with its build tools installed from npm."""
    npm.fetch(JS, "esbuild/package.json", tmp_path_factory)
    return JS


def static(name: str) -> bytes:
    return files("daypass.web").joinpath("static", name).read_bytes()


def shipped() -> bytes:
    return static("daypass.js")


def test_logic_under_node() -> None:
    """The tests of ``js/test`` pass under Node's own runner, without a package and without a build."""
    done = npm.run(
        npm.NODE,
        "--test",
        "--test-concurrency=6",  # they mostly wait
        "--test-reporter=tap",
        *sorted((JS / "test").glob("*.test.ts")),
        folder=JS,
    )
    assert (0, "") == (done.returncode, "\n".join(re.findall(r"^\s*not ok.*", done.stdout, re.MULTILINE)))
    assert int(re.findall(r"^# pass (\d+)", done.stdout, re.MULTILINE)[0]) >= 20


def test_compressed_size() -> None:
    """The compressed file is below 5 kB."""
    assert 1_000 < len(static("daypass.js.br")) < LARGEST


def test_shipped_file_matches_its_source(tools: Path) -> None:
    """The shipped file equals the build of its source, byte for byte."""
    done = npm.run(npm.NODE, "build.mjs", "--check", folder=tools)
    assert (0, "") == (done.returncode, done.stderr if done.returncode else "")


def test_the_package() -> None:
    """The tarball that the issuer serves has this version, the code and types of every entry, README and license."""
    with tarfile.open(fileobj=BytesIO(static("daypass.tgz"))) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        described = json.load(packed.extractfile("package/package.json"))  # type: ignore[arg-type]  # it is a file
    assert version("daypass") == described["version"]
    assert {"package.json", "README.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("test/", "node_modules/"))]
    for name in ("index", "axios", "install", "react", "vue", "server", "socket", "dpop", "verify"):
        assert {f"dist/{name}.js", f"dist/{name}.js.map", f"dist/{name}.d.ts"} <= names
        assert f"./dist/{name}.js" == described["exports"]["." if name == "index" else f"./{name}"]
    sources = json.loads((JS / "dist/index.js.map").read_text())["sources"]
    assert {name.removeprefix("../") for name in sources} <= names
    assert (JS / "dist/index.d.ts").read_bytes() == static("daypass.d.ts")


def test_no_address_of_a_registry() -> None:
    """Lock files contain packages and their hashes, but no addresses of a registry."""
    here = Path(__file__).parent
    for lock in (JS / "package-lock.json", here / "package-lock.json", here / "frontend/package-lock.json"):
        text = lock.read_text()
        assert '"integrity"' in text
        assert "resolved" not in text
        assert "://" not in re.sub(r'"funding": (\[[^]]*\]|\{[^}]*\}|"[^"]*")', "", text)


def test_no_dependencies() -> None:
    """Installing it installs nothing else; React, Vue and jose are optional."""
    described = json.loads((JS / "package.json").read_text())
    assert "dependencies" not in described
    assert {"jose", "react", "vue"} == set(described["peerDependencies"])
    assert {name: {"optional": True} for name in ("jose", "react", "vue")} == described["peerDependenciesMeta"]
    assert b"import" not in re.sub(rb'"[^"]*"', b"", re.sub(rb'\bimport\("\./daypass-[\w-]+\.js"\)', b"", shipped()))


def test_wheel_contains_the_module(tmp_path: Path) -> None:
    """The Python package contains the module and the demonstration's page."""
    root = JS.parent
    done = npm.run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=root)
    assert 0 == done.returncode, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
        assert shipped() == opened.read("daypass/web/static/daypass.js")
    assert {f"daypass/demo/static/{name}" for name in ("index.html", "page.css", "page.js", "icon.svg")} <= names
