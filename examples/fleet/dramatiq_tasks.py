"""Dramatiq: as with Celery.

dramatiq dramatiq_tasks
"""

import os

import dramatiq
from connections import books
from dramatiq.brokers.redis import RedisBroker

from daypass import LoginRequired

dramatiq.set_broker(RedisBroker(url=os.environ["BROKER_URL"]))


@dramatiq.actor(max_retries=8, min_backoff=1_000, throws=LoginRequired)
def fetch(account: str, path: str) -> None:
    """Fetch a page. An outage is tried again later; `LoginRequired` is not, because a person has to connect again."""
    books(account).get(path).raise_for_status()
