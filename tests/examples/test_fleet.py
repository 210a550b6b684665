"""The recipes of examples/fleet, run as their reader would: real workers, brokers, databases, a page and a notebook."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from daypass.client.vault import State, Vault
from daypass.testing.loopback import serving
from daypass.testing.strict_server import Line, StrictServer

from ..client.authlib_server import CLIENT_ID, authlib_server
from ..servers import redis as redis_servers
from ..servers.reaching import wait_for

RECIPES = Path(__file__).parents[2] / "examples" / "fleet"
ACCOUNT = "tenant-42"
SECRET = secrets.token_hex(32)
CALLS = 20


@pytest.fixture
def issuer() -> StrictServer:
    """A strict server: a refresh takes 200 ms, and a second use of its token ends the connection."""
    return StrictServer(latency=0.2)


@pytest.fixture
def setup(issuer: StrictServer, postgres_url: str) -> Iterator[Mapping[str, str]]:
    """Serve it, and give the variables of the recipes, with a connection whose token has to be refreshed."""
    with serving(issuer) as url:
        yield variables(url, postgres_url, "reports", f"{url}/oauth/token")


def variables(url: str, vault_url: str, client_id: str, token_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "BOOKS_URL": url,
        "BOOKS_CLIENT_ID": client_id,
        "BOOKS_TOKEN_URL": token_url,
        "BOOKS_AUTHORIZE_URL": f"{url}/authorize",
        "BOOKS_SCOPE": "read offline_access",
        "VAULT_URL": vault_url,
        "DAYPASS_VAULT_SECRET": SECRET,
        "COOKIE_SECRET": SECRET,
        "PYTHONPATH": str(RECIPES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def connect(issuer: StrictServer, environment: Mapping[str, str]) -> None:
    """Put a refresh token of the server's into the vault."""
    issuer.lines["s"] = Line(["first"])
    vault = Vault(environment["VAULT_URL"], secret=SECRET)
    vault.put("books", ACCOUNT, refresh_token="first")
    vault.close()


@pytest.fixture
def connected(issuer: StrictServer, setup: Mapping[str, str]) -> Mapping[str, str]:
    connect(issuer, setup)
    return setup


