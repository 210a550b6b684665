"""The rights that docs/fleet.md gives the vault's database user are enough, and protect the rows as it says."""

import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis

from daypass import ConfigurationError
from daypass.client.storage.postgres import TABLE
from daypass.client.vault import State, Vault

from ..servers import redis as redis_servers

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
SECRET = secrets.token_hex(32)


def used(vault: Vault) -> None:
    """Put, list, show, seal again and remove a connection."""
    vault.put("books", "tenant-42", refresh_token="first")
    assert [("books", "tenant-42", State.LIVE)] == [(c.provider, c.name, c.state) for c in vault.connections()]
    assert 0 == vault.rewrap().failed
    assert not vault.remove("books", "tenant-42").revoked
    assert vault.show("books", "tenant-42") is None
    vault.close()


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


def test_grants_are_enough_and_needed(postgres_url: str) -> None:
    """With the page's statements a user can do all that a vault does; before them, not even put."""
    (statements,) = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    user, password = f"vault{secrets.token_hex(4)}", secrets.token_hex()
    create, grant = statements.replace("vault", user).replace("a long one", password).strip().splitlines()
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(TABLE)
        owner.execute(create)
        schema = owner.execute("SELECT current_schema()").fetchone()
        owner.execute(f"GRANT USAGE ON SCHEMA {schema and schema[0]} TO {user}")
        url = as_user(postgres_url, user, password)
        with pytest.raises(ConfigurationError, match="closed to this user"):
            Vault(url, secret=SECRET).put("books", "tenant-42", refresh_token="first")
        owner.execute(grant)
        used(Vault(url, secret=SECRET))


def test_redis_acl_is_enough() -> None:
    """The page's user of Redis can do all that a vault does, and read no other key."""
    (rule,) = re.findall(r"`(ACL SETUSER [^`]*)`", PAGE)
    password = secrets.token_hex()
    with redis_servers.Server() as server:
        server.client.execute_command(*rule.replace("…", password).split())
        url = as_user(server.url, "vault", password)
        used(Vault(url, secret=SECRET))
        with redis.Redis.from_url(url) as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.get("daypass:other")


def test_rows_of_another_name_or_secret_open_nothing(postgres_url: str) -> None:
    """A sealed text that is moved to another row, or read with another secret, is refused without a word of it."""
    vault = Vault(postgres_url, secret=SECRET)
    vault.put("books", "a", refresh_token="token-of-a")
    vault.put("books", "b", refresh_token="token-of-b")
    with psycopg.connect(postgres_url, autocommit=True) as thief:
        rows = thief.execute("SELECT * FROM daypass_connection").fetchall()
        assert "token-of" not in str(rows)
        thief.execute(
            "UPDATE daypass_connection SET sealed = (SELECT sealed FROM daypass_connection WHERE key = 'books/a') "
            "WHERE key = 'books/b'"
        )
    for text, storage in (
        ("moved", vault.connection("books", "b")),
        ("another secret", Vault(postgres_url, secret=secrets.token_hex(32)).connection("books", "a")),
    ):
        with pytest.raises(ConfigurationError) as caught:
            storage.load()
        assert "token-of" not in str(caught.value), text
    vault.close()
