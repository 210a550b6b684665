"""Celery: the workers of all machines share each connection, and one of them refreshes it.

celery --app celery_tasks worker --concurrency 8
"""

import os

import httpx2
from celery import Celery
from connections import books

from daypass import RefreshUnavailable

app = Celery("celery_tasks", broker=os.environ["BROKER_URL"])


@app.task(autoretry_for=(RefreshUnavailable, httpx2.TransportError), retry_backoff=True, max_retries=8)
def fetch(account: str, path: str) -> None:
    """Fetch a page. An outage is tried again later; `LoginRequired` is not, because a person has to connect again."""
    books(account).get(path).raise_for_status()
