"""What `import daypass` loads and shows, and that the rooms of the house import only upwards."""

import ast
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import daypass

ROOT = Path(daypass.__file__).parent

# fmt: off
FOREIGN = (
    "aiohttp", "anyio", "argon2", "django", "fastapi", "filelock", "flask", "h11", "httpcore", "httptools", "httpx",
    "httpx2", "hypothesis", "jinja2", "keyring", "mcp", "niquests", "opentelemetry", "platformdirs", "psycopg",
    "pydantic", "pytest", "redis", "requests", "rich", "sqlite3", "starlette", "urllib3", "uvicorn", "uvloop",
    "werkzeug",
)
# fmt: on

HEAVY = ("asyncio", "authlib", "email.utils", "filelock", "httpx", "httpx2", "importlib.metadata", "joserfc", "ssl")
"""Modules that are not needed to print a valid token."""

SERVER = ("daypass.issuer", "daypass.stores", "daypass.verifier", "joserfc")
"""What only a server needs."""

FLOORS = (
    ("errors", "value"),
    ("ending_log", "scope", "secret", "tally", "unknown_options"),
    ("clock", "cookie_names", "rotation", "duration", "flow", "event", "read_only"),
    ("operator_steps", "session_extras", "user"),
    ("proof",),
    ("session",),
    ("dpop", "policy"),
    ("dbsc",),
    ("session_options",),
    ("refresh_token",),
    ("keys",),
    ("access_token",),
    ("security_event", "watch_list"),
    ("verifier",),
    ("watching",),
    ("store_steps",),
    ("account_steps", "steps"),
    ("audit", "operator_fields"),
    ("drive", "waiting", "forks"),
    ("cancellation",),
    ("databases",),
    ("stores",),
    ("clock_check", "shared_read", "suspicion"),
    ("old_tokens",),
    ("flows", "key_flows"),
    ("upkeep", "background"),
    ("secret_file",),
    ("token_inspection",),
    ("issuer",),
    ("measures",),
    ("migrate",),
    ("jwk_set", "http_get"),
    ("ending_feed",),
    ("remote_verifier",),
    ("face",),
    ("opentelemetry", "web"),
    ("client",),
    ("server",),
    ("testing",),
    ("pytest_plugin",),
    ("demo",),
    ("cli",),
)
"""The modules from the lowest layer up (DESIGN §3): each imports only modules of a lower layer, or of its own."""

PURE = {
    "errors": set(),
    "scope": {"errors"},
    "read_only": set(),
    "unknown_options": {"errors"},
    "value": set(),
    "rotation": set(),
    "duration": {"errors"},
    "flow": set(),
    "event": set(),
    "user": {"errors", "scope"},
    "session": {"rotation", "session_extras", "user"},
    "session_extras": {"errors", "read_only"},
    "policy": {"duration", "errors", "session", "unknown_options"},
    "session_options": {
        "duration",
        "errors",
        "policy",
        "proof",
        "session",
        "session_extras",
        "unknown_options",
        "user",
    },
    "proof": {"errors", "session_extras", "value"},
    "refresh_token": {"errors", "rotation", "value"},
    "secret": {"errors"},
    "keys": {"errors", "refresh_token", "secret", "value"},
    "access_token": {"duration", "errors", "keys", "policy", "scope", "session", "session_extras", "user", "value"},
    "ending_log": {"value"},
    "security_event": {"duration", "ending_log", "errors", "keys"},
    "watch_list": {"access_token", "duration", "errors"},
    "verifier": {"access_token", "duration", "errors", "keys", "read_only", "session_extras", "watch_list"},
    "store_steps": {"flow", "keys", "rotation", "session", "user", "value"},
    "account_steps": {"flow", "user", "value"},
    "tally": set(),
    "operator_steps": {"flow", "value"},
    "operator_fields": {"clock", "keys", "operator_steps", "session", "user"},
    "audit": {"duration", "errors", "event", "flow", "operator_steps", "tally"},
    "steps": {"access_token", "duration", "ending_log", "event", "flow", "keys", "user", "value"},
    "drive": {"flow"},
    "flows": {
        "clock_check",
        "duration",
        "access_token",
        "errors",
        "event",
        "flow",
        "keys",
        "old_tokens",
        "policy",
        "proof",
        "refresh_token",
        "rotation",
        "scope",
        "session",
        "session_extras",
        "session_options",
        "steps",
        "store_steps",
        "user",
        "suspicion",
        "value",
    },
    "old_tokens": {
        "access_token",
        "clock_check",
        "duration",
        "errors",
        "event",
        "flow",
        "policy",
        "read_only",
        "refresh_token",
        "session",
        "session_extras",
        "steps",
        "store_steps",
    },
    "key_flows": {
        "clock_check",
        "duration",
        "errors",
        "event",
        "flow",
        "keys",
        "policy",
        "refresh_token",
        "steps",
        "store_steps",
    },
    "jwk_set": {"duration", "errors", "keys"},
    "shared_read": {"errors", "flow", "steps"},
    "suspicion": {"duration", "rotation", "session"},
    "clock_check": {"duration", "errors", "flow", "steps"},
    "upkeep": {
        "audit",
        "tally",
        "clock_check",
        "ending_log",
        "access_token",
        "duration",
        "errors",
        "event",
        "flow",
        "key_flows",
        "keys",
        "policy",
        "shared_read",
        "steps",
        "store_steps",
        "verifier",
    },
}
"""Exactly which of our modules the core imports; an addition is a decision."""

