"""The provider of a test."""

from collections.abc import Iterator

import pytest

from .providers import LyingProvider


@pytest.fixture
def provider() -> Iterator[LyingProvider]:
    """Return a provider that is honest until it is told to lie."""
    with LyingProvider() as running:
        yield running
