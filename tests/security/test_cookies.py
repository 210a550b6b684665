"""Attacks on the cookie: what another host of the same site, or of the same machine, could set beside it.

ASVS 5.0 chapter 3.3, RFC 10017 §6.1.3.2.
"""

import re

import pytest

from daypass import EventCode
from daypass.cookie_names import SECURE_DEFAULT
from daypass.web.cookies import MAXIMUM_AGE

from ..web.live import LOGIN
from ..web.world import BOB, Asked, access_token, cookie_value, headers_named, json_of

NO_SPACE = ["\x85", "\xa0", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\u2000", "\u3000", "\u2028", "\ufeff"]
"""White space to Python, but part of a name to a browser, which then does not apply the rules of `__Host-`."""


def whose(asked: Asked, cookies: str) -> str | None:
    """Return the user whose session a refresh with these cookies continues, None if it is refused."""
    response = asked.ask("POST", "/refresh", headers={"cookie": cookies})
    if response.status == 401:
        return None
    return str(json_of(asked.ask("GET", "/me", token=access_token(response)))["subject"])


@pytest.mark.parametrize("space", NO_SPACE)
def test_a_cookie_that_slipped_past_the_prefix_is_not_ours(space: str) -> None:
    """A sister host's cookie with our name and white space that browsers keep is a different cookie."""
    asked = Asked()
    _, own = asked.login()
    _, tossed = asked.login(BOB)
    for name in (f"{space}{SECURE_DEFAULT}", f"{SECURE_DEFAULT}{space}"):
        assert "user-1" == whose(asked, f"{name}={tossed}; {SECURE_DEFAULT}={own}")
        asked.end_grace()
        assert whose(asked, f"{name}={tossed}") is None


@pytest.mark.parametrize(
    "name", ["__host-daypass", "__HOST-daypass", "__Host-Daypass", "daypass", "__Secure-daypass", "Host-daypass", ""]
)
def test_a_cookie_of_a_similar_name_is_not_ours(name: str) -> None:
    """Over HTTPS one name counts, to the letter: no other prefix, no other case, not the name of loopback."""
    asked = Asked()
    _, tossed = asked.login(BOB)
    assert whose(asked, f"{name}={tossed}") is None


@pytest.mark.parametrize("around", ['"{}"', " {}", "{}\t", '\t"{}" '])
def test_a_cookie_is_read_as_browsers_and_proxies_write_it(around: str) -> None:
    """Quotes, and spaces and tabs around it, are no part of the value (RFC 6265 §5.2)."""
    asked = Asked()
    _, own = asked.login()
    assert "user-1" == whose(asked, f"a=b; {SECURE_DEFAULT}={around.format(own)}; c=d")


def test_every_cookie_that_is_ever_set_has_every_attribute() -> None:
    """Login, refresh, logout, the end of all sessions, a rejection: each with prefix and attributes, and no Domain."""
    asked = Asked()
    access, cookie = asked.login()
    answers = [
        asked.ask("POST", "/login", LOGIN),
        asked.ask("POST", "/refresh", cookie=cookie),
        asked.ask("POST", "/refresh", cookie="dpr_forged"),
        asked.ask("DELETE", "/sessions", token=access),
        asked.ask("POST", "/logout", cookie=cookie),
    ]
    form = re.compile(r"__Host-daypass=[\w-]*; Path=/; Max-Age=\d+; HttpOnly; Secure; SameSite=Strict", re.ASCII)
    found = [header for answer in answers for header in headers_named(answer, "set-cookie")]
    assert len(found) >= 3
    for header in found:
        assert form.fullmatch(header)
        assert len(header.partition(";")[0]) < 4096


def test_what_comes_in_never_comes_out_in_a_cookie() -> None:
    """Nothing that a request holds gets into the header that sets a cookie: no attribute can be injected."""
    asked = Asked()
    _, cookie = asked.login()
    evil = "x\r\nset-cookie: a=b; Domain=example.com"
    for sent in (f"{cookie}{evil}", evil, "; Domain=example.com"):
        answer = asked.ask("POST", "/refresh", cookie=sent, host=f"api.example.com{evil}")
        cookies = headers_named(answer, "set-cookie")
        assert all("evil" not in each and "\r" not in each and "Domain" not in each for each in cookies)


def test_a_cookie_lives_no_longer_than_its_session() -> None:
    """The cookie's age is the rest of the session's lifetime, at login and at each refresh, at most 400 days."""
    asked = Asked(idle_ttl="700d", absolute_ttl="800d")
    _, cookie = asked.login()
    ages = []
    for _ in range(3):
        answer = asked.ask("POST", "/refresh", cookie=cookie)
        (header,) = headers_named(answer, "set-cookie")
        cookie = header.partition("=")[2].partition(";")[0]
        ages.append(int(header.partition("Max-Age=")[2].partition(";")[0]))
        asked.clock.advance(300 * 86_400_000)
    assert [MAXIMUM_AGE // 1000, MAXIMUM_AGE // 1000, 200 * 86_400] == ages


def test_a_session_id_that_somebody_brings_along_is_not_adopted() -> None:
    """No fixation: whatever cookie comes with a login, the session is new and has a new secret."""
    asked = Asked()
    _, planted = asked.login(BOB)
    response = asked.ask("POST", "/login", LOGIN, cookie=planted)
    assert planted not in str(response.headers)
    assert "user-1" == json_of(asked.ask("GET", "/me", token=access_token(response)))["subject"]
    first, second = (event.session_id for event in asked.events if event.code is EventCode.STARTED)
    assert first != second
    assert cookie_value(response) != planted
