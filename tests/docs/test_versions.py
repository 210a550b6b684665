"""The site of each version stays readable when newer ones are added."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def put(built: Path, folder: Path, version: str) -> "subprocess.CompletedProcess[str]":
    """Run the command that `make docs-version` runs."""
    command = [sys.executable, str(ROOT / "site" / "versions.py"), str(built), str(folder), version]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def built(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "index.html").write_text(text)
    return folder


def test_versions_are_listed_newest_first(tmp_path: Path) -> None:
    """Each version keeps its folder, and the first page leads to the newest: by number, not by letters."""
    for version in ("0.10", "0.9"):
        assert "" == put(built(tmp_path / f"of-{version}", version), tmp_path / "all", version).stderr
    listed = json.loads((tmp_path / "all" / "versions.json").read_text())
    assert [("0.10", ["latest"]), ("0.9", [])] == [(each["version"], each["aliases"]) for each in listed]
    assert "0.9" == (tmp_path / "all" / "0.9" / "index.html").read_text()
    assert 'url=0.10/"' in (tmp_path / "all" / "index.html").read_text()


def test_a_version_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A page that a later build does not have any more is gone."""
    first = built(tmp_path / "first", "first")
    (first / "gone.html").touch()
    put(first, tmp_path / "all", "0.2")
    put(built(tmp_path / "second", "second"), tmp_path / "all", "0.2")
    assert ["index.html"] == [each.name for each in (tmp_path / "all" / "0.2").iterdir()]


@pytest.mark.parametrize("version", ["0.2.1", "latest", "../0.2"])
def test_an_invalid_version_changes_nothing(tmp_path: Path, version: str) -> None:
    """The error says what to write."""
    done = put(built(tmp_path / "built", ""), tmp_path / "all", version)
    assert f"invalid version '{version}': write the major and the minor version, such as 0.2" in done.stderr
    assert not (tmp_path / "all").exists()
