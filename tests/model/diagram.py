"""The table of the rotation rule, and its diagram, made from `daypass.rotation.TABLE` itself.

The columns on what is written and answered come from the explorer: it records what the shipping functions do in each
case. `test_flows` holds `daypass.flows` to the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from daypass.rotation import LONG_PAST, TABLE, Age, Relation, Verdict

from .explorer import explore
from .mint import Row
from .variants import Case
from .world import Outcome, World
from .worlds import LOST_WRITES, THIEF


@dataclass(frozen=True, slots=True)
class Effect:
    """What a verdict does: what is written to the session, and which refresh token is in the answer."""

    written: str
    given: str


@cache
def effects() -> Mapping[Case, Effect]:
    """Return what happens in each case, as seen in two worlds that meet them all.

    Raises:
        ValueError: a case does not always write the same.
    """
    written: dict[Case, set[str]] = {}
    given: dict[Case, set[str]] = {}
    for settings in (LOST_WRITES, THIEF):
        world = World(settings)
        explore(world, [])
        for (row, token, clock, _), outcome in world.decided.items():
            written.setdefault(outcome.case, set()).add(_written(row, token, clock, outcome))
            given.setdefault(outcome.case, set()).add(_given(world, row, token, outcome))
    if any(len(each) > 1 for each in written.values()):
        raise ValueError(f"one case, several things written: {written}")
    return {case: Effect(written[case].pop(), " or ".join(sorted(given[case], key=_GIVEN.index))) for case in TABLE}


_NOTHING = "nothing"
_GIVEN = ("its successor", "the same successor", "a new successor", "the token itself", "none")


def _written(row: Row, token: int, clock: int, outcome: Outcome) -> str:
    if outcome.verdict is Verdict.REUSE:
        return "the end of the session"
    if outcome.row == row:
        return _NOTHING
    if outcome.row == (row[0], clock):
        return "the time"
    if outcome.row == (token, clock):
        return "the token and the time"
    raise ValueError(f"{outcome.verdict} writes what the page has no words for")


def _given(world: World, row: Row, token: int, outcome: Outcome) -> str:
    if outcome.answer is None or world.keeps_jar(outcome):
        return "none"
    if outcome.answer == token:
        return "the token itself"
    if token != row[0]:
        return "its successor"
    return "the same successor" if outcome.answer == world.mint.successor(row) else "a new successor"


ORDER = (Relation.SUCCESSOR, Relation.SAME, Relation.FUTURE, Relation.PAST, Relation.LONG_PAST)
"""From what happens every day to what ought never to happen."""

_MEANING = {
    Relation.SUCCESSOR: "generation g + 1, drawn for S",
    Relation.SAME: "S itself",
    Relation.FUTURE: "generation g + 2 or later",
    Relation.PAST: "older, or of an abandoned branch",
    Relation.LONG_PAST: f"generation g - {LONG_PAST} or older",
}


def table() -> str:
    """Return the rule's table in Markdown."""
    lines = [
        "| the presented token | it comes | verdict | written | refresh token in the answer |",
        "|---|---|---|---|---|",
    ]
    for relation in ORDER:
        for age in Age:
            effect, verdict = effects()[relation, age], TABLE[relation, age]
            name = f"*{relation}*: {_MEANING[relation]}"
            lines.append(f"| {name} | {age} W | **{verdict.name.lower()}** | {effect.written} | {effect.given} |")
    return "\n".join(lines)


# ---- the picture

