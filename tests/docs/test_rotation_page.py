"""docs/rotation.md says what the rule and the clients say; `tests/model/test_page.py` has what the explorer says."""

import re
from pathlib import Path

from daypass.client.timing import Timing
from daypass.policy import Policy
from daypass.rotation import TABLE

TEXT = (Path(__file__).parents[2] / "docs" / "rotation.md").read_text(encoding="utf-8")


def test_the_verdicts_are_the_tables() -> None:
    """Row by row: each case of TABLE once, with its verdict, and no other."""
    row = re.compile(r"^\| \*([a-z ]+)\*: [^|]+ \| (within|after) W \| \*\*([a-z]+)\*\* \|", re.MULTILINE)
    expected = [(*map(str, case), verdict.name.lower()) for case, verdict in TABLE.items()]
    assert sorted(expected) == sorted(row.findall(TEXT))


def test_each_verdict_is_explained() -> None:
    """The list below the table explains every verdict."""
    explained = re.findall(r"^- \*\*([a-z]+)\*\*: ", TEXT, re.MULTILINE)
    assert {verdict.name.lower() for verdict in TABLE.values()} == set(explained)


def test_spans_of_time_are_those_of_the_code() -> None:
    """What the page says of our clients and of the default is so, and W is three times D."""
    timing, policy = Timing(), Policy()
    shown = {name: int(span) * 1000 for name, span in re.findall(r"<!-- timing: (\w+) -->(\d+) s", TEXT)}
    assert {"attempt": timing.attempt, "deadline": timing.deadline, "grace": policy.grace_period} == shown
    assert policy.grace_period == 3 * timing.deadline
    assert policy.grace_period == 2 * 3 * timing.attempt
