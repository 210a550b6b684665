"""The npm package installed from its folder and from the issuer, with its types; the types that the issuer serves."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from daypass import AsyncDaypass
from daypass.web.starlette import auth_routes

from ..servers.application import serving
from . import npm

JS = Path(__file__).parents[2] / "js"
USES = """
import { createSession, DaypassError, type Session, type Snapshot } from "daypass";
import { withSession } from "daypass/axios";

const session: Session = createSession({ origins: ["https://api.example.com"] });
const snapshot: Snapshot = session.snapshot();
const send: typeof fetch = session.fetch;
void session.fetch("data:,", { refresh: false });
try {
  await session.token({ goodFor: 1000 });
} catch (error) {
  if (error instanceof DaypassError)
    switch (error.code) {
      case "refresh_unavailable": console.log(error.retryAfter?.toFixed()); break;
      case "login_refused": console.log(error.reason?.length); break;
      // @ts-expect-error there is no such code
      case "nothing": break;
    }
}
// @ts-expect-error there is no such option
export const refused = () => createSession({ origin: [] });
console.log(snapshot.status, typeof send, typeof withSession);
"""
COMPILE = ("--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--lib", "es2022,dom", "--types", "")


@pytest.fixture(scope="module")
def tsc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return TypeScript's compiler; install it from npm if it is missing."""
    return npm.fetch(JS, ".bin/tsc", tmp_path_factory)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Return the address of an issuer's endpoints."""
    auth = AsyncDaypass("memory:", issuer="http://127.0.0.1", load_user=lambda _: None)
    routes = auth_routes(auth, authenticate=lambda *_: None)
    with serving(Starlette(routes=[Mount("/auth", routes=routes)])) as address:
        yield f"{address}/auth"


def compile_with(tsc: Path, folder: Path, *options: str) -> str:
    return npm.run(tsc, *COMPILE, *options, folder=folder).stdout


@pytest.mark.parametrize("source", ["folder", "issuer"])
def test_package_installs_with_its_types(source: str, issuer: str, tsc: Path, tmp_path: Path) -> None:
    """After ``npm install`` of the folder or of the issuer's tarball, types check and Node runs it."""
    (tmp_path / "package.json").write_text('{"name": "app", "type": "module"}')
    origin = str(JS) if source == "folder" else f"{issuer}/daypass.tgz"
    done = npm.run(npm.NPM, "install", "--ignore-scripts", "--no-audit", "--no-fund", origin, folder=tmp_path)
    assert 0 == done.returncode, done.stderr
    (tmp_path / "app.ts").write_text(USES)
    for kind in (("esnext", "bundler"), ("nodenext", "nodenext")):
        assert "" == compile_with(
            tsc, tmp_path, "--module", kind[0], "--moduleResolution", kind[1], "--outDir", "out", "app.ts"
        )
    ran = npm.run(npm.NODE, "out/app.js", folder=tmp_path)
    assert ("undefined\nunknown function function\n", 0) == (ran.stdout, ran.returncode), ran.stderr


def test_lock_file_of_the_issuers_package_stays_valid(issuer: str, tmp_path: Path) -> None:
    """A lock file with the issuer's tarball stays valid: the issuer serves the bytes of the Python package."""
    (tmp_path / "package.json").write_text('{"name": "app", "type": "module"}')
    options = ("--ignore-scripts", "--no-audit", "--no-fund")
    assert 0 == npm.run(npm.NPM, "install", *options, f"{issuer}/daypass.tgz", folder=tmp_path).returncode
    lock = json.loads((tmp_path / "package-lock.json").read_text())["packages"]["node_modules/daypass"]
    packed = files("daypass.web").joinpath("static", "daypass.tgz")
    (tmp_path / "same.tgz").write_bytes(packed.read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    (other / "package.json").write_text('{"name": "app", "type": "module"}')
    assert 0 == npm.run(npm.NPM, "install", *options, "../same.tgz", folder=other).returncode
    same = json.loads((other / "package-lock.json").read_text())["packages"]["node_modules/daypass"]
    assert (lock["version"], lock["integrity"]) == (same["version"], same["integrity"])


def test_the_served_module_has_types(tsc: Path, tmp_path: Path) -> None:
    """`import … from "/auth/daypass.js"` is typed by the served declarations, as docs/browser.md says."""
    types = tmp_path / "types"
    types.mkdir()
    for name in ("daypass.d.ts", "daypass-axios.d.ts"):
        (types / name).write_bytes(files("daypass.web").joinpath("static", name).read_bytes())
    served = USES.replace('"daypass"', '"/auth/daypass.js"').replace('"daypass/axios"', '"/auth/daypass-axios.js"')
    (tmp_path / "app.ts").write_text(served)
    settings = {
        "compilerOptions": {
            "strict": True,
            "target": "es2022",
            "lib": ["es2022", "dom"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "types": [],
            "noEmit": True,
            "paths": {"/auth/*.js": ["./types/*.d.ts"]},
        },
        "files": ["app.ts"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    assert "" == npm.run(tsc, "-p", ".", folder=tmp_path).stdout
