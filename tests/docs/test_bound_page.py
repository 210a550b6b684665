"""docs/bound.md says of each threat which tests show what happens: these are there."""

from .named_tests import DOCS, NAMED, missing, rows_below

TEXT = (DOCS / "bound.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there() -> None:
    """Every test that the page names exists in that file."""
    assert [] == missing(TEXT)


def test_every_threat_names_a_test() -> None:
    """Each line of the threat models has one test at least, named in full, and nothing else beside it."""
    found = rows_below("| threat | what happens | test |", TEXT)
    assert len(found) > 24
    assert {""} == {NAMED.sub("", row[2]).replace(",", "").strip() for row in found if len(row) == 3}
    assert [] == [row for row in found if len(row) != 3 or not NAMED.search(row[2])]
