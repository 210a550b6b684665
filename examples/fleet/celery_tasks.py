"""Celery: the workers of all machines share each connection, and one of them refreshes it.

celery --app celery_tasks worker --concurrency 8
"""

import os

import httpx2
from celery import Celery
from connections import books

from daypass import LoginRequired, RefreshUnavailable, StoreError

app = Celery("celery_tasks", broker=os.environ["BROKER_URL"])


LATER = (RefreshUnavailable, StoreError, httpx2.TransportError, LoginRequired)
"""Outages; and a lost connection, which works again as soon as a person has connected the account."""


@app.task(autoretry_for=LATER, retry_backoff=True, max_retries=8)
def fetch(account: str, path: str) -> None:
    """Fetch a page of an account."""
    books(account).get(path).raise_for_status()
