"""docs/scenarios.md has every scenario and every client, and says of them what the tests of the kit show."""

from pathlib import Path

from daypass.testing.client_table import expected, remade, table

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


def test_the_table_is_the_kits() -> None:
    """Row by row and cell by cell: a tick is what `tests/client/test_contract.py` shows, and nothing else."""
    page = PAGE.read_text(encoding="utf-8")
    assert table(expected) in page
    assert page == remade(page, expected)
