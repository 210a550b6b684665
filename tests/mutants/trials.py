"""Tries changes of a module on its tests, each in a forked child of a pytest that has collected them.

A change inside functions is put into the functions that are already loaded: then a trial takes as long as the first
test that fails, mostly milliseconds. Only tests that execute the changed statement run, the quickest first. A change of
a constant, a decorator or a default needs all modules loaded afresh.
"""

import contextlib
import functools
import gc
import importlib.util
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, TypeGuard

import pytest

from .changes import Change, Place, changed_functions

OURS = ("daypass", "tests", "conftest")
OPTIONS = ("-x", "-q", "--capture=sys", "-p", "no:cacheprovider", "-W", "ignore")

_Cache: type[Any] = type(functools.lru_cache(int))

_NO_CHANGE = 3
"""The exit status of a child whose change makes no difference to the program."""

_LOADED = 4
"""The exit status of a child that has loaded all modules afresh, and in which no test failed."""

MEMORY = 8 << 30
"""Bytes of address space for one trial: a loop without an end must not fill the machine."""


class Outcome(StrEnum):
    """What became of a change."""

    NOTICED = "noticed"
    LATE = "noticed, by taking too long"
    SURVIVED = "survived"
    NONE = "no change: it does not compile, or to the same program"


@dataclass(frozen=True)
class Measured:
    """What a test does without any change: the lines of the module that it executes, and how many seconds it takes."""

    index: int
    lines: frozenset[int]
    seconds: float


@dataclass(frozen=True)
class Running:
    """A trial that is running.

    Attributes:
        change: what it tries.
        tests: how many tests execute the change.
        work: does it, in a child.
        again: whether it is the second trial of this change.
    """

    change: Change
    tests: int
    work: Callable[[], int]
    again: bool = False


@dataclass(frozen=True)
class Tried:
    """A change, what became of it, and how many tests execute it; None if all tests had to run."""

    change: Change
    outcome: Outcome
    tests: int | None


