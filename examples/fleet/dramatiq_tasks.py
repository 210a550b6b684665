"""Dramatiq: as with Celery.

dramatiq dramatiq_tasks
"""

import os

import dramatiq
from connections import books
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["BROKER_URL"]))


@dramatiq.actor(max_retries=8, min_backoff=1_000)
def fetch(account: str, path: str) -> None:
    """Fetch a page of an account. After an outage, or a lost connection that a person connects again, it is retried."""
    books(account).get(path).raise_for_status()
