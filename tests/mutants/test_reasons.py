"""The changes that no test has to notice are changes of lines that exist."""

import pytest

from .reasons import MODULES, ROOT, all_reasons


@pytest.mark.parametrize("module", all_reasons())
def test_each_reason_is_for_a_line_of_its_module(module: str) -> None:
    """When the line changes, its reason may no longer be true: `make mutants` shows whether it is still needed."""
    source = (ROOT / "src/daypass" / MODULES[module]).read_text(encoding="utf-8")
    lines = {" ".join(line.split()) for line in source.splitlines()}

    assert set() == {each.line for each in all_reasons()[module]} - lines
