"""The page for operators, done by a new operator: every command of its first hour, in order, in a clean folder."""

import re
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ..server.processes import PATIENCE, environment

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
COMMANDS = re.findall(r"^\$ (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_command_of_the_first_hour_works(tmp_path: Path) -> None:
    """None fails, the service ends cleanly, and what the page says is true: a new password ends the sessions."""
    for program in ("curl", "openssl", "sqlite3"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    lines = [command.replace("8000", str(port)) for command in COMMANDS]
    marked = (f"printf '\\n@@@\\n'\n{line}" for line in lines)
    script = "\n".join(["set -euo pipefail -m", *marked])
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=tmp_path,
        env=environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    log = (tmp_path / "service.log").read_text() if (tmp_path / "service.log").exists() else ""
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}\n{log}"
    said = done.stdout.split("@@@\n")[1:]
    shown = dict(zip(lines, said, strict=True))
    assert "store\tsqlite:///daypass.db\tdaypass.toml" in shown["daypass config"]
    listed = [text for line, text in zip(lines, said, strict=True) if line.startswith("daypass session list")]
    assert [True, False] == [bool(text.strip()) for text in listed]
    assert "ada@example.com\tada" in shown["daypass user list"]
    assert f"Daypass is ready at http://127.0.0.1:{port}" in log
    assert {"daypass.db", "backup.db", "secret", "daypass.toml"} <= {each.name for each in tmp_path.iterdir()}
    assert 0o600 == (tmp_path / "secret").stat().st_mode & 0o777
