"""One version everywhere, and workflows that publish only what was tested."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import daypass
from tests.release import pythons, tag

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def steps() -> list[dict[str, Any]]:
    return [step for path in WORKFLOWS for job in workflow(path)["jobs"].values() for step in job.get("steps", [])]


def test_there_is_one_version() -> None:
    """``js/package.json`` has the version; Python's metadata and the npm lock file have the same."""
    assert ["version"] == PROJECT["dynamic"]
    lock = json.loads((ROOT / "js" / "package-lock.json").read_text(encoding="utf-8"))
    assert {tag.version()} == {lock["version"], lock["packages"][""]["version"], daypass.__version__}


def test_the_changelog_begins_with_what_is_next_or_was_just_released() -> None:
    """Its first section is "Unreleased" or the version of this tree."""
    assert tag.releases()[0] in ("Unreleased", tag.version())


def test_a_tag_that_is_not_the_version_is_refused() -> None:
    """The release stops before anything is published."""
    assert any("v9.9.9" in problem for problem in tag.problems("v9.9.9"))


def test_each_supported_python_is_declared_and_tested() -> None:
    """The classifiers, the workflow and `make pythons` name the same versions."""
    declared = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    tested = workflow(ROOT / ".github/workflows/test.yml")["jobs"]["pythons"]["strategy"]["matrix"]["python"]
    assert list(pythons.VERSIONS) == declared == tested
    assert f">={declared[0]}" == PROJECT["requires-python"]


def test_actions_are_pinned_by_commit() -> None:
    """A tag of a third party's action can be moved; a commit cannot."""
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [] == [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(path: Path) -> None:
    """No job gets more rights than it names, and no step keeps the token of the checkout."""
    assert {"contents": "read"} == workflow(path)["permissions"]
    for step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_publishing_needs_no_stored_secret() -> None:
    """PyPI and npm trust the workflow itself (OpenID Connect); there is no token to steal."""
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    jobs = workflow(ROOT / ".github/workflows/release.yml")["jobs"]
    assert ["pypi", "npm", "github"] == [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]


def test_each_command_of_a_workflow_is_a_target_of_the_makefile() -> None:
    """What the workflows run, you can run."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [step.get("run", "") for step in steps()]
    used = {target for command in commands for target in re.findall(r"\bmake ([a-z]+)", command)} - {"python"}
    assert used
    assert set() == used - targets


def test_a_release_adds_its_site_to_those_before(tmp_path: Path) -> None:
    """The first release makes the branch; each later one keeps what is there, and may run again."""
    in_shell("git init --quiet --bare owner/hub", tmp_path, tmp_path)
    take, publish = (step["run"] for step in steps() if "build/gh-pages\n" in step.get("run", ""))
    for run, version in enumerate(["0.2", "0.3", "0.3"]):
        runner = tmp_path / f"runner-{run}"
        runner.mkdir()
        in_shell(take, runner, tmp_path)
        (runner / "build" / "gh-pages" / version).write_text("a site")
        in_shell(publish, runner, tmp_path)
    assert ["0.2", "0.3"] == in_shell("git -C owner/hub ls-tree --name-only gh-pages", tmp_path, tmp_path).split()


def in_shell(script: str, folder: Path, server: Path) -> str:
    """Run a step as GitHub's runner does; return what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(server),
        "GITHUB_SERVER_URL": f"file://{server}",
        "GITHUB_REPOSITORY": "owner/hub",
        "GITHUB_REF_NAME": "v0.2.0",
    }
    command = ["/bin/bash", "-e", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    """They have all of the newest section, and nothing of an older one."""
    changelog = "# Changelog\n\nNewest first.\n\n## 0.3.0\n\n### Added\n\n- A thing.\n\n## 0.2.0\n\n- Another.\n"
    assert "### Added\n\n- A thing.\n" == tag.notes(changelog)
