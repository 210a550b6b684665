"""Sites in Node that render pages, in front of a Python API."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..browser import npm
from ..servers.application import serving
from .api import Api

HERE = Path(__file__).parent
RUNTIMES = HERE / "runtimes"
SITES = ["web", "hono", "h3"]
if os.environ.get("DAYPASS_TEST_RUNTIMES") == "full":
    SITES += [f"{runtime} {kind}" for runtime in ("bun", "deno") for kind in ("web", "hono", "h3")]
"""The sites: in Node, and where it is asked for in Bun and Deno."""


@contextmanager
def rendering(kind: str, factory: pytest.TempPathFactory, **options: Any) -> Iterator[str]:
    """Start a site and return its address; it ends with its standard input."""
    runtime, _, kind = kind.rpartition(" ")
    if kind != "web":
        npm.fetch(HERE, "h3/package.json", factory)
    command: list[str | Path] = [*_runtime(runtime, factory), HERE / "site.mjs", kind, json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the site did not start"
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()


def _runtime(name: str, factory: pytest.TempPathFactory) -> list[str | Path]:
    """Return the command that runs a module: by Node, unless another runtime is named."""
    if name == "bun":
        return [npm.fetch(RUNTIMES, "@oven/bun-linux-x64/bin/bun", factory)]
    if name == "deno":
        return [npm.fetch(RUNTIMES, "@deno/linux-x64-glibc/deno", factory), "run", "--allow-all"]
    return [npm.NODE]


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[Api, str]]:
    api = Api()
    with serving(api, grace=1) as address:
        yield api, address


@pytest.fixture(scope="module", params=SITES)
def site(
    request: pytest.FixtureRequest, api: tuple[Api, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, str]]:
    """Return the API and the address of a site in front of it."""
    with rendering(request.param, tmp_path_factory, api=api[1]) as address:
        yield api[0], address
