"""The browser tests as pytest collects them: by what client, in what engine. No browser is started."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Shown(NamedTuple):
    """A test with one set of its parameters.

    Attributes:
        file: where it is.
        name: what its function is called.
        client: by what it sends requests; empty where nothing says so.
        engine: the browser engine that it runs in; empty for a client that the scenario does not concern.
        reason: why the engine cannot pass it, which is then what the test requires, or why it does not concern the
            client; else empty.
    """

    file: str
    name: str
    client: str
    engine: str
    reason: str


def collected() -> list[Shown]:
    """Return all tests that run in an engine, as another process collects them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DAYPASS_"))}
    environment["DAYPASS_TEST_BROWSERS"] = "clients"
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=120, check=True)
    return [Shown(*each) for each in json.loads(done.stdout)]


def _shown(item: Any) -> list[Shown]:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "engine" not in parameters:
        return []
    mark = item.get_closest_marker("clients")
    clients = [parameters["client"]] if "client" in parameters else mark.args if mark else [""]
    fails = item.get_closest_marker("xfail") or item.get_closest_marker("skip") or item.get_closest_marker("skipif")
    reason = fails.kwargs["reason"] if fails else ""
    where = (item.path.name, item.originalname)
    concerned = [Shown(*where, client, parameters["engine"], reason) for client in clients]
    unconcerned = {client: why for each in item.iter_markers("not_for") for client, why in each.kwargs.items()}
    return concerned + [Shown(*where, client, "", why) for client, why in unconcerned.items()]


class _Plugin:
    def __init__(self) -> None:
        self.shown: list[Shown] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.shown = [shown for item in session.items for shown in _shown(item)]


def _main() -> None:
    plugin = _Plugin()
    with redirect_stdout(sys.stderr):
        code = pytest.main(["--collect-only", "-q", "-q", "-p", "no:cacheprovider", "tests/browser"], [plugin])
    json.dump(plugin.shown, sys.stdout)
    sys.exit(code)


if __name__ == "__main__":
    _main()
