"""OAuth 2 token endpoints: every way to authenticate, discovery, client credentials, errors, revocation."""

import importlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from daypass.client.discovery import metadata_urls
from daypass.client.httpx import DaypassAuth
from daypass.client.messages import Answer, Outcome, Refreshed, Rejected, Unavailable
from daypass.client.oauth import OAuth, judge
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable
from daypass.testing.strict_server import Line, StrictServer

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=0, backoff=0)


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client() as client:
        yield client


def given(issuer: StrictServer) -> dict[str, Any]:
    """Return tokens as an authorization code grant would have given them."""
    issuer.lines["s"] = Line(["first"])
    issuer.live["access"], issuer._deaths["access"] = "s", float("inf")
    return {"access_token": "access", "refresh_token": "first", "expires_in": 900}


@pytest.mark.parametrize(
    ("options", "secret", "seen"),
    [
        ({}, None, "clients by form"),
        ({"client_secret": "s3 cr:t"}, "s3 cr:t", "clients by basic"),
        ({"client_secret": "s3 cr:t", "method": "client_secret_post"}, "s3 cr:t", "clients by form"),
    ],
    ids=["public", "basic", "post"],
)
def test_a_token_endpoint_refreshes_for_every_kind_of_client(
    issuer: StrictServer, url: str, client: httpx2.Client, clock: Any, options: dict[str, Any], secret: str, seen: str
) -> None:
    """Public, and confidential in both ways: the token is rotated each time, and revoked at the end."""
    issuer.client = ("app one", secret or "")
    strategy = OAuth(client_id="app one", token_endpoint=f"{url}/oauth/token",
                     revocation_endpoint=f"{url}/oauth/revoke", **options)  # fmt: skip
    auth = DaypassAuth(url, strategy=strategy, clock=clock, timing=TIMING)
    auth.start(**given(issuer))
    for _ in range(3):
        issuer.revoke_access()
        assert 200 == client.get(f"{url}/me", auth=auth).status_code
    clock.advance(LIFETIME)
    assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert auth.logout(client)
    assert (4, 4, 1) == (issuer.counts["refreshes"], issuer.counts["rotated"], issuer.counts["ended"])
    assert 5 == issuer.counts[seen]


@pytest.mark.parametrize("repeated", [1, 0])
def test_lost_answer_is_asked_for_again_at_once_only_if_the_server_repeats(
    issuer: StrictServer, url: str, client: httpx2.Client, repeated: int
) -> None:
    """`repeats` says of a server that does not say it itself that a used refresh token may be sent once more."""
    issuer.grace, issuer.says_grace = 30, False
    strategy = OAuth(client_id="app", token_endpoint=f"{url}/oauth/token", repeats=bool(repeated))
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    issuer.lose = 1
    if repeated:
        assert 200 == client.get(f"{url}/me", auth=auth).status_code
    else:
        with pytest.raises(RefreshUnavailable):
            client.get(f"{url}/me", auth=auth)
    assert (1, repeated) == (issuer.counts["rotated"], issuer.counts["repeated"])
    assert auth.logged_in


