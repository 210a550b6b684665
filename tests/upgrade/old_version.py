"""Version 0.1 as it was: its modules, from this repository's history."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAST_OF_0_1 = "Wait for a program, and watch a store, in one way in the tests"
"""The subject of the last commit before the work on 0.2; it stays the same if the history is written anew."""


def unpacked(folder: Path) -> Path:
    """Return the folder with the packages of version 0.1; skip the test where the history does not go back so far."""
    commit = _git("rev-list", "-1", "--fixed-strings", f"--grep={LAST_OF_0_1}", "HEAD").decode().strip()
    if not commit:
        pytest.skip("the history of git does not go back to version 0.1: clone it whole (git fetch --unshallow)")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "src/daypass"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def _git(*arguments: str) -> bytes:
    git = [shutil.which("git") or "git", "-c", "safe.directory=*"]  # whoever owns the clone
    try:
        return subprocess.run([*git, *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no history of git here, and so no version 0.1")
