"""The display of the demonstration: live on a terminal, as plain lines elsewhere, none with JSON."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.box import ROUNDED
from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from daypass.client.clock import monotonic_ms
from daypass.client.events import EventKind
from daypass.demo.people import ACCESS_TTL
from daypass.demo.tally import Lane, Summary, Tally
from daypass.duration import SECOND

COLUMN = 250
"""Milliseconds that one column of the timeline stands for."""

_PLAIN_EVERY = 2 * SECOND
_WIDEST = 96
_MARGIN = 12
_FRAME = 4
"""Columns that the panel's border and padding take."""

_ROOMY = 50
"""Columns from which on the address is worth its place."""

_VERDICT = 5
"""Lines below the panel, at the end: the verdict, and the prompt."""


@dataclass(frozen=True, slots=True)
class _Symbols:
    """The symbols of the display; ``bars`` go from empty to full."""

    bars: str
    refreshed: str
    replayed: str
    fine: str
    failed: str
    good: str
    dash: str


_DRAWN = _Symbols(" ▁▂▃▄▅▆▇█", refreshed="↑", replayed="↻", fine="·", failed="✗", good="✓", dash="·")
_TYPED = _Symbols(" ..::==##", refreshed="^", replayed="@", fine="-", failed="X", good="OK", dash="-")


def _symbols(console: Console) -> _Symbols:
    """Return the symbols that a console can show."""
    return _DRAWN if console.encoding.startswith("utf") else _TYPED


class Screen(Protocol):
    """A display of the demonstration."""

    def draw(self, now: int) -> None:
        """Show the current state."""

    def end(self, summary: Summary) -> None:
        """Show the result."""


@contextmanager
def open_screen(tally: Tally, address: str, *, as_json: bool) -> Iterator[Screen]:
    """Return the display that fits standard output."""
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
        self._picture = _Picture(tally, _symbols(console))
        self._address, self._console, self._live = address, console, live

    def draw(self, now: int) -> None:
        self._live.update(self._panel(now, "[dim]Ctrl-C ends it[/]"))

    def end(self, summary: Summary) -> None:
        now = monotonic_ms()
        self._live.stop()
        self._console.print(self._panel(now))
        self._console.print(Padding(self._picture.verdict(summary), (1, 2)))

    def _panel(self, now: int, footer: str | None = None) -> RenderableType:
        """Draw everything that fits on the terminal now."""
        tall = self._framed(now, footer, tall=True)
        if len(self._console.render_lines(tall)) + _VERDICT <= self._console.height:
            return tall
        return self._framed(now, footer, tall=False)

    def _framed(self, now: int, footer: str | None, *, tall: bool) -> RenderableType:
        width = min(self._console.width, _WIDEST) - _FRAME
        group = Group(
            self._picture.head(self._address, now, width),
            *([Text()] if tall else []),
            self._picture.timeline(now, width, tall=tall),
            self._picture.figures(now, width),
        )
        return Panel(group, title="[bold]daypass demo[/]", subtitle=footer, box=ROUNDED, width=width + _FRAME)


class _Lines:
    def __init__(self, tally: Tally, address: str) -> None:
        self._tally = tally
        self._console = Console(width=_WIDEST, no_color=True, highlight=False, soft_wrap=True)
        self._picture = _Picture(tally, _symbols(self._console))
        self._next = tally.started + _PLAIN_EVERY
        self._console.print(
            f"Daypass demo: four users of the API at {address}; every access token lives {ACCESS_TTL}. "
            f"For your browser: {address}/"
        )

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
        self._console.print(self._picture.timeline(now, _WIDEST - _FRAME, tall=True))
        self._console.print(_figures(summary, _WIDEST - _FRAME))
        self._console.print(self._picture.verdict(summary))


