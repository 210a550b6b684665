"""Pages without JavaScript under attack: their two cookies, and the forms of other sites (ASVS 5.0: 3.3, 3.5)."""

import pytest

from daypass.web import Application
from daypass.web.browser_login import BrowserLogin
from daypass.web.message import Request

from ..web.world import ALICE, BOB, HOST, Asked

ACCESS = "daypass-access"
METHODS = ["POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "post", "get", "Get", "GET ", ""]
FOREIGN = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://blog.example.com"},
    {"sec-fetch-site": ""},
    {"origin": "null"},
    {"origin": "http://api.example.com"},
]


def login(asked: Asked, cookies: str, method: str = "GET", **headers: str) -> BrowserLogin:
    """Return how pages take a request with these cookies."""
    sent = {"cookie": cookies, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = Request("https", HOST, sent, method=method)
    return asked.auth.run(Application(asked.auth).pages().process_request(request, asked.auth.new_call()))


@pytest.mark.parametrize("space", ["\x85", "\xa0", "\x0b", "\x1c", "\x1f", "\u2000", "\ufeff"])
def test_a_cookie_that_slipped_past_the_prefix_logs_nobody_in(space: str) -> None:
    """A sister host can put no victim into its own session: its cookies are others', to the letter."""
    asked = Asked()
    own, tossed = (asked.auth.start(user) for user in (ALICE, BOB))
    for name in (f"{space}__Host-{ACCESS}", f"__Host-{ACCESS}{space}", ACCESS, f"__host-{ACCESS}", f"__HOST-{ACCESS}"):
        assert login(asked, f"{name}={tossed.access_token}").token is None
        entered = login(asked, f"{name}={tossed.access_token}; __Host-{ACCESS}={own.access_token}")
        assert entered.token is not None
        assert "user-1" == entered.token.subject


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda sent: " ".join(sent.values()) or "-")
def test_a_form_of_another_site_does_nothing_by_our_cookies(method: str, foreign: dict[str, str]) -> None:
    """Whatever is no method known to be safe is refused before the application sees it, with each of the cookies."""
    asked = Asked()
    tokens = asked.auth.start(ALICE)
    asked.events.clear()
    for cookies in (f"__Host-{ACCESS}={tokens.access_token}", f"__Host-daypass={tokens.refresh_token}"):
        entered = login(asked, cookies, method, **foreign)
        assert entered.refusal is not None
        assert 403 == entered.refusal.status
        assert (None, None) == (entered.token, entered.authorization)
    assert [] == asked.events


def test_a_refresh_token_in_the_wrong_cookie_is_ignored() -> None:
    """The two cookies are not confused: a token counts only in its own cookie."""
    asked = Asked()
    tokens = asked.auth.start(ALICE)
    assert login(asked, f"__Host-{ACCESS}={tokens.refresh_token}").token is None
    assert login(asked, f"__Host-daypass={tokens.access_token}").token is None


def test_a_header_of_the_clients_own_is_not_lent_the_cookies() -> None:
    """A request with ``Authorization`` is that user's, and with a forged one nobody's: cookies do not replace it."""
    asked = Asked()
    tokens = asked.auth.start(ALICE)
    for header in ("Bearer forged", "bearer", "Bearer", "Digest x", "DPoP x", ""):
        entered = login(asked, f"__Host-{ACCESS}={tokens.access_token}", authorization=header)
        assert (None, None) == (entered.token, entered.authorization)
