"""The page of what is public is complete, and every name on it exists."""

import importlib
import re
from pathlib import Path

import daypass
from tests.docs import public_api

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "public.md"
NAME = re.compile(r"^\| `(daypass(?:\.\w+)*)\.([A-Z]\w*)`", re.MULTILINE)


def test_every_public_name_is_on_the_page() -> None:
    """What `import daypass` offers is listed."""
    listed = {name for module, name in NAME.findall(PAGE.read_text(encoding="utf-8")) if module == "daypass"}
    assert set(daypass.__all__) == listed


def test_every_name_on_the_page_is_there() -> None:
    """Each can be imported from where the page says."""
    missing = []
    for module, name in NAME.findall(PAGE.read_text(encoding="utf-8")):
        try:
            found = hasattr(importlib.import_module(module), name)
        except ImportError:
            found = False
        if not found:
            missing.append(f"{module}.{name}")
    assert [] == missing


def test_signatures_are_those_of_the_committed_listing() -> None:
    """A change of a public signature changes the listing: ``python -m tests.docs.public_api`` writes it."""
    listed = public_api.LISTING.read_text(encoding="utf-8").splitlines()
    assert listed == public_api.lines(), "if this is meant, run: .venv/bin/python -m tests.docs.public_api"


MODULE = re.compile(r"^\| `(daypass[\w.]*)` \| (`.*`) \|$", re.MULTILINE)


def test_public_names_of_a_module_are_its_all() -> None:
    """For each module, the page lists exactly what the module's ``__all__`` lists, and all of it is there."""
    listed = dict(MODULE.findall(PAGE.read_text(encoding="utf-8")))
    assert 20 < len(listed)
    for name, row in listed.items():
        module = importlib.import_module(name)
        assert sorted(module.__all__) == re.findall(r"`(\w+)`", row), name
        assert [] == [each for each in module.__all__ if not hasattr(module, each)], name
