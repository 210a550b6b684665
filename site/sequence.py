"""Draw the sequence diagrams of the pages as SVG, so that the site needs no script for them.

The pages have them in Mermaid's notation, which GitHub draws by itself. Known are ``participant``, the arrows ``->>``,
``-->>`` (an answer) and ``--x`` (a message that is lost), and ``Note over``.
"""

import re
from collections.abc import Iterator
from html import escape

COLUMN, ROW, MARGIN, LINE = 230, 44, 90, 17

_ARROW = re.compile(r"(\w+?)(--?)(>>|x)(\w+): (.*)")
_NOTE = re.compile(r"Note over (\w+): (.*)")
_PARTICIPANT = re.compile(r"participant (\w+) as (.*)")
_LETTERS = 25


def drawn(text: str) -> str:
    """Return a diagram as an ``<svg>`` element in the colours of the page.

    Raises:
        ValueError: a line is not understood.
    """
    places: dict[str, int] = {}
    parts: list[str] = []
    height = 60
    for line in (each.strip() for each in text.strip().splitlines()[1:]):
        if found := _PARTICIPANT.fullmatch(line):
            places[found[1]] = MARGIN + COLUMN * len(places)
            parts += _box(places[found[1]], 22, found[2])
        elif found := _ARROW.fullmatch(line):
            height += ROW
            parts += _arrow(
                places[found[1]], places[found[4]], height, found[5], dashed=found[2] == "--", lost=found[3] == "x"
            )
        elif found := _NOTE.fullmatch(line):
            lines = _wrapped(found[2])
            parts += _note(places[found[1]], height + 16, lines)
            height += 14 + LINE * len(lines)
        else:
            raise ValueError(f"not understood: {line!r}")
    bottom, width = height + 24, MARGIN * 2 + COLUMN * (len(places) - 1)
    lifelines = [f'<path d="M{x} 38V{bottom}" class="lifeline"/>' for x in places.values()]
    summary = escape("; ".join(match[5] for match in _ARROW.finditer(text)))
    return (
        f'<svg class="sequence" viewBox="0 0 {width} {bottom}" role="img" aria-label="{summary}" '
        f'style="max-width: {width}px">{"".join(lifelines + parts)}</svg>'
    )


def _box(x: int, y: int, text: str) -> Iterator[str]:
    yield f'<rect x="{x - 60}" y="{y - 16}" width="120" height="32" rx="4"/>'
    yield f'<text x="{x}" y="{y + 5}" class="name">{escape(text)}</text>'


def _arrow(start: int, end: int, y: int, text: str, *, dashed: bool, lost: bool) -> Iterator[str]:
    way = 1 if end > start else -1
    tip = (start + end) // 2 + way * 40 if lost else end - way * 2
    kind = "answer" if dashed else "request"
    head = (
        f"M{tip - 5} {y - 5}l10 10m0 -10l-10 10"
        if lost
        else f"M{tip - way * 8} {y - 5}L{tip} {y}L{tip - way * 8} {y + 5}"
    )
    yield f'<path d="M{start} {y}H{tip}" class="{kind}"/><path d="{head}" class="head"/>'
    yield f'<text x="{(start + end) // 2}" y="{y - 8}">{escape(text)}</text>'


def _note(x: int, y: int, lines: list[str]) -> Iterator[str]:
    yield f'<rect x="{x - 88}" y="{y}" width="176" height="{8 + LINE * len(lines)}" class="note"/>'
    for number, line in enumerate(lines, start=1):
        yield f'<text x="{x}" y="{y + LINE * number - 1}">{escape(line)}</text>'


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= _LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
