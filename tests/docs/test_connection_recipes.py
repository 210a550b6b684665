"""The recipes of docs/connection-recipes.md work, and end with their session."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ("httpx_ws", "httpx_sse", "socket_io", "g_rpc", "flask_sock", "flask_sse", "django_sse")


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    command = [sys.executable, "-m", "tests.docs.connection_recipes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_outlives_an_access_token_and_ends_with_its_session(found: dict[str, str], recipe: str) -> None:
    """A client gets something after its first access token has expired, and is told when its session ends."""
    assert "held" == found[recipe]
