"""What the demonstration shows: live on a terminal, as plain lines elsewhere, as nothing where JSON is asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from daypass.client.events import EventKind
from daypass.client.session import monotonic_ms
from daypass.demo.people import ACCESS_TTL
from daypass.demo.tally import Lane, Summary, Tally
from daypass.model import SECOND

COLUMN = 250
"""Milliseconds that one column of the timeline stands for."""

_BARS = " ▁▂▃▄▅▆▇█"
_PLAIN_EVERY = 2 * SECOND
_WIDEST = 96
_MARGIN = 12


class Screen(Protocol):
    """Where the demonstration is shown."""

    def draw(self, now: int) -> None:
        """Show how things stand."""

    def end(self, summary: Summary) -> None:
        """Show what came of it."""


@contextmanager
def open_screen(tally: Tally, address: str, *, as_json: bool) -> Iterator[Screen]:
    """Give the screen that fits where standard output goes."""
    if as_json:
        yield _Nothing()
    elif sys.stdout.isatty():
        console = Console()
        with Live(console=console, refresh_per_second=8, transient=True) as live:
            yield _Terminal(tally, address, console, live)
    else:
        yield _Lines(tally, address)


class _Nothing:
    def draw(self, now: int) -> None:
        """Show nothing."""

    def end(self, summary: Summary) -> None:
        """Show nothing; the caller prints the summary."""


class _Terminal:
    def __init__(self, tally: Tally, address: str, console: Console, live: Live) -> None:
        self._tally, self._address, self._console, self._live = tally, address, console, live
        self._width = min(console.width, _WIDEST) - 4

    def draw(self, now: int) -> None:
        self._live.update(_picture(self._tally, self._address, now, self._width, "[dim]Ctrl-C ends it[/]"))

    def end(self, summary: Summary) -> None:
        now = monotonic_ms()
        self._live.stop()
        self._console.print(_picture(self._tally, self._address, now, self._width))
        self._console.print(Padding(_verdict(summary), (1, 2)))


class _Lines:
    def __init__(self, tally: Tally, address: str) -> None:
        self._tally = tally
        self._console = Console(width=_WIDEST, no_color=True, highlight=False, soft_wrap=True)
        self._next = tally.started + _PLAIN_EVERY
        self._console.print(f"Daypass demo: four users of the API at {address}; every access token lives {ACCESS_TTL}.")

    def draw(self, now: int) -> None:
        if now < self._next:
            return
        self._next += _PLAIN_EVERY
        figures = self._tally.summary(now)
        self._console.print(
            f"{self._tally.seconds(now):6.1f} s  {figures.requests:7,} requests  {figures.expiries:3} expiries  "
            f"{figures.refreshes:3} refreshes  {figures.replays:5,} replays  {figures.failures} failures"
        )

    def end(self, summary: Summary) -> None:
        now = monotonic_ms()
        self._console.print()
        self._console.print(_timeline(self._tally, now, _WIDEST - 4))
        self._console.print(_figures(summary))
        self._console.print(_verdict(summary))


def _picture(tally: Tally, address: str, now: int, width: int, footer: str | None = None) -> RenderableType:
    head = Text.assemble(
        ("Four users work without pause", "bold"),
        (f" · {address} · access tokens live {ACCESS_TTL} · {tally.seconds(now):.0f} s", "dim"),
    )
    parts = (head, Text(), _timeline(tally, now, width), _figures(tally.summary(now)))
    return Panel(Group(*parts), title="[bold]daypass demo[/]", subtitle=footer, box=ROUNDED, width=width + 4)


def _timeline(tally: Tally, now: int, width: int) -> RenderableType:
    """Draw each user's day pass, as it runs out and is renewed, above what came of their requests."""
    columns = max(10, width - _MARGIN)
    first = max(tally.started, now - columns * COLUMN)
    first -= (first - tally.started) % COLUMN  # whole columns, so that the picture moves in steps
    starts = range(first, min(now, first + columns * COLUMN), COLUMN)
    rows: list[RenderableType] = []
    for lane in tally.lanes:
        rows += [
            Text.assemble((f"{lane.name:<5}", "bold"), (f" {lane.story}", "dim")),
            _row("day pass", [_pass_left(lane, start) for start in starts]),
            _row("requests", [_requests(lane, start, start + COLUMN) for start in starts]),
            Text(),
        ]
    rows.append(_legend())
    return Group(*rows)


def _row(label: str, cells: list[tuple[str, str]]) -> Text:
    return Text.assemble((f"  {label:<{_MARGIN - 2}}", "dim"), *cells, no_wrap=True, overflow="crop")


def _pass_left(lane: Lane, at: int) -> tuple[str, str]:
    left = lane.token_left(at + COLUMN - 1)
    if left is None:
        return " ", ""
    style = "green" if left > 0.4 else "yellow" if left > 0.15 else "red"
    return _BARS[max(1, round(left * (len(_BARS) - 1)))], style


def _requests(lane: Lane, start: int, end: int) -> tuple[str, str]:
    if any(start < at <= end for at, _ in lane.failures):
        return "✗", "bold red"
    happened = lane.happened(start, end)
    if EventKind.REPLAYED in happened:
        return "↻", "bold cyan"
    if EventKind.REFRESHED in happened:
        return "↑", "bold cyan"
    return ("·", "green") if lane.asked(start, end) else (" ", "")


def _legend() -> Text:
    return Text.assemble(
        ("█▅▁", "green"),
        " pass runs out  ",
        ("↑", "bold cyan"),
        " refreshed in time  ",
        ("↻", "bold cyan"),
        " 401: refreshed, sent again  ",
        ("·", "green"),
        " fine  ",
        ("✗", "bold red"),
        " failed",
    )


def _figures(summary: Summary) -> RenderableType:
    table = Table(box=ROUNDED, expand=False, pad_edge=True)
    cells = (
        ("requests", f"{summary.requests:,}", "white"),
        ("expiries", f"{summary.expiries:,}", "yellow"),
        ("refreshes", f"{summary.refreshes:,}", "cyan"),
        ("replays", f"{summary.replays:,}", "cyan"),
        ("p50", f"{summary.p50_ms:.1f} ms", "white"),
        ("p99", f"{summary.p99_ms:.1f} ms", "white"),
        ("failures seen", f"{summary.failures:,}", "bold green" if summary.failures == 0 else "bold red"),
    )
    for name, _, _ in cells:
        table.add_column(name, justify="right", header_style="dim", no_wrap=True)
    table.add_row(*(Text(value, style) for _, value, style in cells))
    return table


def _verdict(summary: Summary) -> Text:
    if summary.convincing:
        return Text.assemble(
            ("✓ ", "bold green"),
            f"{summary.expiries} access tokens expired during {summary.requests:,} requests, and no user saw it.",
        )
    if summary.failures:
        return Text.assemble(("✗ ", "bold red"), f"{summary.failures} of {summary.requests:,} requests failed.")
    return Text(f"Too short to show anything: {summary.expiries} access tokens expired; let it run for 15 s.", "yellow")
