"""Runs the core of the suite on each version of Python, or with the lowest versions of all dependencies.

python -m tests.release.pythons [--oldest | --here] [VERSION …] [-- pytest arguments]

uv finds or downloads each Python, makes a virtual environment for it in a temporary folder, and installs what
``requirements/dev.txt`` pins. A version that is not available is reported, and fails only if it was asked for by name.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.servers import redis

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
CORE = ("core", "model", "verifier", "web", "oauth", "client", "stores", "vault", "release")
"""The folders of tests that need neither a browser nor a proxy."""

_UV = str(Path(sys.executable).parent / "uv")


def run_tests(python: str, arguments: Sequence[str]) -> bool:
    """Run the core of the suite; return whether it passed."""
    tests = [f"tests/{name}" for name in CORE]
    command = [python, "-m", "pytest", "-q", "-n", "3", "--dist", "worksteal", *(arguments or tests)]
    environment = {"DAYPASS_TEST_REDIS_BIN": redis.EXECUTABLE, **os.environ}  # its wheel is not for each Python
    environment["CI"] = "false"  # proxies and poolers are missing where only this is run: those tests are skipped
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def install(version: str, folder: Path, *, oldest: bool) -> str | None:
    """Return an interpreter that has everything; None if this Python is not available.

    Raises:
        CalledProcessError: the requirements cannot be installed on it.
    """
    environment = folder / version
    made = subprocess.run([_UV, "venv", "--quiet", "--python", version, str(environment)], check=False, cwd=ROOT)
    if made.returncode != 0:
        return None
    requirements = "requirements/dev.txt"
    if oldest:
        requirements = str(folder / "oldest.txt")
        wanted = ["--group", "dev", "--all-extras", "--resolution", "lowest-direct", "--python-version", version]
        subprocess.run(
            [_UV, "pip", "compile", "--quiet", "pyproject.toml", *wanted, "-o", requirements], check=True, cwd=ROOT
        )
    python = str(environment / "bin" / "python")
    pip = [_UV, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*pip, "-r", requirements], check=True, cwd=ROOT)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], check=True, cwd=ROOT)
    return python


def main() -> int:
    """Try each version; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"by default {' '.join(VERSIONS)}")
    parser.add_argument("--oldest", action="store_true", help="with the lowest versions of all dependencies")
    parser.add_argument("--here", action="store_true", help="on the Python that runs this, with what it has")
    given = sys.argv[1:]
    ours, arguments = (given, []) if "--" not in given else (given[: given.index("--")], given[given.index("--") + 1 :])
    options = parser.parse_args(ours)
    if options.here:
        return 0 if run_tests(sys.executable, arguments) else 1
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        for version in options.versions or (VERSIONS[:1] if options.oldest else VERSIONS):
            python = install(version, Path(folder), oldest=options.oldest)
            if python is None:
                outcomes[version] = "failed: not available" if options.versions else "not available here"
            else:
                outcomes[version] = "passed" if run_tests(python, arguments) else "failed"
    for version, outcome in outcomes.items():
        sys.stdout.write(f"Python {version}: {outcome}\n")
    return 1 if any(outcome.startswith("failed") for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
