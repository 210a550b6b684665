"""Logins at an OpenID Connect provider, and what an attacker or a broken provider might send."""

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from joserfc.jwk import OctKey

from daypass import User
from daypass.server.oidc.user_claims import NotAllowed, UserRules

from .providers import CLIENT, KEY, OTHER, SECRET, Lies, LyingProvider, new_key
from .world import HOUR, ORIGIN, query_of, world

UNKNOWN = new_key("third")
ALICE = {"preferred_username": "alice", "email": "alice@example.com", "email_verified": True}


def cookies_in(response: Any) -> dict[str, str]:
    lines = response.headers.get_list("set-cookie")
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


async def test_login_starts_a_session_of_the_provider_s_user(provider: LyingProvider) -> None:
    """The request has PKCE, state and nonce; the session has the name and address, after a refresh too."""
    provider.lies.claims = {**ALICE, "acr": "mfa", "amr": ["pwd", "otp"], "auth_time": int(time.time()) - 3600}
    async with world(provider) as here:
        url = await here.begin(return_to="/orders?page=2", login_hint="alice", prompt="login")
        sent = query_of(url)
        assert url.startswith(f"{provider.issuer}/authorize?")
        assert (CLIENT, "code", "openid email") == (sent["client_id"], sent["response_type"], sent["scope"])
        assert f"{ORIGIN}/auth/oidc/callback" == sent["redirect_uri"]
        assert ("S256", "alice", "login") == (sent["code_challenge_method"], sent["login_hint"], sent["prompt"])
        answered = await here.browser.get(await here.consent(url))
        assert (303, "/orders?page=2") == (answered.status_code, answered.headers["location"])
        cookies = cookies_in(answered)
        assert "SameSite=Strict" in cookies["daypass-8000"]
        assert "Max-Age=0" in cookies[f"daypass-oidc-{sent['state'][:16]}"]
        form = provider.forms[-1]
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = f"{CLIENT}:{quote(SECRET, safe='')}"
        assert f"Basic {base64.b64encode(basic.encode()).decode()}" == provider.authorizations[-1]
        for _ in range(2):
            refreshed = await here.refresh()
            token = await here.auth.verify(refreshed.json()["accessToken"])
            assert ("user-1", "alice", "alice@example.com") == (token.subject, token.username, token.email)
            assert ("mfa", ["pwd", "otp"]) == (token.claims["acr"], token.claims["amr"])
            assert 3590 < token.session_started_at / 1000 - token.auth_time / 1000 < 3610
            here.clock.advance(60_000)
        assert ["started", "rotated", "rotated"] == here.told()


ATTACKS: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "another"}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "another"}},
    "no audience": {"claims": {"aud": None}},
    "several audiences, without azp": {"claims": {"aud": [CLIENT, "another"]}},
    "another authorized party": {"claims": {"azp": "another"}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": {"exp": int(time.time()) - 120}},
    "no expiry": {"claims": {"exp": None}},
    "from the future": {"claims": {"iat": int(time.time()) + 3600}},
    "expiry in words": {"claims": {"exp": "tomorrow"}},
    "no subject": {"claims": {"sub": None}},
    "an empty subject": {"claims": {"sub": ""}},
    "a subject that is a number": {"claims": {"sub": 1}},
    "a subject that is too long": {"claims": {"sub": "x" * 300}},
    "another access token's hash": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "not signed": {"header": {"alg": "none", "kid": None}},
    "signed with the client's secret": {"key": OctKey.import_key(SECRET.encode()), "header": {"alg": "HS256"}},
    "signed with an unknown key": {"key": OTHER},
    "an unknown key with a known name": {"key": OTHER, "header": {"kid": "first"}},
    "an access token": {"header": {"typ": "at+jwt"}},
    "a logout token": {"header": {"typ": "logout+jwt"}},
    "critical extensions": {"header": {"crit": ["b64"], "b64": True}},
}


