"""The loop of a client program: reads how many requests to send at once, and prints what became of them."""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor


def blocking(ask) -> None:
    """Send requests from threads; ``ask`` sends one and returns its status."""

    def outcome(_):
        try:
            return ask()
        except Exception as error:
            return type(error).__name__

    for line in sys.stdin:
        with ThreadPoolExecutor(int(line)) as threads:
            print(json.dumps(list(threads.map(outcome, range(int(line))))), flush=True)


async def awaiting(ask) -> None:
    """Send requests from tasks."""

    async def outcome():
        try:
            return await ask()
        except Exception as error:
            return type(error).__name__

    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await asyncio.gather(*(outcome() for _ in range(int(line))))), flush=True)
