"""Rendering of React and Vue on a server, and hydration by React."""

import json
from pathlib import Path
from typing import Any

import pytest

from .. import npm
from .conftest import Tab, wait_for
from .project import run
from .site import USERS, Site

KNOWN = {"subject": USERS["alice"].subject, "username": "alice", "email": "alice@example.com", "claims": {}}


@pytest.fixture(scope="module")
def rendered(built: Path) -> Any:
    """Return what a server renders for an unknown user, for nobody, and for Alice. The process ends by itself."""
    return json.loads(run(npm.NODE, "ssr.mjs", json.dumps([None, KNOWN]), folder=built))


def test_rendering_on_a_server(rendered: Any) -> None:
    """On a server a session does nothing. The page shows the user that the server knows."""
    texts = ["nobody|one moment", "nobody|log in", "alice|welcome"]
    assert [f'<b id="name">{text.replace("|", "</b><i>")}</i>' for text in texts] == rendered["react"]
    assert [f"<b>{text}</b>" for text in ("unknown nobody", "out nobody", "in alice")] == rendered["vue"]
    assert rendered["ready"] is None


@pytest.mark.clients("React")
@pytest.mark.not_for(fetch="no components", axios="no components", Vue="only its rendering is tried")
@pytest.mark.parametrize("knows", [False, True], ids=["unknown", "known"])
def test_hydration(tab: Tab, site: Site, rendered: Any, *, knows: bool) -> None:
    """A page hydrates without a mismatch. The user that the server knew is shown until the session is restored."""
    tab("react_lab").evaluate("session.login({ username: 'alice', password: 'correct horse battery' })")
    site.html = rendered["react"][2 if knows else 0]
    site.script = f"window.initialUser = {json.dumps(KNOWN)}" if knows else ""
    site.delay = 0.2
    page = tab("react_hydrated")
    wait_for(page, "#root", "alicewelcome")
    assert (["alicewelcome"] if knows else ["nobodyone moment", "alicewelcome"]) == page.evaluate("seen.shown")
