"""docs/rotation.md says what the explorer says; `tests/docs/test_rotation_page.py` has what needs no explorer."""

import re

import pytest

from daypass.rotation import TABLE, Age, Relation

from .designs import LIMITS
from .diagram import effects, svg
from .explorer import explore
from .page import DIAGRAM, PAGE, remade
from .promises import promises_of
from .variants import VARIANTS
from .world import World
from .worlds import DEEP, QUICK

TEXT = PAGE.read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table that begins so."""
    _, _, after = TEXT.partition(f"\n{header}")
    lines = after.splitlines()[2:]
    end = next(index for index, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_the_table_is_the_rules_own() -> None:
    """Row by row: relation, age, verdict, what is written and what is answered; each row exactly once."""
    shown = {}
    for token, comes, verdict, written, given in rows("| the presented token"):
        case = Relation(token.split("*")[1]), Age(comes.removesuffix(" W"))
        assert case not in shown
        shown[case] = verdict.strip("*"), written, given
    expected = {
        case: (verdict.name.lower(), effects()[case].written, effects()[case].given) for case, verdict in TABLE.items()
    }
    assert expected == shown


def test_generated_parts_are_up_to_date() -> None:
    """Tables and traces on the page are the explorer's of today; else: ``python -m tests.model.page``."""
    assert remade(TEXT) == TEXT


def test_the_diagram_is_the_tables() -> None:
    """The committed picture is made from TABLE, and needs no other file."""
    picture = DIAGRAM.read_text(encoding="utf-8")
    assert svg() == picture
    assert f"]({DIAGRAM.name})" in TEXT
    assert [] == re.findall(r"href|url\(|@import|<script|<image", picture)


def test_quoted_steps_are_those_that_are_found() -> None:
    """Where the page names a broken rule or a limit, the number of steps beside it is correct."""
    quoted = dict(re.findall(r"`([^`]+)`,\s+(\d+) steps?", TEXT))
    expected = {variant.name: variant.steps for variant in VARIANTS}
    expected |= {name: len(limit.explored().trace) for name, limit in LIMITS.items() if name in quoted}
    assert {name: str(expected[name]) for name in quoted} == quoted


@pytest.mark.parametrize(("relation", "age"), TABLE)
def test_each_row_is_there_for_a_reason(relation: Relation, age: Age) -> None:
    """For each row of the table the page names a broken rule that has another verdict in it."""
    assert re.search(rf"(`|made: variant: ){relation}, {age}: [A-Z]+ for {TABLE[relation, age].name}\b", TEXT)


def test_each_limit_is_on_the_page() -> None:
    """What the explorer breaks is said not to be promised."""
    assert [] == [name for name in LIMITS if f"`{name}`" not in TEXT and f"made: limit: {name} " not in TEXT]


def test_the_worlds_are_those_that_are_explored() -> None:
    """The page lists every world; the states and depth of the quick ones are counted again."""
    shown = {name: (states, depth) for name, states, depth, _ in rows("| world |")}
    assert list(DEEP) == list(shown)
    for name, settings in QUICK.items():
        world = World(settings)
        result = explore(world, promises_of(world))
        assert (f"{result.states:,}", str(result.depth)) == shown[name]


def test_the_total_is_that_of_the_list() -> None:
    """Worlds and states under the list are its sums."""
    states = [int(cells[1].replace(",", "")) for cells in rows("| world |")]
    assert f"{len(states)} worlds, {sum(states):,} states" in TEXT


def test_the_number_of_broken_rules_is_right() -> None:
    """The page counts them as `VARIANTS` does."""
    assert [str(len(VARIANTS))] == re.findall(r"<!-- variants -->(\d+) variants", TEXT)