@contextmanager
def running(*command: str, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, *command], env=environment, cwd=RECIPES)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def listening(*command: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server whose last argument is to be its port; give its URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with running(*command, str(port), environment=environment) as server:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"


SEND = {
    "celery": "from celery_tasks import fetch; [fetch.delay('tenant-42', '/me') for _ in range(20)]",
    "dramatiq": "from dramatiq_tasks import fetch; [fetch.send('tenant-42', '/me') for _ in range(20)]",
}
WORK = {
    "celery": ("-m", "celery", "--app", "celery_tasks", "worker", "--concurrency", "2", "--loglevel", "error",
               "--without-gossip", "--without-mingle", "--without-heartbeat"),
    "dramatiq": ("-m", "dramatiq", "dramatiq_tasks", "--processes", "2", "--threads", "2"),
}  # fmt: skip


@pytest.mark.parametrize("library", SEND)
def test_workers_refresh_once(library: str, issuer: StrictServer, setup: Mapping[str, str]) -> None:
    """20 tasks for 2 workers of 2 processes each, on a token that has expired: one refresh, and every task is done."""
    with redis_servers.Server() as broker:
        environment = {**setup, "BROKER_URL": broker.url}
        if library == "dramatiq":
            environment["VAULT_URL"] = broker.url
        connect(issuer, environment)
        subprocess.run([sys.executable, "-c", SEND[library]], env=environment, check=True, timeout=100)
        names = [("--hostname", f"{name}@machine") if library == "celery" else () for name in "ab"]
        first, second = ((*WORK[library], *name) for name in names)
        with running(*first, environment=environment), running(*second, environment=environment):
            until(lambda: issuer.counts["admitted"] == CALLS)
    assert (CALLS, 1, 0) == (issuer.counts["admitted"], issuer.counts["refreshes"], issuer.counts["unauthorized"])


def test_cron_scripts_that_overlap_refresh_once(issuer: StrictServer, connected: Mapping[str, str]) -> None:
    """Each prints its answer; after an outage a script says to try later, after the end to connect again."""

    def started() -> "subprocess.Popen[str]":
        command = [sys.executable, "cron_sync.py", ACCOUNT]
        return subprocess.Popen(command, env=connected, cwd=RECIPES, stdout=-1, stderr=-1, text=True)

    scripts = [started() for _ in range(3)]
    assert [("ada\n", "")] * 3 == [each.communicate(timeout=100) for each in scripts]
    assert 1 == issuer.counts["refreshes"]
    issuer.revoke_access()
    issuer.statuses = [503] * 3
    failed = started()
    assert "the refresh was answered with 503" in failed.communicate(timeout=100)[1]
    assert 75 == failed.returncode
    issuer.end_sessions()
    ended = started()
    assert "connect the account again: the session has ended" in ended.communicate(timeout=100)[1]
    assert 1 == ended.returncode


def test_notebook_has_a_running_event_loop(issuer: StrictServer, connected: Mapping[str, str]) -> None:
    """Its cells run as a kernel runs them; 20 tasks and a client that blocks share one refresh."""
    cells = json.loads((RECIPES / "notebook.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = f"""
import ast, asyncio, inspect
async def kernel():
    names = {{}}
    for source in {sources!r}:
        done = eval(compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(done):
            await done
    print([answer.status_code for answer in names["answers"]] == [200] * 20, names["user"])
asyncio.run(kernel())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=connected, capture_output=True, text=True, timeout=100, check=False
    )
    assert ("True ada\n", "", 1) == (done.stdout, done.stderr, issuer.counts["refreshes"])


def test_django_view_says_what_is_wrong(issuer: StrictServer, setup: Mapping[str, str], tmp_path: Path) -> None:
    """It answers, with the tokens in the project's database; 503 in an outage; 409 after the connection's end."""
    issuer.lines["s"] = Line(["first"])
    environment = {**setup, "DATABASE_FILE": str(tmp_path / "site.db")}
    begin = "import django, django_site as s; django.setup(); s.auth_of('tenant-42').start(refresh_token='first')"
    for command in (["django_site.py", "migrate", "--verbosity", "0"], ["-c", begin]):
        subprocess.run([sys.executable, *command], env=environment, cwd=RECIPES, check=True, timeout=100)
    command = ["django_site.py", "runserver", "--noreload", "--verbosity", "0"]
    with listening(*command, environment=environment) as url, httpx2.Client(base_url=url, timeout=60) as browser:
        assert "ada" == browser.get("/profile").json()["user"]
        issuer.revoke_access()
        issuer.statuses = [503] * 3
        time.sleep(1.1)  # a token that a refresh has just brought is not refreshed again
        answer = browser.get("/profile")
        assert (503, True) == (answer.status_code, int(answer.headers["retry-after"]) >= 1)
        issuer.statuses = []
        issuer.end_sessions()
        until(lambda: browser.get("/profile").status_code == 409)
        assert 409 == browser.get("/profile").status_code


def test_connect_page_fills_the_vault(postgres_url: str) -> None:
    """A browser is led through the provider's login; the vault has a live connection that can be refreshed."""
    with authlib_server() as provider:
        environment = variables(provider.url, postgres_url, CLIENT_ID, f"{provider.url}/token")
        command = ("-m", "uvicorn", "connect_page:app", "--log-level", "error", "--port")
        with listening(*command, environment=environment) as url, httpx2.Client(timeout=60) as browser:
            asked = browser.get(f"{url}/connect")
            back = browser.get(asked.headers["location"]).headers["location"]
            with httpx2.Client(timeout=60) as stranger:
                assert 400 == stranger.get(back).status_code
            assert {"connected": ACCOUNT} == browser.get(back).json()
            assert 400 == browser.get(back).status_code
            assert "state" in urlsplit(asked.headers["location"]).query
    vault = Vault(postgres_url, secret=SECRET)
    connection = vault.show("books", ACCOUNT)
    vault.close()
    assert connection is not None
    assert State.LIVE == connection.state
