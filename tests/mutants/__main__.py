"""Changes one operator, number or condition at a time, and runs the tests that have to notice.

python -m tests.mutants [--seconds N] [MODULE …]

Works on a copy of the source in a temporary folder. Prints each change that no test noticed, unless
``tests/mutants/reasons.toml`` says why none has to, and exits with 1 if there is one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")
MODULES = {
    "rotation": ("rotation.py", "core/test_rotation.py model/test_promises.py"),
    "refresh_token": ("refresh_token.py", "core/test_refresh_token.py"),
    "access_token": ("access_token.py", "core/test_access_token.py core/test_scope.py"),
    "old_tokens": ("old_tokens.py", "core/test_old_tokens.py"),
    "cookies": ("web/cookies.py", "web/test_cookies.py security/test_cookies.py web/test_endpoints.py"),
    "flows": ("flows.py", "model/test_flows.py core/test_issuer.py core/test_endings.py core/test_scope.py"),
    "replay": ("client/replay.py", "client/test_bodies.py client/test_requests.py client/test_adapters.py"),
}
"""Each module, and the tests that have to notice, the quickest first."""

SLOWEST = 120.0
"""Seconds after which a change counts as noticed: it made something hang."""


Outcomes = list[tuple[dict[str, Any], dict[str, Any] | None]]


def copied(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(source, folder / name)


def outcomes(name: str, folder: Path, seconds: float) -> Outcomes:
    """Return each change of a module and what came of it, None for those that there was no time for."""
    path, tests = MODULES[name]
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider " + " ".join(
        f"tests/{each}" for each in tests.split()
    )
    (folder / "mutants.toml").write_text(
        f'[cosmic-ray]\nmodule-path = "src/daypass/{path}"\ntimeout = {SLOWEST}\nexcluded-modules = []\n'
        f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    tool = [str(Path(sys.executable).parent / "cosmic-ray")]
    run = {"cwd": folder, "env": environment, "check": True}
    subprocess.run(["sh", "-c", command], **run, stdout=subprocess.DEVNULL)  # type: ignore[call-overload]  # the same for all
    subprocess.run([*tool, "init", "mutants.toml", "mutants.sqlite", "--force"], **run)  # type: ignore[call-overload]
    try:
        subprocess.run([*tool, "exec", "mutants.toml", "mutants.sqlite"], **run, timeout=seconds)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{name}: out of time\n")
    dumped = subprocess.run([*tool, "dump", "mutants.sqlite"], **run, capture_output=True, text=True)  # type: ignore[call-overload]
    return [tuple(json.loads(line)) for line in dumped.stdout.splitlines()]


def survivors(
    found: list[tuple[dict[str, Any], dict[str, Any] | None]], source: list[str]
) -> list[tuple[str, str, str]]:
    """Return the line, the operator and the diff of each change that no test noticed."""
    alive = []
    for item, result in found:
        if result is not None and result["test_outcome"] == "survived":
            (mutation,) = item["mutations"]
            line = source[mutation["start_pos"][0] - 1].strip()
            alive.append((line, mutation["operator_name"], result["diff"]))
    return alive


def examine(name: str, seconds: float) -> bool:
    """Change one module; return whether each change that was tried was noticed, or has its reason."""
    reasons = tomllib.loads((ROOT / "tests/mutants/reasons.toml").read_text(encoding="utf-8")).get(name, [])
    excused = {(each["line"], each["change"]) for each in reasons}
    with tempfile.TemporaryDirectory(prefix="daypass-mutants-") as place:
        folder = Path(place)
        copied(folder)
        source = (folder / "src/daypass" / MODULES[name][0]).read_text(encoding="utf-8").splitlines()
        found = outcomes(name, folder, seconds)
    alive = survivors(found, source)
    counts = Counter("not tried" if result is None else str(result["test_outcome"]) for _, result in found)
    new = [each for each in alive if each[:2] not in excused]
    sys.stdout.write(f"{name}: {dict(counts)}, {len(alive) - len(new)} with a reason, {len(new)} without\n")
    for line, operator, diff in new:
        changed = [each for each in diff.splitlines() if each[:1] in "+-" and each[:3] not in ("+++", "---")]
        sys.stdout.write(f"  {operator}: {line}\n" + "".join(f"      {each}\n" for each in changed))
    sys.stdout.flush()
    return not new


def main() -> int:
    """Examine the modules that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"by default all: {', '.join(MODULES)}")
    parser.add_argument("--seconds", type=float, default=6 * 3600, help="for each module")
    options = parser.parse_args()
    unknown = set(options.modules) - MODULES.keys()
    if unknown:
        parser.error(f"unknown module {', '.join(unknown)}: choose from {', '.join(MODULES)}")
    passed = [examine(name, options.seconds) for name in options.modules or MODULES]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
