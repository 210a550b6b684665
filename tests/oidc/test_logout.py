"""Logout at the provider: by its back channel, and by the browser."""

import time
from typing import Any

import pytest
from joserfc.jwk import OctKey

from daypass import SessionRevoked, User

from .providers import CLIENT, EVENT, OTHER, SECRET, LyingProvider
from .world import ORIGIN, World, query_of, world


async def logged_in(here: World, subject: str, sid: str, **claims: Any) -> str:
    """Log a new browser in; return its access token."""
    here.provider.lies.claims = {"sub": subject, "sid": sid, **claims}
    async with here.another_browser() as browser:
        assert 303 == (await here.log_in(browser)).status_code
        token: str = (await here.refresh(browser)).json()["accessToken"]
    return token


async def live(here: World, *tokens: str) -> list[bool]:
    """Return which access tokens are accepted."""
    found = []
    for token in tokens:
        try:
            await here.auth.verify(token)
            found.append(True)
        except SessionRevoked:
            found.append(False)
    return found


@pytest.mark.parametrize("names", [("sid",), ("sub", "sid"), ("sub",)], ids=str)
async def test_logout_token_ends_exactly_its_sessions(provider: LyingProvider, names: tuple[str, ...]) -> None:
    """``sid`` ends the sessions of one login, ``sub`` all of the user's; others, and password sessions, go on."""
    async with world(provider) as here:
        one, two = await logged_in(here, "user-1", "sid-1"), await logged_in(here, "user-1", "sid-2")
        again, other = await logged_in(here, "user-1", "sid-1"), await logged_in(here, "user-2", "sid-3")
        by_password = (await here.auth.start(User("user-1"))).access_token
        token = provider.logout_token(**{"sid": None, **{n: {"sid": "sid-1", "sub": "user-1"}[n] for n in names}})
        answered = await here.log_out_by_provider(token)
        assert (200, b"", "no-store") == (answered.status_code, answered.content, answered.headers["cache-control"])
        others_end = "sid" not in names
        assert [False, not others_end, False, True, True] == await live(here, one, two, again, other, by_password)
        assert 2 + others_end == here.told().count("logged_out")


async def test_logout_token_is_used_once(provider: LyingProvider) -> None:
    """A replay does not end the user's next session, on any node of the same store."""
    async with world(provider) as here:
        await logged_in(here, "user-1", "sid-1")
        token = provider.logout_token(sub="user-1", sid=None)
        assert 200 == (await here.log_out_by_provider(token)).status_code
        later = await logged_in(here, "user-1", "sid-2", iat=int(time.time()) + 5)
        answered = await here.log_out_by_provider(token)
        assert (400, "no-store") == (answered.status_code, answered.headers["cache-control"])
        assert [True] == await live(here, later)


REFUSED: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "another"},
    "another issuer": {"iss": "https://evil.example"},
    "expired": {"exp": int(time.time()) - 120},
    "old, without an expiry": {"exp": None, "iat": int(time.time()) - 3600},
    "from the future": {"iat": int(time.time()) + 3600},
    "no time": {"iat": None},
    "no identifier": {"jti": None},
    "no events": {"events": None},
    "another event": {"events": {"https://schemas.example/other": {}}},
    "an event that is no object": {"events": {EVENT: "yes"}},
    "a nonce, as in an ID token": {"nonce": "n"},
    "neither sub nor sid": {"sid": None},
    "an empty sid": {"sid": ""},
    "a sid that is a number": {"sid": 1},
}
FORGED: dict[str, dict[str, Any]] = {
    "not signed": {"header": {"alg": "none", "kid": None}},
    "signed with the client's secret": {"key": OctKey.import_key(SECRET.encode()), "header": {"alg": "HS256"}},
    "signed with an unknown key": {"key": OTHER},
    "an ID token's type is fine, an access token's is not": {"header": {"typ": "at+jwt"}},
}


