"""Accounts that the version before stored by another spelling of their name are found as before."""

import sqlite3
from pathlib import Path

from daypass.account_steps import AddAccount, FindAccount
from daypass.stores.sqlite import SqliteStore
from daypass.testing import START
from daypass.user import Account, fold_name

DECOMPOSED = "rene\u0301"


def test_names_of_the_version_before(tmp_path: Path) -> None:
    """A name that was stored decomposed, as it was typed then, still finds its account when it is typed so."""
    account = Account("subject-1", "rene@example.com", DECOMPOSED, "hash", START)
    store = SqliteStore(tmp_path / "accounts.db")
    assert store.perform_account(AddAccount(account)) is True
    with sqlite3.connect(tmp_path / "accounts.db") as connection:  # as version 0.1 folded it
        connection.execute("UPDATE daypass_accounts SET folded_username = ?", (DECOMPOSED.casefold(),))
    connection.close()
    assert account == store.perform_account(FindAccount(DECOMPOSED))
    store.close()


def test_folding_is_stable() -> None:
    """Folding folded text changes nothing, also where case and compatibility forms meet."""
    for name in ("\u1e9e", "\u0345\u03b1", "\ufb03", "\u212b", "\u0130", "\u00df", "\uff21\uff22", " a "):
        assert fold_name(name) == fold_name(fold_name(name))