async def test_id_token_that_is_refused_starts_nothing(provider: LyingProvider) -> None:
    """There is no session and no cookie; the answer and the events have no code, token or secret."""
    async with world(provider) as here:
        for name, lies in ATTACKS.items():
            provider.lies = Lies(**lies)
            back = await here.consent(await here.begin())
            answered = await here.browser.get(back)
            assert (401, "login_failed") == (answered.status_code, answered.json()["error"]), name
            assert [] == list(here.browser.cookies), name
            shown = answered.text + repr(here.events)
            assert not any(secret in shown for secret in (query_of(back)["code"], SECRET, "eyJ", "an-access-token"))
        assert {"login_failed"} == set(here.told())
        assert () == await here.auth.sessions("user-1")


async def test_login_from_another_browser_is_refused(provider: LyingProvider) -> None:
    """A link to a callback logs nobody in as somebody else: state and code belong to the browser that asked."""
    async with world(provider) as here:
        back = await here.consent(await here.begin())
        async with here.another_browser() as victim:
            await here.begin(victim)
            for url in (back, f"{ORIGIN}/auth/oidc/callback?code=x", f"{back}&state=again", f"{back[:-1]}é"):
                assert 400 == (await victim.get(url)).status_code
        assert [] == provider.forms
        assert 303 == (await here.browser.get(back)).status_code
        again = await here.browser.get(back)
        assert (400, "invalid_state") == (again.status_code, again.json()["error"])


async def test_code_is_used_once(provider: LyingProvider) -> None:
    """A thief who replays a code in a login of their own gets nothing, and ends nothing."""
    async with world(provider) as here:
        code = query_of(await here.consent(await here.begin()))["code"]
        async with here.another_browser() as thief:
            state = query_of(await here.begin(thief))["state"]
            stolen = await thief.get("/auth/oidc/callback", params={"code": code, "state": state})
            assert 401 == stolen.status_code  # the provider knows another challenge, here another nonce
        assert 401 == (await here.refresh()).status_code


async def test_login_that_took_too_long_or_was_changed_is_refused(provider: LyingProvider) -> None:
    """The browser's cookie is authentic and lasts ten minutes."""
    async with world(provider) as here:
        back = await here.consent(await here.begin())
        name = f"daypass-oidc-{query_of(back)['state'][:16]}"
        kept = here.browser.cookies[name]
        members = json.loads(base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)))
        members[2] = "//evil.example"
        forged = base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
        assert 400 == (await here.another_browser().get(back, headers={"cookie": f"{name}={forged}"})).status_code
        assert 400 == (await here.another_browser().get(back, headers={"cookie": f"{name}="})).status_code
        here.clock.advance(601_000)
        assert 400 == (await here.browser.get(back)).status_code