_LINE = (Relation.LONG_PAST, Relation.PAST, Relation.SAME, Relation.SUCCESSOR, Relation.FUTURE)
_MARK = {
    Relation.LONG_PAST: f"g - {LONG_PAST}, …",
    Relation.PAST: "g - 1, g - 2",
    Relation.SAME: "S: g",
    Relation.SUCCESSOR: "g + 1",
    Relation.FUTURE: "g + 2, …",
}
_WIDTH, _HEIGHT, _LEFT, _STEP, _BOX = 1090, 400, 120, 192, 178
_UNDER = 120
_TOP = {Age.WITHIN: 142, Age.AFTER: 270}
_STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
         font-size: 15px; fill: #1f2328; text-anchor: middle }
  .lane { text-anchor: start; font-weight: 600 }
  .name { font-size: 20px; font-weight: 600 }
  .paper { fill: #ffffff; stroke: #d0d7de }
  .line { stroke: #6e7781; stroke-width: 2 }
  .mark { fill: #ffffff; stroke: #6e7781; stroke-width: 2 }
  .stored { fill: #1f2328; stroke: #1f2328 }
  .moves { fill: #dafbe1; stroke: #1a7f37 }
  .stays { fill: #ddf4ff; stroke: #0969da }
  .refused { fill: #fff8c5; stroke: #9a6700 }
  .ends { fill: #ffebe9; stroke: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .paper { fill: #0d1117; stroke: #30363d }
    .line { stroke: #8b949e }
    .mark { fill: #0d1117; stroke: #8b949e }
    .stored { fill: #e6edf3; stroke: #e6edf3 }
    .moves { fill: #12261e; stroke: #3fb950 }
    .stays { fill: #0c2d6b; stroke: #58a6ff }
    .refused { fill: #341a00; stroke: #d29922 }
    .ends { fill: #3c0f12; stroke: #f85149 }
  }
"""


def svg() -> str:
    """Return the diagram: the line of tokens across, within W above and after W below, the verdicts in between."""
    title = "The verdict on a presented refresh token, by where it stands to the stored one and when it comes"
    told = "; ".join(f"{relation}, {age} W: {verdict.name.lower()}" for (relation, age), verdict in TABLE.items())
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
            ' aria-labelledby="t d">',
            f'<title id="t">{title}</title>',
            f'<desc id="d">{told}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" x="1" y="1" width="{_WIDTH - 2}" height="{_HEIGHT - 2}" rx="8"/>',
            *_line(),
            *(part for age in Age for part in _lane(age)),
            "</svg>",
            "",
        ]
    )


def _line() -> Iterator[str]:
    """Draw the tokens of a session, the oldest first."""
    for index, relation in enumerate(_LINE):
        x, style = _middle(index), "mark stored" if relation is Relation.SAME else "mark"
        if index:
            yield f'<path class="line" fill="none" d="M{x - _STEP + 10} 78 H{x - 12} m-8 -5 l8 5 l-8 5"/>'
        yield f'<text x="{x}" y="34" font-weight="600">{relation}</text>'
        yield f'<text x="{x}" y="56">{_MARK[relation]}</text>'
        yield f'<circle class="{style}" cx="{x}" cy="78" r="8"/>'
        yield f'<path class="line" stroke-dasharray="2 5" d="M{x} {_UNDER} V{_TOP[Age.WITHIN] - 4}"/>'
    yield f'<text x="{_middle(_LINE.index(Relation.PAST))}" y="112">or an abandoned branch</text>'


def _lane(age: Age) -> Iterator[str]:
    """Draw the verdicts on tokens that come at this age."""
    top = _TOP[age]
    yield f'<text class="lane" x="20" y="{top + 48}">{age} W</text>'
    yield f'<text class="lane" x="20" y="{top + 68}" style="font-weight: 400">of the last</text>'
    yield f'<text class="lane" x="20" y="{top + 88}" style="font-weight: 400">rotation</text>'
    for index, relation in enumerate(_LINE):
        verdict, effect, x = TABLE[relation, age], effects()[relation, age], _middle(index)
        kind = _kind(verdict, effect)
        yield f'<rect class="{kind}" x="{x - _BOX // 2}" y="{top}" width="{_BOX}" height="112" rx="6"/>'
        yield f'<text class="name" x="{x}" y="{top + 28}">{verdict.name.lower()}</text>'
        yield f'<text x="{x}" y="{top + 54}">{_does(kind, effect)}</text>'
        for line, part in enumerate(effect.given.split(" or ")):
            start = "or" if line else "gives"
            what = part.removeprefix("the ").replace("none", "no token")
            yield f'<text x="{x}" y="{top + 78 + 20 * line}">{start} {what}</text>'


def _does(kind: str, effect: Effect) -> str:
    return "ends the session" if kind == "ends" else f"writes {effect.written.replace('the ', '')}"


def _kind(verdict: Verdict, effect: Effect) -> str:
    if verdict is Verdict.REUSE:
        return "ends"
    if effect.written != _NOTHING:
        return "moves"
    return "refused" if effect.given == "none" else "stays"


def _middle(index: int) -> int:
    return _LEFT + _STEP * index + _STEP // 2