def test_endpoints_are_discovered_once(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """From the issuer's metadata (RFC 8414): where to refresh, where to revoke, and how to say who one is."""
    issuer.client = ("app", "secret")
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", client_secret="secret", issuer=url), timing=TIMING)
    auth.start(**given(issuer))
    for _ in range(2):
        issuer.revoke_access()
        assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert auth.logout(client)
    assert (1, 2, 3) == (issuer.counts["discoveries"], issuer.counts["rotated"], issuer.counts["clients by form"])


def test_openid_configuration_is_found_where_there_is_no_rfc_8414(
    issuer: StrictServer, url: str, client: httpx2.Client
) -> None:
    """A provider that only knows OpenID Connect Discovery: asked there second, and once."""
    issuer.metadata_at = "/.well-known/openid-configuration"
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", issuer=url), timing=TIMING)
    auth.start(**given(issuer))
    for _ in range(2):
        issuer.revoke_access()
        assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert (1, 2) == (issuer.counts["discoveries"], issuer.counts["rotated"])


def test_metadata_of_another_issuer_is_a_mistake_that_names_both(
    issuer: StrictServer, url: str, client: httpx2.Client
) -> None:
    """A slash too many in the issuer (RFC 8414 §3.3): a `ConfigurationError` says both names; no token is sent."""
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", issuer=f"{url}/"), timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(ConfigurationError) as caught:
        client.get(f"{url}/me", auth=auth)
    place = f"{url}/.well-known/oauth-authorization-server"
    assert f"the metadata at {place} names the issuer '{url}', you gave '{url}/'" in str(caught.value)
    assert auth.logged_in
    assert 0 == issuer.counts["refreshes"]


def test_no_metadata_is_a_mistake_that_names_both_places(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """Without metadata at either place, a `ConfigurationError` names both URLs; the session is kept."""
    issuer.metadata_at = "/nowhere"
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", issuer=url), timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(ConfigurationError) as caught:
        client.get(f"{url}/me", auth=auth)
    for place in metadata_urls(url):
        assert f"GET {place} answered 404" in str(caught.value)
    assert auth.logged_in
    issuer.metadata_at = "/.well-known/oauth-authorization-server"
    assert 200 == client.get(f"{url}/me", auth=auth).status_code


def test_metadata_that_cannot_be_had_now_is_an_outage(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """A 503 from the issuer is no mistake of the client's: `RefreshUnavailable`."""
    issuer.metadata_status = 503
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", issuer=url), timing=Timing(fresh=0, attempts=1))
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(RefreshUnavailable, match="answered 503"):
        client.get(f"{url}/me", auth=auth)
    assert auth.logged_in


@pytest.mark.parametrize(
    ("issuer_url", "expected"),
    [
        (
            "https://as.example",
            (
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ),
        ),
        (
            "https://as.example/tenant/1",
            (
                "https://as.example/.well-known/oauth-authorization-server/tenant/1",
                "https://as.example/tenant/1/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_metadata_is_looked_for_at_both_well_known_places(issuer_url: str, expected: tuple[str, str]) -> None:
    """RFC 8414 puts its path before the issuer's own, OpenID Connect Discovery after it."""
    assert expected == metadata_urls(issuer_url)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(401, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(403, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(200, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(200, b"error=invalid_grant&error_description=expired"), Rejected),
        (Answer(400, b'{"error": "slow_down"}'), Unavailable),
        (Answer(429, b'{"error": "invalid_grant"}'), Unavailable),
        (Answer(403, b"<html>error=invalid_grant</html>"), Unavailable),
        (Answer(400, b"<html>"), Unavailable),
        (Answer(401, b""), Unavailable),
        (Answer(503, b'{"error": "invalid_grant"}'), Unavailable),
        (Answer(200, b'{"access_token": "a", "token_type": "DPoP"}'), Unavailable),
        (Answer(200, b'{"token_type": "bearer"}'), Unavailable),
        (Answer(200, b'{"access_token": "a", "token_type": "BEARER", "expires_in": "60"}'), Refreshed),
        (Answer(200, b'{"access_token": "a"}'), Refreshed),
        (Answer(200, b'{"access_token": "a", "error": null, "status": "success"}'), Refreshed),
        (Answer(200, b"access_token=a&expires_in=60&token_type=bearer&scope="), Refreshed),
    ],
    ids=str,
)
def test_only_invalid_grant_ends_an_oauth_session(answer: Answer, expected: type[Outcome]) -> None:
    """Every other error is somebody's mistake or a gateway's; a token that is no bearer token is not used."""
    assert expected is type(judge(answer))


def test_a_servers_words_are_repeated_without_a_secret() -> None:
    """The code and the description help to find a mistake; a text that shares 8 characters with a secret is dropped."""
    answer = Answer(400, b'{"error": "slow_down", "error_description": "Try again later"}')
    assert Unavailable("the refresh was answered with 400 slow_down: Try again later") == judge(answer)
    for echo in (b"no such token: refresh-token-1", b"REFRESH-", b"token efresh-t... unknown"):
        answer = Answer(400, b'{"error": "x", "error_description": "' + echo + b'"}')
        told = judge(answer, secrets=["refresh-token-1"])
        assert Unavailable("the refresh was answered with 400 x") == told
    answer = Answer(400, b'{"error": "refresh-token-1"}')
    assert Unavailable("the refresh was answered with 400") == judge(answer, secrets=["refresh-token-1"])


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope", "invalid_target"])
def test_a_wrong_setup_is_a_configuration_error(
    issuer: StrictServer, url: str, client: httpx2.Client, error: str
) -> None:
    """RFC 6749's and 8707's words for it: the session is kept, one request is sent, the secret is in no message."""
    issuer.client, issuer.refuses = ("app", "s3cr3t"), error
    strategy = OAuth(client_id="app", client_secret="s3cr3t", token_endpoint=f"{url}/oauth/token")
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(ConfigurationError, match=error) as caught:
        client.get(f"{url}/me", auth=auth)
    assert "s3cr3t" not in str(caught.value)
    assert (True, 0, 1) == (auth.logged_in, issuer.counts["refreshes"], issuer.counts["clients by basic"])


def test_codes_that_end_a_session_are_added(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """`ends` names the provider's own codes, next to `invalid_grant`."""
    issuer.refuses = "consent_withdrawn"
    strategy = OAuth(client_id="app", token_endpoint=f"{url}/oauth/token", ends=["consent_withdrawn"])
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(LoginRequired, match="consent_withdrawn"):
        client.get(f"{url}/me", auth=auth)


@pytest.mark.parametrize("library", ["httpx", "requests", "niquests", "aiohttp"])
def test_resources_and_parameters_are_sent_with_each_refresh(issuer: StrictServer, url: str, library: str) -> None:
    """RFC 8707's `resource`, once for each API, and any other parameter, by every HTTP library."""
    strategy = OAuth(
        client_id="app",
        token_endpoint=f"{url}/oauth/token",
        scope="read",
        resource=["https://a.example", "https://b.example"],
        parameters={"audience": "x y"},
    )
    auth = importlib.import_module(f"daypass.client.{library}").DaypassAuth(url, strategy=strategy)
    tokens = given(issuer)
    auth.start(refresh_token=tokens["refresh_token"])
    assert auth.token() in issuer.live
    expected = {
        "grant_type": ["refresh_token"],
        "refresh_token": ["first"],
        "client_id": ["app"],
        "scope": ["read"],
        "resource": ["https://a.example", "https://b.example"],
        "audience": ["x y"],
    }
    assert [expected] == issuer.forms


@pytest.mark.parametrize(
    "key", [ECKey.generate_key("P-256"), RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")]
)
def test_a_client_signs_its_requests(issuer: StrictServer, url: str, client: httpx2.Client, key: Any) -> None:
    """`private_key_jwt` (RFC 7523): Authlib's check of the claims passes, and each request has a new id."""
    seen: set[str] = set()

    class Check(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib has no types
        def get_audiences(self) -> list[str]:
            return [f"{url}/oauth/token"]

        def validate_jti(self, claims: Any, jti: str) -> bool:
            fresh = jti not in seen
            seen.add(jti)
            return fresh

    public = type(key).import_key(key.as_pem(private=False))
    strategy = OAuth(
        client_id="app", token_endpoint=f"{url}/oauth/token", private_key=key.as_pem(private=True).decode()
    )
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.start(**given(issuer))
    for _ in range(2):
        issuer.revoke_access()
        assert 200 == client.get(f"{url}/me", auth=auth).status_code
    for form in issuer.forms:
        assert ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] == form["client_assertion_type"]
        claims = jwt.decode(form["client_assertion"][0], public, algorithms=["ES256", "RS256", "Ed25519"]).claims
        Check().verify_claims(claims)
        assert ("app", "app") == (claims["iss"], claims["sub"])
        assert claims["exp"] - claims["iat"] <= 60
    assert 2 == len(seen)


def test_a_service_gets_its_tokens_by_client_credentials(
    issuer: StrictServer, url: str, client: httpx2.Client, clock: Any
) -> None:
    """Without a login, the first request gets a token, and the first after its expiry a new one; no refresh token."""
    issuer.client = ("service", "secret")
    strategy = OAuth(
        client_id="service", client_secret="secret", token_endpoint=f"{url}/oauth/token", grant="client_credentials"
    )
    auth = DaypassAuth(url, strategy=strategy, clock=clock, timing=TIMING)
    for _ in range(2):
        for _ in range(2):
            assert 200 == client.get(f"{url}/me", auth=auth).status_code
        clock.advance(LIFETIME)
    assert [["client_credentials"]] * 2 == [form["grant_type"] for form in issuer.forms]
    issuer.client = ("service", "another")
    with pytest.raises(ConfigurationError, match="invalid_client"):
        client.get(f"{url}/me", auth=auth)
    issuer.client = ("service", "secret")
    assert 200 == client.get(f"{url}/me", auth=auth).status_code


def test_invalid_grant_ends_the_session_once(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """The user is told, and nothing more is sent."""
    reasons: list[str] = []
    strategy = OAuth(client_id="app", token_endpoint=f"{url}/oauth/token")
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING, on_logged_out=reasons.append)
    auth.start(**given(issuer))
    issuer.end_sessions()
    for _ in range(2):
        with pytest.raises(LoginRequired):
            client.get(f"{url}/me", auth=auth)
    assert (1, ["the refresh was rejected (400 invalid_grant)"]) == (issuer.counts["refreshes"], reasons)


def test_a_refresh_token_alone_is_enough(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """With no access token to begin with, the first request waits for one; nothing empty is ever sent."""
    tokens = given(issuer)
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", token_endpoint=f"{url}/oauth/token"))
    auth.start(refresh_token=tokens["refresh_token"])
    assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert (1, 0) == (issuer.counts["refreshes"], issuer.counts["unauthorized"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"token_endpoint": "https://a.example/token", "issuer": "https://a.example"},
        {"token_endpoint": "http://a.example/token"},
        {"token_endpoint": "https://a.example/token", "client_id": ""},
        {"token_endpoint": "https://a.example/token", "method": "private_key_jwt"},
        {"token_endpoint": "https://a.example/token", "method": "tls_client_auth"},
        {"token_endpoint": "https://a.example/token", "private_key": "-----BEGIN s3cr3t-----"},
        {"token_endpoint": "https://a.example/token", "private_key": {"kty": "oct", "k": "s3cr3t"}},
        {"token_endpoint": "https://a.example/token", "private_key": "another", "client_secret": "s3cr3t"},
        {"token_endpoint": "https://a.example/token", "grant": "password"},
        {"token_endpoint": "https://a.example/token", "ends": "bad_refresh_token"},
        {"token_endpoint": "https://a.example/token", "scope": ["read", "write"]},
        {"token_endpoint": "https://a.example/token", "parameters": {"client_secret": "s3cr3t"}},
        {"token_endpoint": "https://a.example/token", "method": "client_secret_basic"},
        {"token_endpoint": "https://a.example/token", "method": "none", "client_secret": "s3cr3t"},
        {"token_endpoint": "https://a.example/token", "revocation_endpoint": "http://a.example/revoke"},
        {"token_endpoint": "https://a.example/token", "authorization_endpoint": "http://a.example/authorize"},
        {"token_endpoint": "https://a.example/token", "redirect_uri": "https://app.example.com/callback"},
        {"token_endpoint": "https://a.example/token", "redirect_uri": "http://localhost/callback"},
        {"token_endpoint": "https://a.example/token", "redirect_uri": "http://localhost:99999/callback"},
        {"token_endpoint": "https://a.example/token", "idle_ttl": "60 parsecs"},
    ],
    ids=str,
)
def test_oauth_that_cannot_work_is_refused_at_once(options: dict[str, Any]) -> None:
    """A ConfigurationError, without the secret."""
    with pytest.raises(ConfigurationError) as caught:
        OAuth(**{"client_id": "app", **options})
    assert "s3cr3t" not in str(caught.value)


def test_a_password_is_not_given_to_an_oauth_client(client: httpx2.Client) -> None:
    """RFC 9700 §2.4: the error says what to do instead; and no repr has the secret."""
    strategy = OAuth(client_id="app", client_secret="s3cr3t", token_endpoint="https://a.example/token")
    auth = DaypassAuth("https://a.example", strategy=strategy)
    with pytest.raises(ConfigurationError, match="start"):
        auth.login(client, email="ada", password="x")
    assert "s3cr3t" not in repr(strategy) + repr(auth)


@pytest.mark.parametrize("library", ["httpx", "requests", "niquests", "aiohttp", "urllib3"])
def test_a_token_for_this_machine_never_goes_through_a_proxy(
    issuer: StrictServer, url: str, stranger: tuple[str, Any], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """Proxies of the environment are not used for loopback by the clients that Daypass opens, in every library."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, stranger[0])
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    strategy = OAuth(client_id="app", token_endpoint=f"{url}/oauth/token")
    auth = importlib.import_module(f"daypass.client.{library}").DaypassAuth(url, strategy=strategy)
    auth.start(refresh_token=given(issuer)["refresh_token"])
    assert auth.token() in issuer.live
    assert {} == stranger[1].cookies
