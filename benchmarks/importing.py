"""What imports cost over the library that each needs; with the bytecode written."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from measure import head, row

ROUNDS = 15
PAIRS = (
    ("import daypass", "import joserfc.jwt, joserfc.jwe", 60),
    ("from daypass import *", "import joserfc.jwt, joserfc.jwe", 60),
    ("import daypass.client.httpx", "import httpx2", 25),
    ("import daypass.client.requests", "import requests", 25),
    ("import daypass.client.aiohttp", "import aiohttp", 25),
    ("import daypass.cli, daypass.client.commands", "pass", 120),
)


def main() -> None:
    head("Importing (ms)")
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        for ours, floor, budget in PAIRS:
            taken: dict[str, list[float]] = {ours: [], floor: []}
            for _ in range(ROUNDS):
                for program, values in taken.items():
                    started = time.perf_counter()
                    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
                    values.append((time.perf_counter() - started) * 1000)
            first, second = (statistics.median(values) for values in taken.values())
            row(
                ours,
                f"{first:.0f}",
                f"{second:.0f}",
                f"+{first - second:.0f} ms",
                f"≤ {budget} ms over it",
                met=first - second <= budget,
            )


if __name__ == "__main__":
    main()