IMPURE = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "ssl", "threading", "time", "uuid", "logging"}
"""What a room without I/O, clock or randomness has no use for."""

SHARED_BY_THREADS = {"audit", "tally", "ending_log", "verifier", "watch_list", "shared_read", "upkeep"}

ROOMS = {name for rooms in FLOORS for name in rooms}
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the room that a file belongs to."""
    return "face" if path == ROOT / "__init__.py" else path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file, by its full name."""
    package = ["daypass", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            if module == "daypass":
                yield from (f"daypass.{alias.name}" for alias in node.names)
            else:
                yield module


def rooms_imported(path: Path) -> set[str]:
    """Return which of our modules a file imports from; what it imports from the package itself counts as ``face``."""
    ours = [name.split(".")[1:2] for name in imports(path) if name.split(".")[0] == "daypass"]
    return {name[0] if name and name[0] in ROOMS else "face" for name in ours}


def loaded(statement: str) -> list[str]:
    """Return the modules that are loaded after a statement in a new interpreter."""
    script = f"import sys; {statement}; import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    names: list[str] = json.loads(done.stdout)
    return names


def public_modules() -> Iterator[ModuleType]:
    """Yield every public module of ours whose dependencies are installed."""
    for found in pkgutil.walk_packages(daypass.__path__, "daypass."):
        if found.name.startswith("daypass.client.storage.django.m"):
            continue  # models and migrations need a Django project with its settings
        if not found.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(found.name)


def test_importing_daypass_loads_the_errors_only() -> None:
    """``import daypass`` loads its errors; no server, cryptography, framework, HTTP client or driver."""
    there = loaded("import daypass")
    assert ["daypass", "daypass.errors"] == [name for name in there if name.split(".")[0] == "daypass"]
    assert [] == [name for name in (*FOREIGN, *SERVER) if name in there]


def test_using_daypass_loads_no_framework_and_no_driver() -> None:
    """All names of ``daypass`` together load no web framework, HTTP client, database driver or terminal library."""
    there = loaded("from daypass import *")
    assert [] == [name for name in FOREIGN if name in there]
    assert "daypass.issuer" in there


def test_a_service_loads_no_telemetry_before_it_is_on() -> None:
    """Neither OpenTelemetry nor the library for Prometheus."""
    there = loaded("import daypass.server.service")
    assert [] == [name for name in ("opentelemetry", "prometheus_client", "daypass.opentelemetry") if name in there]


@pytest.mark.parametrize("module", ["httpx", "requests", "aiohttp", "niquests", "mcp"])
def test_a_client_loads_no_server(module: str) -> None:
    """A client's adapter loads no issuer, verifier, store, endpoint or cryptography of the server."""
    there = loaded(f"import daypass.client.{module}")
    rooms = {name.split(".")[1] for name in there if name.startswith("daypass.")}
    assert rooms <= {"client", "cookie_names", "drive", "duration", "errors", "flow", "forks", "value"}
    assert [] == [name for name in SERVER if name in there]


def test_storages_load_no_driver_before_they_are_used() -> None:
    """A client that keeps its session in a file pays for no database, and for no cryptography."""
    there = loaded("from daypass.client.storage import FileStorage; import daypass.client.httpx")
    assert [] == [name for name in ("cryptography", "django", "psycopg", "redis", "daypass.stores") if name in there]


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_storages_for_many_machines_load_no_server(kind: str) -> None:
    """They share connections to databases with the server's stores, which are below both, and no store."""
    there = loaded(f"import daypass.client.storage.{kind}")
    assert f"daypass.databases.{kind}.settings" in there
    assert [] == [name for name in SERVER if name in there]


def test_a_client_loads_one_http_library() -> None:
    """`daypass.client.httpx` loads httpx2 and not httpx as well, nor asyncio; or the one that the program has."""
    there = loaded("import daypass.client.httpx")
    assert ("httpx2" in there, "httpx" in there, "asyncio" in there) == (True, False, False)
    there = loaded("import httpx, daypass.client.httpx")
    assert ("httpx2" in there, "httpx" in there) == (False, True)


def test_printing_a_good_token_loads_no_http_library(tmp_path: Path) -> None:
    """`daypass token` reads the session's file; an HTTP library, locks and package metadata are for a refresh."""
    script = (
        "from daypass.client import shell_sessions as s; session = s.ShellSession('https://a.example');"
        "session.auth(session.storage()).start(access_token='t0ken', expires_in=900); s.remember(session)"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=environment)
    command = "import sys; from daypass.cli import main; main(['token'])"
    script = f"{command}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60, env=environment)
    assert b"t0ken\n[]\n" == done.stdout


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("memory:", ["sqlite3"]),
        ("sqlite:///app.db", ["psycopg", "redis"]),
        ("postgresql://localhost/app", ["psycopg_pool", "redis", "sqlite3"]),
    ],
    ids=["memory", "sqlite", "postgres"],
)
def test_a_store_loads_no_driver_but_its_own(url: str, driver: list[str]) -> None:
    """Opening a store loads what that store needs."""
    there = loaded(f"from daypass.stores import open_store; open_store({url!r})")
    assert [] == [name for name in driver if name in there]