ELSEWHERE = (
    *("//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "", "x", "/a b", "/a\n/b"),
    *(f"{ORIGIN}.evil.example/", f"{ORIGIN}@evil.example/", "http://localhost:80000/", "/" + "x" * 2000),
)


async def test_return_to_another_site_is_refused(provider: LyingProvider) -> None:
    """The login is no open redirect: nothing is begun."""
    async with world(provider) as here:
        for target in ELSEWHERE:
            answered = await here.browser.get("/auth/oidc/login", params={"return_to": target})
            assert (400, []) == (answered.status_code, answered.headers.get_list("set-cookie")), target


async def test_return_to_allowed_origins(provider: LyingProvider) -> None:
    """A page of an origin that the operator allowed is a place to return to, as is the service's own."""
    async with world(provider, allowed_origins=["https://app.example.com"], return_to="/start") as here:
        for target in ("https://app.example.com/a?b=c#d", "https://app.example.com", f"{ORIGIN}/x", "/y"):
            assert target == (await here.log_in(return_to=target)).headers["location"]
        assert "/start" == (await here.log_in()).headers["location"]


async def test_browser_from_another_site_is_sent_on_by_a_page(provider: LyingProvider) -> None:
    """A redirect would not have the session's ``Strict`` cookie; the place is text there, not markup."""
    async with world(provider) as here:
        back = await here.consent(await here.begin(return_to='/a?b="><script>&c'))
        answered = await here.browser.get(back, headers={"sec-fetch-site": "cross-site"})
        assert (200, "no-store") == (answered.status_code, answered.headers["cache-control"])
        assert 'content="0; url=/a?b=&quot;&gt;&lt;script&gt;&amp;c"' in answered.text
        assert 200 == (await here.refresh()).status_code


async def test_what_cannot_begin_a_login(provider: LyingProvider) -> None:
    """Unknown and doubled parameters, scripts that cannot follow the redirect, and plain HTTP are refused."""
    async with world(provider) as here:
        for query in ("client_id=x", "prompt=none", "remember=no", "return_to=/a&return_to=/b", "login_hint=%0a"):
            assert 400 == (await here.browser.get(f"/auth/oidc/login?{query}")).status_code
        by_script = await here.browser.get("/auth/oidc/login", headers={"sec-fetch-mode": "cors"})
        assert "location.assign" in by_script.json()["message"]
        plain = await here.browser.get("http://auth.example.com/auth/oidc/login")
        assert (403, "insecure_transport") == (plain.status_code, plain.json()["error"])


async def test_many_tabs_can_log_in(provider: LyingProvider) -> None:
    """Each has its own cookie; a page that begins logins without end does not fill the browser with them."""
    async with world(provider) as here:
        first, second = await here.begin(return_to="/1"), await here.begin(return_to="/2")
        assert "/1" == (await here.browser.get(await here.consent(first))).headers["location"]
        assert "/2" == (await here.browser.get(await here.consent(second))).headers["location"]
        for _ in range(20):
            await here.begin()
        assert 4 >= sum(name.startswith("daypass-oidc-") for name in here.browser.cookies)


async def test_login_without_remember_me_ends_with_the_browser(provider: LyingProvider) -> None:
    """As with a password."""
    async with world(provider) as here:
        cookies = cookies_in(await here.log_in(remember="false"))
        assert "Max-Age" not in cookies["daypass-8000"]


async def test_error_of_the_provider_is_shown_plainly(provider: LyingProvider) -> None:
    """A person gets a page with the reason, as text; a program gets JSON. Nothing is asked of the provider."""
    async with world(provider) as here:
        for accept, expected in (("text/html,*/*", "(No &lt;b&gt;thanks&lt;/b&gt;)"), ("*/*", "(No <b>thanks</b>)")):
            state = query_of(await here.begin())["state"]
            query = {"error": "access_denied", "error_description": "No <b>thanks</b>", "state": state}
            answered = await here.browser.get("/auth/oidc/callback", params=query, headers={"accept": accept})
            assert 401 == answered.status_code
            assert f"The provider did not log you in: access_denied {expected}" in answered.text
            assert "daypass-oidc" not in "".join(here.browser.cookies)
        state = query_of(await here.begin())["state"]
        query = {"error": "temporarily_unavailable", "state": state}
        assert 503 == (await here.browser.get("/auth/oidc/callback", params=query)).status_code
        assert [] == provider.forms
        assert ["access_denied"] * 2 == [event.reason for event in here.events if event.code == "login_failed"]


async def test_callback_of_another_provider_is_refused(provider: LyingProvider) -> None:
    """RFC 9207: ``iss`` must be ours, and must be there if our provider sends it."""
    provider.lies.metadata = {"authorization_response_iss_parameter_supported": True}
    async with world(provider) as here:
        for issuer, status in (("", 401), ("&iss=https://evil.example", 401), (f"&iss={provider.issuer}", 303)):
            back = await here.consent(await here.begin())
            assert status == (await here.browser.get(back + issuer)).status_code


BROKEN: dict[str, dict[str, Any]] = {
    "another issuer": {"metadata": {"issuer": "https://evil.example"}},
    "no token endpoint": {"metadata": {"token_endpoint": None}},
    "an insecure endpoint": {"metadata": {"token_endpoint": "http://evil.example/token"}},
    "keys of nonsense": {"metadata": {"jwks_uri": "http://127.0.0.1:1/"}},
    "an error at the token endpoint": {"token": lambda _: (500, b"")},
    "the client is refused": {"token": lambda _: (401, b'{"error": "invalid_client"}')},
    "no JSON": {"token": lambda _: (200, b"<html>")},
    "no ID token": {"token": lambda answer: (200, json.dumps({**answer, "id_token": None}).encode())},
}


async def test_broken_provider_is_a_503(provider: LyingProvider) -> None:
    """Nobody is told to log in again, and the cookie of the login that failed is gone."""
    for name, lies in BROKEN.items():
        provider.lies = Lies(**lies)
        async with world(provider) as here:
            answered = await here.browser.get("/auth/oidc/login")
            if answered.status_code == 303:
                answered = await here.browser.get(await here.consent(answered.headers["location"]))
            found = answered.status_code, answered.json()["error"], answered.headers["retry-after"]
            assert (503, "provider_unavailable", "1") == found, name
            assert [] == list(here.browser.cookies), name
            assert "unavailable" == here.told()[-1]


async def test_provider_that_is_down_logs_nobody_out(provider: LyingProvider) -> None:
    """Refreshes ask nothing of the provider; logins work again when it is back."""
    async with world(provider) as here:
        await here.log_in()
        provider.shutdown()
        provider.server_close()
        assert 200 == (await here.refresh()).status_code
    async with world(provider) as here:
        assert 503 == (await here.browser.get("/auth/oidc/login")).status_code
        with LyingProvider(provider.server_port):
            assert 303 == (await here.log_in()).status_code


async def test_provider_changes_its_keys(provider: LyingProvider) -> None:
    """A token with a new key fetches the keys once; tokens with unknown keys do not fetch them again and again."""
    async with world(provider) as here:
        assert 303 == (await here.log_in()).status_code
        provider.lies.key, provider.lies.published = OTHER, [KEY, OTHER]
        assert 303 == (await here.log_in()).status_code
        provider.lies.key = UNKNOWN
        for _ in range(5):
            assert 400 == (await here.log_out_by_provider(provider.logout_token())).status_code
        assert 2 == provider.asked.count("/jwks")


async def test_one_key_without_a_name(provider: LyingProvider) -> None:
    """A token without ``kid`` needs a provider with one key that fits."""
    provider.lies.header = {"kid": None}
    async with world(provider) as here:
        assert 303 == (await here.log_in()).status_code
    provider.lies.published = [KEY, OTHER]
    async with world(provider) as here:
        assert 401 == (await here.log_in()).status_code


async def test_session_ends_when_the_provider_is_to_be_asked_again(provider: LyingProvider) -> None:
    """However often it is refreshed, it lasts as long as the setting says."""
    async with world(provider) as here:
        await here.log_in()
        for _ in range(11):
            here.clock.advance(HOUR)
            assert 200 == (await here.refresh()).status_code
        here.clock.advance(HOUR)
        assert 401 == (await here.refresh()).status_code


async def test_rules_say_who_may_log_in(provider: LyingProvider) -> None:
    """A user outside is refused with 403; one inside has the scope that a claim gives."""
    rules = UserRules(scope="realm_access.roles", allowed_groups=frozenset({"staff"}))
    async with world(provider, rules=rules) as here:
        provider.lies.claims = {"groups": ["guests"]}
        refused = await here.log_in()
        assert (403, "not_allowed") == (refused.status_code, refused.json()["error"])
        roles = ["read", "daypass:admin", "two words", 7]
        provider.lies.claims = {"groups": ["guests", "staff"], "realm_access": {"roles": roles}}
        await here.log_in()
        token = await here.auth.verify((await here.refresh()).json()["accessToken"])
        assert "read daypass:admin" == token.scope


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({"email": "a@Example.com", "email_verified": True}, True),
        ({"email": "a@example.com", "email_verified": False}, False),
        ({"email": "a@example.com"}, False),
        ({"email": "a@evil.example", "email_verified": True}, False),
        ({"email": "a@sub.example.com", "email_verified": True}, False),
        ({"email": "a@example.com@evil.example", "email_verified": True}, False),
        ({"email_verified": True}, False),
        ({"iss": "https://accounts.google.com", "email": "a@example.com", "email_verified": True}, False),
        ({"iss": "https://accounts.google.com", "hd": "example.com"}, True),
    ],
)
def test_domains_that_may_log_in(claims: dict[str, Any], allowed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Only a verified address counts; at Google only an account that belongs to the organization."""
    rules = UserRules(allowed_domains=frozenset({"example.com"}))
    unverified = UserRules().user({"sub": "1", **claims})
    assert claims.get("email_verified") is not False or unverified.email is None
    if allowed:
        assert "1" == rules.user({"sub": "1", **claims}).subject
        return
    with pytest.raises(NotAllowed):
        rules.user({"sub": "1", **claims})


def test_claims_that_cannot_be_used() -> None:
    """Names that are too long or cannot be shown are left out; a scope that is too long is refused, not cut."""
    rules = UserRules(scope="roles")
    user = rules.user({"sub": "1", "preferred_username": "x" * 300, "email": "a\nb", "roles": "read write"})
    assert (None, None, "read write") == (user.username, user.email, user.scope)
    assert "" == rules.user({"sub": "1"}).scope
    with pytest.raises(NotAllowed, match="too many roles"):
        rules.user({"sub": "1", "roles": [f"role-{number}" for number in range(200)]})


async def test_own_users_decide_at_login_and_refresh(provider: LyingProvider) -> None:
    """A user source knows the provider's users by their ``sub``: it says whether, and as whom, they may go on."""
    users = {"user-1": User("user-1", "from the source", scope="read")}
    provider.lies.claims = ALICE
    async with world(provider, load_user=users.get) as here:
        await here.log_in()
        token = await here.auth.verify((await here.refresh()).json()["accessToken"])
        assert ("from the source", None, "read") == (token.username, token.email, token.scope)
        users["user-1"] = User("user-1", disabled=True)
        assert 401 == (await here.refresh()).status_code
        assert 403 == (await here.log_in()).status_code
        del users["user-1"]
        assert 403 == (await here.log_in()).status_code


async def test_accounts_are_never_linked(provider: LyingProvider) -> None:
    """A provider's user with the subject of a user who has a password here is refused."""
    async with world(provider) as here:
        here.auth._load_user = {"user-1": User("user-1")}.get
        assert 403 == (await here.log_in()).status_code


async def test_claims_from_userinfo(provider: LyingProvider) -> None:
    """They complete the ID token and do not change it; those of another user are refused."""
    async with world(provider, userinfo=True) as here:
        provider.lies.userinfo = {"sub": "user-1", "preferred_username": "ann", "iss": "https://evil.example"}
        await here.log_in()
        assert "ann" == (await here.auth.verify((await here.refresh()).json()["accessToken"])).username
        provider.lies.userinfo = {"sub": "user-2"}
        assert 401 == (await here.log_in()).status_code


async def test_public_client_and_secret_in_the_form(provider: LyingProvider) -> None:
    """Without a secret only PKCE protects the code; a provider that takes secrets only in forms gets it there."""
    async with world(provider, client_secret=None, client_auth="none") as here:
        assert 303 == (await here.log_in()).status_code
    assert (None, CLIENT) == (provider.authorizations[-1], provider.forms[-1]["client_id"])
    provider.lies.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with world(provider) as here:
        assert 303 == (await here.log_in()).status_code
    assert (None, SECRET) == (provider.authorizations[-1], provider.forms[-1]["client_secret"])


async def test_failed_logins_are_limited(provider: LyingProvider) -> None:
    """An address that fails again and again gets 429."""
    from daypass.web.limits import RateLimits

    provider.lies.claims = {"nonce": "another"}
    async with world(provider, rate_limits=RateLimits(rejected_refresh_per_address="3/minute")) as here:
        assert [401, 401, 401, 429] == [(await here.log_in()).status_code for _ in range(4)]
