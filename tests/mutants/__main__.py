"""Changes one operator, number or condition at a time, and runs the tests that have to notice.

python -m tests.mutants [--seconds N] [--seed N] [--jobs N] [MODULE …]

Prints each change that no test noticed, unless ``tests/mutants/reasons.toml`` says why none has to, and exits with 1 if
there is one, or a reason for a change that does not exist or that a test notices. The changes come in random order, so
what a short run has tried is a fair sample.
"""

import argparse
import os
import random
import subprocess
import sys
from collections import Counter
from difflib import ndiff

from hypothesis import Phase, settings

from .changes import Change, changes
from .reasons import MODULES, ROOT, reasons_of
from .trials import Outcome, Trials, Tried, run

TESTS = {
    "rotation": "core/test_rotation.py",
    "refresh_token": "core/test_refresh_token.py",
    "access_token": "core/test_access_token.py core/test_scope.py",
    "old_tokens": "core/test_old_tokens.py",
    "cookies": "web/test_cookies.py web/test_proxies.py security/test_cookies.py web/test_endpoints.py",
    "flows": "core/test_flows.py core/test_issuer.py core/test_endings.py core/test_scope.py core/test_clocks.py "
    "core/test_old_tokens.py core/test_key_life.py dpop/test_endpoints.py",
    "replay": "client/test_replay.py client/test_bodies.py client/test_requests.py client/test_adapters.py "
    "client/test_refresh.py client/test_session_auth.py client/test_contract.py dpop/test_clients.py",
}
"""The tests that have to notice a change of each module, the quickest first."""

NARROWED = {
    "flows": "not async and not sqlite",
    "replay": "not test_contract or TestAioHttp and another and redirect",
}
"""Which of them are enough, as for pytest's ``-k``: the flows are the same on every store and in both colours."""


class Examination:
    """What was found about the changes of one module."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._source = (ROOT / "src/daypass" / MODULES[name]).read_text(encoding="utf-8")
        self._counts: Counter[str] = Counter()
        self._reasons = reasons_of(name)
        self._unused = set(self._reasons)
        self._wrong = 0

    def examine(self, seconds: float, seed: int, jobs: int) -> bool:
        """Try changes; return whether each that was tried was noticed, or has its reason."""
        todo = sorted(changes(self._source), key=lambda each: (each.operator, each.source))
        random.Random(seed).shuffle(todo)
        module = "daypass." + MODULES[self._name].removesuffix(".py").replace("/", ".")
        files = [f"tests/{each}" for each in TESTS[self._name].split()]
        files += ["-k", NARROWED[self._name]] if self._name in NARROWED else []
        run(Trials(module, files, todo, seconds, jobs, self.note), files)
        self._check_reasons(todo)
        self._say(self._summary(len(todo) - self._counts[Outcome.NONE]))
        return self._wrong == 0

    def note(self, tried: Tried) -> None:
        """Count a change, and print it if it survived without a reason."""
        change = tried.change
        key = change.line, change.becomes
        self._counts[tried.outcome] += 1
        if tried.outcome is Outcome.SURVIVED:
            if key in self._reasons:
                self._counts["named"] += 1
                self._unused.discard(key)
            else:
                self._wrong += 1
                self._show(tried)

    def _show(self, tried: Tried) -> None:
        lines = ndiff(self._source.splitlines(), tried.change.source.splitlines())
        self._say("  no test executes this" if tried.tests == 0 else f"  {tried.change.operator}")
        for line in lines:
            if line[:1] in "+-":
                self._say(f"      {line}")

    def _check_reasons(self, todo: list[Change]) -> None:
        """Print reasons for changes that do not exist; and, if all changes were tried, those that were noticed."""
        known = {(each.line, each.becomes) for each in todo}
        complete = self._tried == len(todo) - self._counts[Outcome.NONE]
        for line, becomes in sorted(self._unused):
            if complete or (line, becomes) not in known:
                self._wrong += 1
                what = "a test notices this" if (line, becomes) in known else "there is no such change"
                self._say(f"  needless reason, {what}: {line!r} becomes {becomes!r}")

    @property
    def _tried(self) -> int:
        return sum(self._counts[each] for each in Outcome if each is not Outcome.NONE)

    def _summary(self, total: int) -> str:
        counts, tried = self._counts, self._tried
        killed = counts[Outcome.NOTICED] + counts[Outcome.LATE]
        late = f" ({counts[Outcome.LATE]} by taking too long)" if counts[Outcome.LATE] else ""
        survived = counts[Outcome.SURVIVED] - counts["named"]
        return (
            f"{self._name}: {total} changes, {tried} tried: {killed} killed{late}, {counts['named']} named, "
            f"{survived} survived; {total - tried} left"
        )

    def _say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main() -> int:
    """Examine the modules that were asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"by default all: {', '.join(MODULES)}")
    parser.add_argument("--seconds", type=float, default=6 * 3600, help="for each module")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time")
    options = parser.parse_args()
    unknown = set(options.modules) - MODULES.keys()
    if unknown:
        parser.error(f"unknown module {', '.join(unknown)}: choose from {', '.join(MODULES)}")
    modules = options.modules or list(MODULES)
    if len(modules) == 1:
        os.chdir(ROOT)
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", database=None, deadline=None, derandomize=True, phases=phases)
        settings.load_profile("mutants")
        return 0 if Examination(modules[0]).examine(options.seconds, options.seed, options.jobs) else 1
    arguments = [f"--seconds={options.seconds}", f"--seed={options.seed}", f"--jobs={options.jobs}"]
    command = [sys.executable, "-m", "tests.mutants", *arguments]
    return max([subprocess.run([*command, name], check=False).returncode for name in modules])


if __name__ == "__main__":
    sys.exit(main())
