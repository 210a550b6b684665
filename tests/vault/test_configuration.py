"""The file of providers: what it may contain, what is refused; no secret is in it or in an error."""

from pathlib import Path

import pytest

from daypass.client.vault.configuration import read_providers
from daypass.duration import DAY
from daypass.errors import ConfigurationError

SECRET = "s3cr3t-of-a-client"


def write(folder: Path, text: str) -> Path:
    path = folder / "providers.toml"
    path.write_text(text)
    return path


def test_a_known_provider_needs_a_client_and_its_secret(tmp_path: Path) -> None:
    """The preset's endpoints and lifetimes are used; the secret comes from a variable or a file."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o600)
    path = write(
        tmp_path,
        """
        [xero]
        client_id = "app"
        client_secret_env = "XERO_SECRET"
        scope = "offline_access"

        [books]
        preset = "quickbooks"
        client_id = "app"
        client_secret_file = "secret"
        idle_ttl = "10d"

        [hubspot]
        client_id = "app"
        client_secret_env = "XERO_SECRET"
        """,
    )
    found = read_providers(path, {"XERO_SECRET": SECRET})
    assert ["<OAuth https://identity.xero.com/connect/token client_id=app>"] == [repr(found["xero"])]
    assert ("offline_access", 60 * DAY) == (found["xero"].scope, found["xero"].idle_ttl)
    assert (10 * DAY, None) == (found["books"].idle_ttl, found["hubspot"].idle_ttl)
    assert [[SECRET]] * 3 == [list(each._client.secrets) for each in found.values()]


def test_any_other_server_needs_an_issuer_or_an_endpoint(tmp_path: Path) -> None:
    """It is named as its operator likes; ``never`` is for refresh tokens that do not die of disuse."""
    path = write(
        tmp_path,
        """
        [acme]
        issuer = "https://id.acme.example"
        client_id = "reports"
        parameters = {audience = "https://api.acme.example"}

        [own]
        token_endpoint = "https://login.example.com/token"
        client_id = "reports"
        idle_ttl = "never"
        """,
    )
    found = read_providers(path, {})
    assert ({"audience": "https://api.acme.example"}, 14 * DAY) == (found["acme"].parameters, found["acme"].idle_ttl)
    assert found["own"].idle_ttl is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml", "cannot be read"),
        ("xero = 1", r"\[xero\]: expected a table"),
        ("[xero]\n", r"\[xero\]: client_id is missing"),
        ("[nobody]\nclient_id = 'app'", "Daypass does not know 'nobody': give issuer or token_endpoint, or preset"),
        ("[x]\npreset = 'nobody'\nclient_id = 'app'", "does not know 'nobody'"),
        ("[xero]\nclient_id = 'app'\nclient_secret = 's3cr3t-of-a-client'", "write client_secret_file or"),
        ("[xero]\nclient_id = 'app'\nclient_secret_env = 'NOT_SET'", "the variable NOT_SET is not set"),
        ("[xero]\nclient_id = 'app'\nclient_secret_file = 'missing'", "missing cannot be read: No such file"),
        ("[xero]\nclient_id = 'app'\nclient_secret_env = 'A'\nclient_secret_file = 'b'", "give one of"),
        ("[quickbooks]\nclient_id = 'app'", "client_secret is missing: write client_secret_file"),
        ("[xero]\nclient_id = 'app'\nscpoe = 'a'", "unknown option 'scpoe': did you mean 'scope'"),
        ("[xero]\nclient_id = 7", "invalid client_id: expected text"),
        ("[xero]\nclient_id = 'app'\nrepeats = 'yes'", "invalid repeats: expected true or false"),
        ("[xero]\nclient_id = 'app'\nidle_ttl = 'long'", "invalid duration 'long'"),
        ("[auth0]\nclient_id = 'app'", r"\[auth0\]: url is missing"),
        ("[x]\nissuer = 'http://a.example'\nclient_id = 'app'", "plain HTTP"),
    ],
)
def test_a_file_that_cannot_work_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """The message names the file, the table, the option and what to write; and no secret."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        read_providers(write(tmp_path, text), {"A": SECRET})
    assert "providers.toml" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """One line, with the path and the reason."""
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file or directory"):
        read_providers(tmp_path / "none.toml")


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The message has the command to type."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o644)
    path = write(tmp_path, "[xero]\nclient_id = 'app'\nclient_secret_file = 'secret'")
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_providers(path)