async def test_logout_token_that_is_refused_ends_nothing(provider: LyingProvider) -> None:
    """400, whatever is wrong with it, and the sessions go on."""
    async with world(provider) as here:
        session = await logged_in(here, "user-1", "sid-1")
        honest = provider.lies
        tokens = {name: provider.logout_token(**claims) for name, claims in REFUSED.items()}
        for name, lies in FORGED.items():
            for lie, value in lies.items():
                setattr(honest, lie, value)
            tokens[name] = provider.logout_token()
            honest.header, honest.key = {}, honest.published[0]
        tokens |= {"an ID token": provider.signed(provider.honest_claims()), "empty": "", "nonsense": "a.b.c"}
        tokens["long"] = "x" * 20_000
        for name, token in tokens.items():
            answered = await here.log_out_by_provider(token)
            assert (400, "invalid_request") == (answered.status_code, answered.json()["error"]), name
        async with here.another_browser() as elsewhere:
            path = "/auth/oidc/backchannel-logout"
            assert 400 == (await elsewhere.post(path, json={"logout_token": provider.logout_token()})).status_code
            assert 405 == (await elsewhere.get(path)).status_code
        assert [True] == await live(here, session)
        for kind in ("JWT", "logout+jwt"):
            honest.header = {"typ": kind}
            assert 200 == (await here.log_out_by_provider(provider.logout_token(exp=None))).status_code
        assert [False] == await live(here, session)


async def test_logout_while_the_login_is_under_way(provider: LyingProvider) -> None:
    """A session whose login has ended at the provider before it began does not begin."""
    async with world(provider) as here:
        back = await here.consent(await here.begin())
        provider.lies.delay = 0.1
        provider.lies.claims = {"iat": int(time.time())}
        assert 200 == (await here.log_out_by_provider(provider.logout_token())).status_code
        answered = await here.browser.get(back)
        assert (401, "login_failed") == (answered.status_code, answered.json()["error"])
        assert () == await here.auth.sessions("user-1")


async def test_logout_while_the_store_is_down(provider: LyingProvider) -> None:
    """400, and the same token works later: a provider that sends it again ends the session."""
    async with world(provider) as here:
        session = await logged_in(here, "user-1", "sid-1")
        token = provider.logout_token()
        here.store.is_down = True
        answered = await here.log_out_by_provider(token)
        assert (400, "temporarily_unavailable") == (answered.status_code, answered.json()["error"])
        here.store.is_down = False
        assert [True] == await live(here, session)
        assert 200 == (await here.log_out_by_provider(token)).status_code
        assert [False] == await live(here, session)


async def test_browser_logs_out_here_and_at_the_provider(provider: LyingProvider) -> None:
    """A form ends the session and goes on to the provider, which knows by the ID token whose login it is."""
    async with world(provider, return_to="/bye") as here:
        await here.log_in()
        id_token = next(each.value for each in here.browser.cookies.jar if each.name == "daypass-id-token")
        crossing = await here.browser.post("/auth/oidc/logout", headers={"sec-fetch-site": "cross-site"})
        assert 403 == crossing.status_code
        assert 200 == (await here.refresh()).status_code
        answered = await here.browser.post("/auth/oidc/logout", headers={"sec-fetch-site": "same-origin"})
        assert 303 == answered.status_code
        assert answered.headers["location"].startswith(f"{provider.issuer}/logout?")
        sent = query_of(answered.headers["location"])
        assert {
            "client_id": CLIENT,
            "post_logout_redirect_uri": f"{ORIGIN}/bye",
            "id_token_hint": id_token,
        } == sent
        assert 401 == (await here.refresh()).status_code
        assert [] == list(here.browser.cookies)
        assert "logged_out" == here.told()[-1]


async def test_provider_without_a_logout(provider: LyingProvider) -> None:
    """The session here ends, and the browser goes where the settings say."""
    provider.lies.metadata = {"end_session_endpoint": None}
    async with world(provider, return_to="/bye") as here:
        await here.log_in()
        answered = await here.browser.post("/auth/oidc/logout")
        assert (303, "/bye") == (answered.status_code, answered.headers["location"])
        assert 401 == (await here.refresh()).status_code
