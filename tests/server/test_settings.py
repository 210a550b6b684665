"""The settings of the service: from where each comes, and everything that is wrong with them at once."""

import json
from pathlib import Path

import pytest

from daypass import ConfigurationError
from daypass.server import settings, sources
from daypass.server.configuration import Configuration

from .processes import SECRET, daypass, untouched

FILE = """
store = "sqlite:///from-file.db"
issuer = "https://auth.example.com"
port = 8001
access_ttl = "5m"
trusted_proxies = ["10.0.0.0/8", "unix"]
allow_insecure = true
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without what configures Daypass."""
    monkeypatch.chdir(tmp_path)
    for name in ("DAYPASS_STORE", "DAYPASS_PORT", "DAYPASS_SECRET", "DAYPASS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refusal(**options: object) -> list[str]:
    """Return what reading the settings is refused with, line by line."""
    with pytest.raises(ConfigurationError) as refused:
        settings.read(options)
    return str(refused.value).splitlines()


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value says where it came from; a value that was not given is the default."""
    (folder / "daypass.toml").write_text(FILE)
    monkeypatch.setenv("DAYPASS_PORT", "8002")
    monkeypatch.setenv("DAYPASS_ACCESS_TTL", "6m")
    shown = settings.read({"port": "8003", "json": True}).shown()
    assert (8003, "--port") == shown["port"]
    assert ("6m", "DAYPASS_ACCESS_TTL") == shown["access_ttl"]
    assert (["10.0.0.0/8", "unix"], "daypass.toml") == shown["trusted_proxies"]
    assert (True, "daypass.toml") == shown["allow_insecure"]
    assert ("30d", "default") == shown["idle_ttl"]


def test_dpop_is_switched_on(folder: Path) -> None:
    """``dpop`` has a replay cache, memory or the store; other words are refused, and a cache without ``dpop`` too."""
    assert Configuration.of(settings.read({}).settings).dpop is None
    for wanted in ("memory", "store"):
        (folder / "daypass.toml").write_text(f'dpop = true\ndpop_replay_cache = "{wanted}"')
        dpop = Configuration.of(settings.read({}).settings).dpop
        assert dpop is not None
        assert wanted == dpop.replay_cache
    (folder / "daypass.toml").write_text('dpop_replay_cache = "redis"')
    assert "write memory or store" in refusal()[0]
    (folder / "daypass.toml").write_text('dpop_replay_cache = "store"')
    assert "write dpop = true" in refusal()[0]


def test_device_bound_sessions_need_tokens_that_live_long_enough(folder: Path) -> None:
    """The setting is refused with access tokens that browsers could not keep up with."""
    (folder / "daypass.toml").write_text('device_bound = true\naccess_ttl = "1m"')
    assert "device_bound needs an access_ttl of at least 2m" in refusal()[0]
    assert settings.read({"access_ttl": "2m"}).settings.device_bound


def test_another_file_is_read_where_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option, or by the environment; then `daypass.toml` is not looked at."""
    (folder / "daypass.toml").write_text("nonsense = 1")
    (folder / "other.toml").write_text("port = 1234")
    assert (1234, "other.toml") == settings.read({"config": "other.toml"}).shown()["port"]
    monkeypatch.setenv("DAYPASS_CONFIG", "other.toml")
    assert 1234 == settings.read({}).settings.port
    assert ["the configuration file gone.toml cannot be read: No such file or directory"] == refusal(config="gone.toml")


def test_everything_that_is_wrong_is_said_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line says what is wrong, what to write, and where the value comes from."""
    (folder / "daypass.toml").write_text('prot = 80\nidle_ttl = 15\nsecret = "x"\nstore = 7\n[limits]\nlogin = 1\n')
    monkeypatch.setenv("DAYPASS_PROXY_HEADER", "via")
    monkeypatch.setenv("DAYPASS_ACCES_TTL", "5m")
    first, *lines = refusal(port="80x", trusted_proxies="nginx")
    assert f"{len(lines)} settings cannot be used:" == first
    for told in (
        "unknown environment variable 'DAYPASS_ACCES_TTL': did you mean 'DAYPASS_ACCESS_TTL'?",
        "invalid port '80x': expected a number from 0 to 65535",
        "invalid proxy_header 'via': write x-forwarded or forwarded (DAYPASS_PROXY_HEADER)",
        "invalid trusted_proxies entry 'nginx'",
        "unknown setting 'prot': did you mean 'port'? (in daypass.toml)",
        "idle_ttl: invalid duration 15: write a number and a unit in quotes: '90s' or '15m' (idle_ttl in daypass.toml)",
        "store: invalid value 7: write text, in quotes (store in daypass.toml)",
        "secret cannot be in daypass.toml: write secret_file = 'FILE' there, or set DAYPASS_SECRET",
        "unknown setting 'limits': ",
    ):
        assert 1 == sum(told in line for line in lines), told


def test_a_file_that_is_no_toml_is_refused(folder: Path) -> None:
    """The line says where it stops being TOML."""
    (folder / "daypass.toml").write_text("port = \n")
    (told,) = refusal()
    assert told.startswith("daypass.toml is not TOML: ")
    assert "line 1" in told


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hunter2@db/app", "postgresql://app:(hidden)@db/app"),
        ("postgresql://app@db/app?password=hunter2&timeout=5s", "postgresql://app@db/app?password=(hidden)&timeout=5s"),
        ("redis://:hunter2@db:6379/0", "redis://:(hidden)@db:6379/0"),
    ],
)
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    """Neither the master secret nor a password in a URL."""
    monkeypatch.setenv("DAYPASS_SECRET", SECRET)
    found = settings.read({"store": url}).shown()
    assert (shown, "--store") == found["store"]
    assert (settings.HIDDEN, "DAYPASS_SECRET") == found["secret"]
    assert "hunter2" not in repr(found)
    assert SECRET not in repr(settings.read({}))


def test_the_store_of_other_commands_is_the_service_s(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that only need the store find it in the same places, whatever else is there."""
    assert "sqlite:///daypass.db" == sources.store_url({})
    (folder / "daypass.toml").write_text(FILE)
    assert "sqlite:///from-file.db" == sources.store_url({"store": None})
    monkeypatch.setenv("DAYPASS_STORE", "memory:")
    assert "memory:" == sources.store_url({})
    assert "sqlite:///x.db" == sources.store_url({"store": "sqlite:///x.db"})


def test_daypass_config(folder: Path) -> None:
    """The command prints the settings in effect and their sources, for programs too; it creates nothing."""
    (folder / "daypass.toml").write_text(FILE)
    given = {"DAYPASS_SECRET": SECRET}
    with untouched(folder):
        plain = daypass("config", "--port", "9000", folder=folder, given=given)
        as_json = daypass("config", "--json", folder=folder, given=given)
        refused = daypass("config", "--port", "x", "--access-ttl", "x", folder=folder)
    assert (0, "") == (plain.returncode, plain.stderr)
    lines = plain.stdout.splitlines()
    assert "port\t9000\t--port" in lines
    assert "trusted_proxies\t10.0.0.0/8 unix\tdaypass.toml" in lines
    assert SECRET not in plain.stdout + as_json.stdout
    assert {"value": 8001, "from": "daypass.toml"} == json.loads(as_json.stdout)["port"]
    assert (1, "daypass: 2 settings cannot be used:") == (refused.returncode, refused.stderr.splitlines()[0])
