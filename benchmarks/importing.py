"""What ``import daypass`` costs over the interpreter with joserfc."""

import statistics
import subprocess
import sys
import time

from measure import head, row

ROUNDS = 15


def main() -> None:
    head("Importing (ms)")
    taken: dict[str, list[float]] = {"import joserfc.jwt, joserfc.jwe": [], "import daypass": []}
    for _ in range(ROUNDS):
        for program, values in taken.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            values.append((time.perf_counter() - started) * 1000)
    floor, ours = (statistics.median(values) for values in taken.values())
    row("import daypass", f"{ours:.0f}", f"{floor:.0f}", f"+{ours - floor:.0f} ms", "≤ 60 ms over it")


if __name__ == "__main__":
    main()
