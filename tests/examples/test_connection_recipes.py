"""The recipes of docs/connection-recipes.md work, and end with their session."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ("httpx_ws", "httpx_sse", "socket_io", "g_rpc", "flask_sock", "flask_sse", "django_sse")


def test_recipes_outlive_an_access_token_and_end_with_their_session() -> None:
    """Each client gets messages after its first access token has expired, and learns when its session ends.

    All run at once in another process.
    """
    command = [sys.executable, "-m", "tests.examples.connection_recipes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert dict.fromkeys(RECIPES, "held") == json.loads(done.stdout)