class _Picture:
    """Draws a tally, with symbols that standard output can show, within the given width."""

    def __init__(self, tally: Tally, symbols: _Symbols) -> None:
        self._tally, self._symbols = tally, symbols

    def head(self, address: str, now: int, width: int) -> Text:
        """Draw what is running, where and for how long."""
        dash = f" {self._symbols.dash} "
        facts = [f"access tokens live {ACCESS_TTL}", f"{self._tally.seconds(now):.0f} s"]
        if width >= _ROOMY:
            facts.insert(0, f"for your browser: {address}/")
        return _flow(
            (Text("Four users work without pause", "bold"), *(Text(fact, "dim") for fact in facts)), width, dash
        )

    def figures(self, now: int, width: int) -> RenderableType:
        """Draw the current figures."""
        return _figures(self._tally.summary(now), width)

    def timeline(self, now: int, width: int, *, tall: bool) -> RenderableType:
        """Draw the remaining lifetime of each user's access token, above the results of their requests."""
        columns = max(10, width - _MARGIN)
        started = self._tally.started
        first = max(started, now - columns * COLUMN)
        first -= (first - started) % COLUMN  # whole columns, so that the picture moves in steps
        starts = range(first, min(now, first + columns * COLUMN), COLUMN)
        overflow: OverflowMethod = "ellipsis" if self._symbols is _DRAWN else "crop"
        rows: list[RenderableType] = []
        for lane in self._tally.lanes:
            rows += [
                Text.assemble((f"{lane.name:<5}", "bold"), (f" {lane.story}", "dim"), no_wrap=True, overflow=overflow),
                _row("token", [self._token_left(lane, start) for start in starts]),
                _row("requests", [self._requests(lane, start, start + COLUMN) for start in starts]),
            ]
            if tall:
                rows.append(Text())
        rows.append(self._legend(width))
        return Group(*rows)

    def verdict(self, summary: Summary) -> Text:
        """Draw the result in a sentence."""
        if summary.convincing:
            return Text.assemble(
                (f"{self._symbols.good} ", "bold green"),
                f"{summary.expiries} access tokens expired during {summary.requests:,} requests, and no user saw it.",
            )
        if summary.failures:
            return Text.assemble(
                (f"{self._symbols.failed} ", "bold red"), f"{summary.failures} of {summary.requests:,} requests failed."
            )
        return Text(
            f"Too short to show anything: {summary.expiries} access tokens expired; let it run for 15 s.", "yellow"
        )

    def _token_left(self, lane: Lane, at: int) -> tuple[str, str]:
        left = lane.token_left(at + COLUMN - 1)
        if left is None:
            return " ", ""
        style = "green" if left > 0.4 else "yellow" if left > 0.15 else "red"
        bars = self._symbols.bars
        return bars[max(1, round(left * (len(bars) - 1)))], style

    def _requests(self, lane: Lane, start: int, end: int) -> tuple[str, str]:
        if any(start < at <= end for at, _ in lane.failures):
            return self._symbols.failed, "bold red"
        happened = lane.happened(start, end)
        if EventKind.REPLAYED in happened:
            return self._symbols.replayed, "bold cyan"
        if EventKind.REFRESHED in happened:
            return self._symbols.refreshed, "bold cyan"
        return (self._symbols.fine, "green") if lane.asked(start, end) else (" ", "")

    def _legend(self, width: int) -> Text:
        symbols = self._symbols
        meanings = (
            (symbols.bars[8] + symbols.bars[5] + symbols.bars[1], "green", "lifetime left"),
            (symbols.refreshed, "bold cyan", "refreshed in time"),
            (symbols.replayed, "bold cyan", "401: refreshed, sent again"),
            (symbols.fine, "green", "fine"),
            (symbols.failed, "bold red", "failed"),
        )
        return _flow((Text.assemble((symbol, style), f" {meaning}") for symbol, style, meaning in meanings), width)


def _row(label: str, cells: list[tuple[str, str]]) -> Text:
    return Text.assemble((f"  {label:<{_MARGIN - 2}}", "dim"), *cells, no_wrap=True, overflow="crop")


def _figures(summary: Summary, width: int) -> RenderableType:
    """Return the figures as a table if it fits, otherwise as pairs of a name and a value."""
    cells = (
        ("requests", f"{summary.requests:,}", "white"),
        ("expiries", f"{summary.expiries:,}", "yellow"),
        ("refreshes", f"{summary.refreshes:,}", "cyan"),
        ("replays", f"{summary.replays:,}", "cyan"),
        ("p50", f"{summary.p50_ms:,.1f} ms", "white"),
        ("p99", f"{summary.p99_ms:,.1f} ms", "white"),
        ("failures seen", f"{summary.failures:,}", "bold green" if summary.failures == 0 else "bold red"),
    )
    padding_and_line = 3
    if sum(max(len(name), len(value)) + padding_and_line for name, value, _ in cells) + 1 > width:
        return _flow((Text.assemble((name, "dim"), " ", (value, style)) for name, value, style in cells), width)
    table = Table(box=ROUNDED, expand=False, pad_edge=True)
    for name, _, _ in cells:
        table.add_column(name, justify="right", header_style="dim", no_wrap=True)
    table.add_row(*(Text(value, style) for _, value, style in cells))
    return table


def _flow(pieces: Iterable[Text], width: int, between: str = "  ") -> Text:
    """Put pieces side by side, as many in a line as fit, without splitting one."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and lines[-1].cell_len + len(between) + piece.cell_len <= width:
            lines[-1].append(between, "dim").append_text(piece)
        else:
            lines.append(piece)
    return Text("\n").join(lines)
