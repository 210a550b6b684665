"""A vault: the tokens of many connections to other services, in one PostgreSQL or Redis, for all machines.

    vault = Vault("postgresql://vault@db.example.com/app", secret=os.environ["DAYPASS_VAULT_SECRET"])
    auth = DaypassAuth("https://api.xero.com", strategy=xero("app"), storage=vault.connection("xero", "tenant-42"))

The commands of ``daypass vault --help`` do the same.
"""

from daypass.client.vault.async_vault import AsyncVault
from daypass.client.vault.connection import Connection, State
from daypass.client.vault.events import VaultEvent, VaultEventKind
from daypass.client.vault.keeper import Kept
from daypass.client.vault.vault import Removed, Rewrapped, Vault

__all__ = [
    "AsyncVault",
    "Connection",
    "Kept",
    "Removed",
    "Rewrapped",
    "State",
    "Vault",
    "VaultEvent",
    "VaultEventKind",
]
