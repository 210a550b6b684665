"""`daypass demo` as the process it is: run to its end, interrupted, watched on a terminal."""

import codecs
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

DAYPASS = Path(sys.executable).with_name("daypass")
FIGURES = {"requests", "expiries", "refreshes", "replays", "failures", "p50_ms", "p99_ms"}
PATIENCE = 40
ENDS_WITHIN = 15
LIVE = "Ctrl-C ends it"


@pytest.fixture(autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Start processes that receive SIGINT and SIGHUP, even if the tests run in the background or below `nohup`."""
    handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def environment(folder: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, with ``folder`` for temporary files."""
    own = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    return own | {"TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8", "TERM": "xterm-256color"} | dict(given or {})


def demo(*arguments: str, folder: Path, given: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run the command to its end."""
    return subprocess.run(
        [DAYPASS, "demo", *arguments],
        env=environment(folder, given),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def started(*arguments: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run the command where no terminal is, for as long as the block lasts."""
    with subprocess.Popen(
        [DAYPASS, "demo", *arguments],
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started and that still run."""
    return [int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()]


def gone(pid: int) -> bool:
    """Return whether a process has ended, waiting a moment for the system to notice."""
    ends = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def refused(address: str) -> bool:
    """Return whether nothing listens at ``address`` any more."""
    where = urlsplit(address)
    with closing(socket.socket()) as trying:
        return trying.connect_ex((where.hostname, where.port)) != 0


class Terminal:
    """The command on a separate terminal, of this many columns and lines."""

    def __init__(self, *arguments: str, folder: Path, columns: int, lines: int) -> None:
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        mode = termios.tcgetattr(theirs)
        mode[3] = mode[3] & ~termios.ECHO | termios.NOFLSH  # Ctrl-C removes nothing that is on the screen
        termios.tcsetattr(theirs, termios.TCSANOW, mode)
        self._process = subprocess.Popen(
            [DAYPASS, "demo", *arguments],
            env=environment(folder),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # the terminal becomes the session's own, so that keys reach it as signals
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def read(self, until: str | None = None) -> str:
        """Read until a text has appeared, or to the end; return all that was shown so far."""
        while until is None or until not in self.text:
            try:
                piece = os.read(self._ours, 65_536)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not piece:
                break
            self.text += self._decoder.decode(piece)
        return self.text

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read to the end; return the exit status."""
        self.read()
        return self._process.wait(timeout=PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@contextmanager
def terminal(*arguments: str, folder: Path, columns: int = 100, lines: int = 40) -> Iterator[Terminal]:
    with closing(Terminal(*arguments, folder=folder, columns=columns, lines=lines)) as opened:
        yield opened


def final_picture(shown: str) -> list[str]:
    """Return the lines shown after the live panel was taken away, without colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n").splitlines()
    last = max(number for number, line in enumerate(plain) if line.startswith("╭"))
    return [line for line in plain[last:] if line.strip()]


def test_json_is_one_line_that_convinces(tmp_path: Path) -> None:
    """`--json` prints one line with the promised figures and nothing else; users saw expiries, replays, no failure."""
    done = demo("--for", "12", "--json", folder=tmp_path)

    lines = done.stdout.decode().splitlines()
    assert b"" == done.stderr
    assert 1 == len(lines)
    figures = json.loads(lines[0])
    assert set(figures) == FIGURES
    assert 0 == figures["failures"]
    assert figures["expiries"] >= 2
    assert figures["refreshes"] >= 2
    assert figures["replays"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert 0 == done.returncode
    assert [] == list(tmp_path.iterdir())


def test_too_short_a_run_shows_nothing_and_says_so_by_its_status(tmp_path: Path) -> None:
    """With fewer than two expiries the figures are still printed, and the status is 1."""
    done = demo("--for", "1", "--json", folder=tmp_path)

    figures = json.loads(done.stdout)
    assert set(figures) == FIGURES
    assert figures["expiries"] < 2
    assert (1, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_the_summary(tmp_path: Path, ending: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and SIGHUP end it soon, with the summary; neither folder nor server is left behind."""
    with started("--for", "60", folder=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        head = process.stdout.readline()
        address = head.split(" at ")[1].split(";")[0]
        assert " requests " in process.stdout.readline()
        servers = children(process.pid)
        left_before = [path.name for path in tmp_path.iterdir()]
        process.send_signal(ending)
        rest, errors = process.communicate(timeout=ENDS_WITHIN)

    assert 1 == len(servers)
    assert [True] == [name.startswith("daypass-demo-") for name in left_before]
    assert "failures seen" in rest
    assert "Too short to show anything" in rest.splitlines()[-1]
    assert "" == errors
    assert 1 == process.returncode
    assert [] == list(tmp_path.iterdir())
    assert gone(servers[0])
    assert refused(address)


def test_a_signal_before_the_server_is_up_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ended while it still starts, it says so in one line, and neither folder nor server is left behind."""
    with started("--for", "60", folder=tmp_path) as process:
        ends = time.monotonic() + PATIENCE
        while not (servers := children(process.pid)) and time.monotonic() < ends:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=ENDS_WITHIN)

    assert ("", "daypass: interrupted\n", 1) == (output, errors, process.returncode)
    assert [] == list(tmp_path.iterdir())
    assert gone(servers[0])


@pytest.mark.parametrize("seconds", ["x", "-1", "", "inf", "nan", "1e3", "5 parsecs"])
def test_no_duration_is_one_plain_line(tmp_path: Path, seconds: str) -> None:
    """A ``--for`` that is not a duration is refused in one line, with status 1, before anything is started."""
    done = demo(f"--for={seconds}", folder=tmp_path)

    assert b"" == done.stdout
    assert re.fullmatch(rb"daypass: invalid duration [^\n]+\n", done.stderr)
    assert 1 == done.returncode


def test_any_encoding_of_the_output_will_do(tmp_path: Path) -> None:
    """If standard output is not UTF, the picture is drawn with ASCII, to the end."""
    done = demo("--for", "1", folder=tmp_path, given={"PYTHONIOENCODING": "latin-1"})

    assert b"" == done.stderr
    assert "Too short to show anything" in done.stdout.decode("ascii").splitlines()[-1]
    assert b"?" not in done.stdout
    assert 1 == done.returncode


def test_a_terminal_sees_the_live_panel_and_then_the_verdict(tmp_path: Path) -> None:
    """On a terminal the panel is live while it runs; what stays is the picture, and the verdict last."""
    with terminal("--for", "10", folder=tmp_path) as opened:
        opened.read(until=LIVE)
        status = opened.end()
        picture = final_picture(opened.text)

    assert "Four users work without pause" in picture[1]
    assert LIVE not in "\n".join(picture)
    assert re.fullmatch(r"  ✓ \d+ access tokens expired during [\d,]+ requests, and no user saw it\.\s*", picture[-1])
    assert 0 == status


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_shows_every_figure_whole(tmp_path: Path, columns: int) -> None:
    """However narrow the terminal, each figure has its value, and no row of the timeline wraps."""
    with terminal("--for", "1.5", folder=tmp_path, columns=columns) as opened:
        opened.end()
        picture = final_picture(opened.text)

    panel = [line for line in picture if line.startswith(("│", "╭", "╰"))]
    text = "\n".join(panel)
    for name in ("requests", "expiries", "refreshes", "replays", "failures seen"):
        assert re.search(rf"{name} [\d,]+ ", text), name
    for name in ("p50", "p99"):
        assert re.search(rf"{name} [\d,]+\.\d ms ", text), name
    assert {columns} == {len(line) for line in panel}
    assert (4, 4) == (len(re.findall("│   token ", text)), len(re.findall("│   requests ", text)))


def test_ctrl_c_pressed_again_and_again_changes_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends it with the summary; pressed again, before and after the verdict, it has no effect."""
    with terminal(folder=tmp_path) as opened:
        opened.read(until="requests ")
        time.sleep(1)
        opened.type("\x03")
        time.sleep(0.2)
        opened.type("\x03")
        opened.read(until="Too short")
        opened.type("\x03")
        status = opened.end()

    assert "interrupted" not in opened.text
    assert "Traceback" not in opened.text
    assert "let it run for 15 s" in re.sub(r"\s+", " ", opened.text)
    assert 1 == status
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [(), ("/nowhere/at/all",)])
def test_the_server_alone_says_in_one_line_what_it_lacks(arguments: tuple[str, ...]) -> None:
    """Started by hand without a folder, or with an impossible one, the server says so in one plain line."""
    done = subprocess.run(
        [sys.executable, "-m", "daypass.demo.service", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert b"" == done.stdout
    assert re.fullmatch(rb"daypass: [^\n]+\n", done.stderr)
    assert 1 == done.returncode
