"""Version 0.1 as it was: its modules, from this repository's history."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAST_OF_0_1 = "Wait for a program, and watch a store, in one way in the tests"
"""The subject of the last commit before the work on 0.2; it stays the same if the history is rewritten."""


def is_known() -> bool:
    """Return whether the history goes back to version 0.1; a source distribution and a shallow clone do not have it."""
    try:
        return bool(_commit())
    except (OSError, subprocess.SubprocessError):
        return False


def unpacked(folder: Path) -> Path:
    """Return the folder with the packages of version 0.1."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", _commit(), "src/daypass"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def _commit() -> str:
    return _git("rev-list", "-1", "--fixed-strings", f"--grep={LAST_OF_0_1}", "HEAD").decode().strip()


def _git(*arguments: str) -> bytes:
    git = [shutil.which("git") or "git", "-c", "safe.directory=*"]  # another user may own the clone
    return subprocess.run([*git, *arguments], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