class Trials:
    """A plugin of pytest that tries changes in place of running the collected tests.

    Args:
        module: the name of the changed module, such as ``daypass.rotation``.
        files: the tests, for changes that need all modules loaded afresh.
        changes: the changes, in the order in which to try them.
        seconds: when to stop.
        jobs: how many trials run at a time.
        tell: called with each change that was tried.
    """

    def __init__(
        self,
        module: str,
        files: Sequence[str],
        changes: Sequence[Change],
        seconds: float,
        jobs: int,
        tell: Callable[[Tried], object],
    ) -> None:
        self._module, self._files, self._changes = module, list(files), changes
        self._seconds, self._jobs, self._tell = seconds, jobs, tell
        self._reports: list[pytest.TestReport] = []
        self._running: dict[int, Running] = {}
        self._code: CodeType | None = None
        self._caches: list[Any] = []
        self._functions: list[FunctionType] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure the tests, then try changes until the time is over."""
        path = str(importlib.import_module(self._module).__file__)
        with tempfile.TemporaryDirectory(prefix="dm-") as folder:
            self._code = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
            tests = self._measured(session, path, folder)
            objects = gc.get_objects()
            self._caches = [each for each in objects if type(each) is _Cache]
            self._functions = [each for each in objects if _is_function_of(path, each)]
            gc.freeze()  # so that a child copies less memory
            all_of_them = sum(each.seconds for each in tests)
            until = time.monotonic() + self._seconds
            for change in self._changes:
                if time.monotonic() > until:
                    break
                while len(self._running) >= self._jobs:
                    self._reap(folder)
                concerned = [each for each in tests if each.lines & {*change.rows}]
                work = functools.partial(self._try, session, change.source, concerned, 10 + all_of_them / 5)
                self._running[_forked(work, folder)] = Running(change, len(concerned), work)
            while self._running:
                self._reap(folder)
        return True

    def _reap(self, folder: str) -> None:
        """Wait for a trial; a change is noticed if a test fails twice: once may be due to a busy machine."""
        pid, status = os.wait()
        _end_group(pid)
        trial = self._running.pop(pid)
        count: int | None = trial.tests
        match os.waitstatus_to_exitcode(status):
            case code if code == _NO_CHANGE:
                outcome = Outcome.NONE
            case code if code == _LOADED:
                outcome, count = Outcome.SURVIVED, None
            case 0:
                outcome = Outcome.SURVIVED
            case code if code < 0:
                outcome = Outcome.LATE
            case _ if not trial.again:
                self._running[_forked(trial.work, folder)] = replace(trial, again=True)
                return
            case _:
                outcome = Outcome.NOTICED
        self._tell(Tried(trial.change, outcome, count))

    def _measured(self, session: pytest.Session, path: str, folder: str) -> list[Measured]:
        """Return what each test does, the quickest first."""
        with tempfile.TemporaryFile() as report:

            def work() -> int:
                pickle.dump(list(self._measure(session, path)), report)
                report.flush()
                return 0

            pid = _forked(work, folder)
            os.waitpid(pid, 0)
            _end_group(pid)
            report.seek(0)
            found = pickle.load(report)  # noqa: S301 - our own child has written it
        for each in found:
            if isinstance(each, str):
                sys.stdout.write(f"  left out, as it fails without any change: {each}\n")
                self._files += [f"--deselect={each}"]
        return sorted((each for each in found if not isinstance(each, str)), key=lambda each: each.seconds)

    def _measure(self, session: pytest.Session, path: str) -> Iterator[Measured | str]:
        """Run all tests; yield what each does, or the name of one that fails."""
        lines: set[int] = set()
        trace = _tracer(path, lines)
        sys.settrace(trace)
        threading.settrace(trace)
        executed: list[frozenset[int] | None] = []
        for item in _run(session, session.items):
            executed.append(None if session.testsfailed else frozenset(lines))
            lines.clear()
            session.testsfailed, session.shouldfail = 0, False
            if executed[-1] is None:
                yield item.nodeid
        preparing: defaultdict[str, float] = defaultdict(float)
        own: defaultdict[str, float] = defaultdict(float)
        for report in self._reports:  # what tests of a file share is prepared by the first of them that runs
            if report.when == "setup":
                file = report.nodeid.partition("::")[0]
                preparing[file] = max(preparing[file], report.duration)
            else:
                own[report.nodeid] += report.duration
        for index, (item, those) in enumerate(zip(session.items, executed, strict=True)):
            if those is None:
                continue
            yield Measured(index, those, own[item.nodeid] + preparing[item.nodeid.partition("::")[0]])

    def _try(self, session: pytest.Session, source: str, tests: Sequence[Measured], seconds: float) -> int:
        """Make a change and run tests; return 1 if one fails, or `_NO_CHANGE`."""
        assert self._code is not None
        try:
            functions = changed_functions(self._code, source)
        except SyntaxError:
            return _NO_CHANGE
        if functions is None:
            return self._afresh(source, seconds)
        return self._patched(session, functions, tests) if functions else _NO_CHANGE

    def _patched(self, session: pytest.Session, functions: Mapping[Place, CodeType], tests: Sequence[Measured]) -> int:
        """Run tests with other code in functions; return 1 if one fails."""
        session.config.pluginmanager.register(_Trial())
        for cache in self._caches:
            cache.cache_clear()
        for each in self._functions:
            place = each.__code__.co_qualname, each.__code__.co_firstlineno
            each.__code__ = functions.get(place, each.__code__)
        seconds = [each.seconds for each in tests]
        _limit(seconds[0] if seconds else 1)
        for number, _ in enumerate(_run(session, [session.items[each.index] for each in tests]), start=1):
            if session.testsfailed:
                return 1
            _limit(seconds[min(number, len(seconds) - 1)])
        return 0

    def _afresh(self, source: str, seconds: float) -> int:
        """Load all modules again, one of them from another source, and run all tests; return 1 if one fails."""
        _limit(1)
        path = str(importlib.import_module(self._module).__file__)
        code = compile(source, path, "exec")
        exec(code, ModuleType(self._module).__dict__)  # noqa: S102 - a constant such as 400 ** DAY is never computed
        _limit(seconds)
        for name in [each for each in sys.modules if each.partition(".")[0] in OURS]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Finder(self._module, path, code))
        importlib.import_module(self._module)  # before pytest finds modules, to rewrite their assertions
        return _LOADED if pytest.main([*OPTIONS, *self._files], plugins=[_Trial()]) == 0 else 1


class _Trial:
    """A plugin that ends the process at the first failure: a report of it would take longer than most tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        failed = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
        if failed and item.get_closest_marker("xfail") is None:
            os._exit(1)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder:
    """Finds one module, whose code is given."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Loader(name, self._path, self._code)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Run tests; yield each when it has run."""
    for item, following in pairwise([*items, None]):
        assert item is not None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield item


def _is_function_of(path: str, each: object) -> TypeGuard[FunctionType]:
    return type(each) is FunctionType and each.__code__.co_filename == path


def _tracer(path: str, lines: set[int]) -> Any:
    def inside(frame: FrameType, _event: str, _argument: object) -> Any:
        lines.add(frame.f_lineno)
        return inside

    return lambda frame, _event, _argument: inside if frame.f_code.co_filename == path else None


def _limit(seconds: float) -> None:
    """End this process by a signal if it takes much longer than it should."""
    signal.setitimer(signal.ITIMER_REAL, 10 + 10 * seconds)


def _forked(work: Callable[[], int], folder: str) -> int:
    """Do some work in a child, and exit with what it returns, or with 1 if it raises; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_RDWR)
        for each in (0, 1, 2):
            os.dup2(silence, each)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(dir=folder)
        status = work()
    finally:
        os._exit(status)


def _end_group(pid: int) -> None:
    """End what a child has started, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def run(trials: Trials, files: Sequence[str]) -> None:
    """Collect tests, and try changes on them, until all are tried or Ctrl-C is pressed.

    Raises:
        SystemExit: the tests cannot be collected.
    """
    if pytest.main([*OPTIONS, *files], plugins=[trials]) not in (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED):
        sys.exit(1)
