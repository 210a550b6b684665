"""docs/security.md says of each point of the standards which tests show it: these are there."""

import re

from .named_tests import DOCS, NAMED, TESTS, defined, missing, rows_below

TEXT = (DOCS / "security.md").read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """Return the rows of all tables that name tests, each as its three cells."""
    return rows_below("| point | how | tests |", TEXT)


def test_every_test_that_is_named_is_there() -> None:
    """Every test that the page names exists in that file."""
    assert len(NAMED.findall(TEXT)) > 150
    assert [] == missing(TEXT)


def test_every_row_names_a_test() -> None:
    """Each point that is said to be met is shown by one test at least, named in full."""
    found = rows()
    assert len(found) > 80
    assert [] == [row for row in found if len(row) != 3 or not NAMED.search(row[2])]
    leftover = [NAMED.sub("", row[2]).replace(",", "").strip() for row in found]
    assert {""} == set(leftover)


def test_every_point_has_its_number() -> None:
    """A row begins with the number of its point in the standard, so that it can be looked up."""
    assert [] == [row[0] for row in rows() if not re.match(r"(?:RFC \d+|ASVS)? ?\d+(?:\.\d+)*", row[0])]


def test_every_attack_is_on_the_page() -> None:
    """Each test in `tests/security` belongs to something that the page says."""
    attacks = {
        (f"security/{path.name}", name)
        for path in (TESTS / "security").glob("test_*.py")
        for name in defined(f"security/{path.name}")
        if name.startswith("test_")
    }
    assert [] == sorted(attacks - set(NAMED.findall(TEXT)))