def test_all_is_what_there_is() -> None:
    """``__all__`` is sorted, every name in it is there, and nothing public is missing from it."""
    assert sorted(daypass.__all__) == daypass.__all__ == dir(daypass)
    there = {name: getattr(daypass, name) for name in daypass.__all__}
    public = {name for name, what in vars(daypass).items() if not name.startswith("_") and not inspect.ismodule(what)}
    assert {"Any", "TYPE_CHECKING", "import_module"} == public - there.keys()
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = daypass.Nothing


def test_every_error_descends_from_ours() -> None:
    """Every exception that Daypass raises can be caught as a `DaypassError`; the docstring shows the whole tree."""
    errors = [what for what in vars(daypass.errors).values() if inspect.isclass(what)]
    assert [] == [each for each in errors if not issubclass(each, daypass.DaypassError)]
    assert [] == [each.__name__ for each in errors if each.__name__ not in (daypass.errors.__doc__ or "")]


def test_everything_public_says_what_it_is_for() -> None:
    """Each public module, class, function and method has its own docstring."""
    silent: list[str] = []
    for module in public_modules():
        silent += [] if module.__doc__ else [module.__name__]
        for name, what in vars(module).items():
            if name.startswith("_") or getattr(what, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(what) or inspect.isfunction(what):
                silent += [] if what.__dict__.get("__doc__", what.__doc__) else [f"{module.__name__}.{name}"]
            if inspect.isclass(what) and not getattr(what, "_is_protocol", False):
                members = [(inner, member) for inner, member in vars(what).items() if not inner.startswith("_")]
                silent += [
                    f"{module.__name__}.{name}.{inner}"
                    for inner, member in members
                    if (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
                    and not member.__doc__
                ]
    assert [] == silent


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_below(path: Path) -> None:
    """Each file imports only its own module and modules of lower layers."""
    room = room_of(path)
    floor = next(number for number, rooms in enumerate(FLOORS) if room in rooms)
    below = {name for rooms in FLOORS[:floor] for name in rooms}
    assert set() == rooms_imported(path) - below - {room}


def test_a_client_imports_no_server() -> None:
    """No file of the client imports what only a server needs; its commands and MCP may not either."""
    imported = {room for path in MODULES if room_of(path) == "client" for room in rooms_imported(path)}
    assert set() == imported & {"issuer", "server", "stores", "verifier", "web"}


@pytest.mark.parametrize("room", sorted(PURE))
def test_the_core_imports_what_it_was_meant_to(room: str) -> None:
    """The core imports exactly these modules of ours, and no module for I/O, time or randomness."""
    path = ROOT / f"{room}.py"
    assert PURE[room] == rooms_imported(path)
    forbidden = IMPURE - ({"threading"} if room in SHARED_BY_THREADS else set())
    assert set() == {name.split(".")[0] for name in imports(path)} & forbidden
