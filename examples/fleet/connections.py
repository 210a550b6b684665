"""What all recipes of this folder share: one vault, and a client for each account of a service called Books."""

import os
from functools import lru_cache

import httpx2

from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.vault import Vault

BOOKS = OAuth(client_id=os.environ["BOOKS_CLIENT_ID"], token_endpoint=os.environ["BOOKS_TOKEN_URL"])

vault = Vault(os.environ["VAULT_URL"], secret=os.environ["DAYPASS_VAULT_SECRET"], providers={"books": BOOKS})


@lru_cache(1_000)
def auth_of(account: str) -> DaypassAuth:
    """Return what keeps an account's connection logged in; every process of every machine may have one."""
    return DaypassAuth(os.environ["BOOKS_URL"], strategy=BOOKS, storage=vault.connection("books", account))


@lru_cache(1_000)
def books(account: str) -> httpx2.Client:
    """Return a client that sends the account's access token."""
    return httpx2.Client(base_url=os.environ["BOOKS_URL"], auth=auth_of(account))
