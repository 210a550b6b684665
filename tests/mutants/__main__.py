"""Changes one operator, number or condition at a time, and runs the tests that have to notice.

python -m tests.mutants [--seconds N] [--seed N] [MODULE …]

Works on a copy of the source in a temporary folder. Prints each change that no test noticed, unless
``tests/mutants/reasons.toml`` says why none has to, and exits with 1 if there is one. The changes come in random order,
so what a short run has tried is a fair sample.

Each change is tried in a forked child of a process that has loaded pytest and all third-party libraries, but nothing of
Daypass: that takes a fraction of the time of a new process.
"""

import argparse
import compileall
import contextlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[2]
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
"""Seconds for the tests of one change, or five times as long as they take without any change, if that is longer."""

OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
OURS = ("daypass", "tests", "conftest", "__main__")


@dataclass(frozen=True)
class Change:
    """One change of a module: its operator, the line that it changes, and the whole source with it."""

    operator: str
    line: str
    source: str


def changes(source: str) -> Iterator[Change]:
    """Yield every change of a module that cosmic-ray knows."""
    tree = get_ast(source)
    for name in operator_names():
        if not get_operator(name).arguments():
            operator = get_operator(name)()
            starts = [start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
            for number, (row, _) in enumerate(starts):
                yield Change(name, source.splitlines()[row - 1].strip(), mutate_code(source, operator, number))


def copied(folder: Path, module: str) -> Path:
    """Copy the package, all but one module compiled; return that module."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "src" / "daypass" / module
    compileall.compile_dir(folder / "src", quiet=1)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    return path


def run_tests(tests: Sequence[str], limit: float, report: int | None = None) -> int | None:
    """Run tests in a forked child; return its exit status, None if it took longer than ``limit`` seconds.

    Args:
        tests: files in ``tests``.
        limit: for all of them.
        report: where the child writes which modules it has loaded.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setpgid(0, 0)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            status = int(pytest.main([*OPTIONS, *(f"tests/{each}" for each in tests)]))
            if report is not None:
                os.write(report, "\n".join(sys.modules).encode())
        finally:
            os._exit(status)
    for _ in range(int(limit / 0.02)):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def prepare(tests: Sequence[str]) -> float:
    """Load what the tests need besides Daypass and themselves; return how many seconds a change may take.

    Raises:
        SystemExit: the tests fail without any change.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as report:
        if run_tests(tests, 3600, report.fileno()) != 0:
            sys.exit(f"the tests fail without any change: {' '.join(tests)}")
        report.seek(0)
        names = report.read().decode().split()
    for name in names:
        if name.partition(".")[0] not in OURS:
            with contextlib.suppress(Exception):  # some only work in a certain order, or not at all
                importlib.import_module(name)
    return max(SLOWEST, 5 * (time.monotonic() - began))


def examine(name: str, seconds: float, seed: int) -> bool:
    """Change one module; return whether each change that was tried was noticed, or has its reason."""
    module, files = MODULES[name]
    tests = files.split()
    reasons = tomllib.loads((ROOT / "tests/mutants/reasons.toml").read_text(encoding="utf-8")).get(name, [])
    excused = {(each["line"], each["change"]) for each in reasons}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="daypass-mutants-") as folder:
        path = copied(Path(folder), module)
        source = path.read_text(encoding="utf-8")
        sys.path.insert(0, str(path.parents[len(Path(module).parts)]))
        os.environ["PYTHONPATH"] = sys.path[0]
        limit = prepare(tests)
        todo = sorted(changes(source), key=lambda each: (each.operator, each.source))
        random.Random(seed).shuffle(todo)
        until = time.monotonic() + seconds
        for each in todo:
            if time.monotonic() > until:
                counts["not tried"] += 1
                continue
            path.write_text(each.source, encoding="utf-8")
            status = run_tests(tests, limit)
            if status is None:
                counts["noticed, by taking too long"] += 1
            elif status != 0:
                counts["noticed"] += 1
            elif (each.line, each.operator) in excused:
                counts["with a reason"] += 1
            else:
                counts["survived"] += 1
                show(each, source)
        del sys.path[0]
    sys.stdout.write(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}\n")
    sys.stdout.flush()
    return counts["survived"] == 0


def show(change: Change, source: str) -> None:
    """Print a change that no test noticed."""
    lines = ndiff(source.splitlines(), change.source.splitlines())
    changed = [line for line in lines if line[:1] in "+-"]
    sys.stdout.write(f"  {change.operator}: {change.line}\n" + "".join(f"      {line}\n" for line in changed))
    sys.stdout.flush()


def main() -> int:
    """Examine the modules that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"by default all: {', '.join(MODULES)}")
    parser.add_argument("--seconds", type=float, default=6 * 3600, help="for each module")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    options = parser.parse_args()
    unknown = set(options.modules) - MODULES.keys()
    if unknown:
        parser.error(f"unknown module {', '.join(unknown)}: choose from {', '.join(MODULES)}")
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    passed = [examine(name, options.seconds, options.seed) for name in options.modules or MODULES]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
