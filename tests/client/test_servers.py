"""Any server: OAuth 2 token endpoints, endpoints that answer ``{"accessToken"}``, and a function of the user's own."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from daypass.client.endpoints import Endpoints
from daypass.client.httpx import DaypassAuth
from daypass.client.messages import LONGEST_ANSWER, Answer, Grant, Outcome, Refreshed, Rejected, Unavailable
from daypass.client.oauth import OAuth, judge_token_answer, metadata_url
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable
from daypass.testing.strict_server import Line, StrictServer

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)


def given(issuer: StrictServer) -> dict[str, Any]:
    """Return tokens as an authorization code grant would have given them."""
    issuer.lines["s"] = Line(["first"])
    issuer.live["access"], issuer._deaths["access"] = "s", float("inf")
    return {"access_token": "access", "refresh_token": "first", "expires_in": 900}


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client() as client:
        yield client


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


def test_another_issuers_metadata_is_not_believed(
    issuer: StrictServer, url: str, stranger: tuple[str, Any], client: httpx2.Client
) -> None:
    """Metadata that names another issuer (RFC 8414 §3.3) costs no session, and gets no token."""
    issuer.client = None
    wrong = url.replace("127.0.0.1", "localhost") + "/"
    auth = DaypassAuth(url, strategy=OAuth(client_id="app", issuer=wrong), timing=TIMING)
    auth.start(**given(issuer))
    issuer.revoke_access()
    with pytest.raises(RefreshUnavailable, match="metadata"):
        client.get(f"{url}/me", auth=auth)
    assert auth.logged_in
    assert 0 == issuer.counts["refreshes"]


@pytest.mark.parametrize(
    ("issuer_url", "expected"),
    [
        ("https://as.example", "https://as.example/.well-known/oauth-authorization-server"),
        ("https://as.example/tenant/1", "https://as.example/.well-known/oauth-authorization-server/tenant/1"),
    ],
)
def test_metadata_is_looked_for_where_rfc_8414_has_it(issuer_url: str, expected: str) -> None:
    """The well-known path comes before the issuer's own."""
    assert expected == metadata_url(issuer_url)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(401, b'{"error": "invalid_grant"}'), Rejected),
        (Answer(403, b'{"error": "invalid_grant"}'), Unavailable),
        (Answer(401, b'{"error": "invalid_client"}'), Unavailable),
        (Answer(400, b'{"error": "invalid_request"}'), Unavailable),
        (Answer(400, b"<html>"), Unavailable),
        (Answer(401, b""), Unavailable),
        (Answer(503, b'{"error": "invalid_grant"}'), Unavailable),
        (Answer(200, b'{"access_token": "a", "token_type": "DPoP"}'), Unavailable),
        (Answer(200, b'{"token_type": "bearer"}'), Unavailable),
        (Answer(200, b'{"access_token": "a", "token_type": "BEARER", "expires_in": "60"}'), Refreshed),
        (Answer(200, b'{"access_token": "a"}'), Refreshed),
    ],
    ids=str,
)
def test_only_invalid_grant_ends_an_oauth_session(answer: Answer, expected: type[Outcome]) -> None:
    """Every other error is somebody's mistake or a gateway's; a token that is no bearer token is not used."""
    assert expected is type(judge_token_answer(answer))


def test_an_error_of_the_servers_own_words_is_not_repeated() -> None:
    """What a token endpoint says is told only where it is one of RFC 6749's words."""
    told = judge_token_answer(Answer(400, b'{"error": "first-refresh-token"}'))
    assert Unavailable("the refresh was answered with 400") == told


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
        {"token_endpoint": "https://a.example/token", "method": "client_secret_basic"},
        {"token_endpoint": "https://a.example/token", "method": "none", "client_secret": "s3cr3t"},
        {"token_endpoint": "https://a.example/token", "revocation_endpoint": "http://a.example/revoke"},
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


def test_other_names_and_paths_are_configured(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """Endpoints elsewhere below the URL, or anywhere; a field of another name is looked for by that name."""
    strategy = Endpoints(login=f"{url}/auth/login", refresh="auth/refresh", logout="/auth/logout")
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.login(client, email="ada", password="correct horse")
    issuer.revoke_access()
    assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert auth.logout(client)
    other = DaypassAuth(f"{url}/auth", strategy=Endpoints(field="token"))
    with pytest.raises(RefreshUnavailable, match="no access token"):
        other.login(client, email="ada", password="correct horse")


def test_a_jwt_says_its_lifetime_by_the_servers_clock(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """With no `expiresIn`, `exp` is counted from the answer's own date: a clock that is a day off changes nothing."""
    issuer.jwt, issuer.says_lifetime, issuer.expires_in, issuer.skew = True, False, 600, 86_400
    auth = DaypassAuth(f"{url}/auth")
    auth.login(client, email="ada", password="correct horse")
    assert auth.expires_in is not None
    assert 597 < auth.expires_in <= 601


def _sync(issuer: StrictServer) -> Callable[[str | None], Any]:
    def fetch(_: str | None) -> str:
        issuer.counts["calls"] += 1
        return issuer._access_token("s")

    return fetch


def _async(issuer: StrictServer) -> Callable[[str | None], Any]:
    async def fetch(refresh_token: str | None) -> Grant:
        await asyncio.sleep(0)
        issuer.counts["calls"] += 1
        assert refresh_token in (None, "kept")
        return Grant(issuer._access_token("s"), 900_000, "kept")

    return fetch


@pytest.mark.parametrize("function", [_sync, _async])
def test_a_function_of_the_users_own_refreshes(
    issuer: StrictServer, url: str, client: httpx2.Client, function: Callable[[StrictServer], Any]
) -> None:
    """Sync or async: called before the first request, and again when its token is refused; once for all who wait."""
    auth = DaypassAuth(url, strategy=function(issuer), timing=TIMING)
    assert 200 == client.get(f"{url}/me", auth=auth).status_code
    issuer.revoke_access()

    async def burst() -> set[int]:
        async with httpx2.AsyncClient(base_url=url, auth=auth) as sender:
            return {answer.status_code for answer in await asyncio.gather(*(sender.get("/me") for _ in range(20)))}

    assert {200} == asyncio.run(burst())
    assert 2 == issuer.counts["calls"]


def test_a_function_says_that_the_session_is_over_or_fails(url: str, issuer: Any, client: httpx2.Client) -> None:
    """`LoginRequired` from it ends the session; any other error is an outage, and its text is not repeated."""

    def fails(_: str | None) -> str:
        raise ValueError("with a secret in it")

    def ends(_: str | None) -> str:
        raise LoginRequired("no")

    auth = DaypassAuth(url, strategy=fails, timing=TIMING)
    with pytest.raises(RefreshUnavailable, match="ValueError") as caught:
        client.get(f"{url}/me", auth=auth)
    assert "secret" not in str(caught.value)
    assert auth.logged_in
    auth = DaypassAuth(url, strategy=ends, timing=TIMING)
    with pytest.raises(LoginRequired):
        client.get(f"{url}/me", auth=auth)
    assert not auth.logged_in
    auth = DaypassAuth(url, strategy=lambda _: "", timing=TIMING)
    with pytest.raises(RefreshUnavailable, match="no access token"):
        client.get(f"{url}/me", auth=auth)


def test_a_strategy_that_is_none_is_refused() -> None:
    """Nor are options taken that would be ignored, nor tokens that could not be sent."""
    with pytest.raises(ConfigurationError, match="strategy"):
        DaypassAuth("https://a.example", strategy="oauth")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="delivery"):
        DaypassAuth("https://a.example", strategy=Endpoints(), delivery="cookie")
    auth = DaypassAuth("https://a.example")
    with pytest.raises(ConfigurationError, match="start"):
        auth.start()
    with pytest.raises(ConfigurationError, match="access_token"):
        auth.start(access_token="a\r\nb")
    assert not auth.logged_in


def test_an_answer_without_end_is_not_read_to_its_end(clock: Any) -> None:
    """A token endpoint's answer is read up to a bound; one that goes on and on is an outage."""
    read = 0

    class Endless(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            nonlocal read
            while True:
                read += 65_536
                yield b" " * 65_536

    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/auth/login":
            return httpx2.Response(200, json={"accessToken": "a", "refreshToken": "r", "expiresIn": 900})
        return httpx2.Response(200, stream=Endless())

    auth = DaypassAuth("https://a.example/auth", clock=clock, timing=Timing(attempts=1))
    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        auth.login(client, email="ada", password="x")
        clock.advance(LIFETIME)
        with pytest.raises(RefreshUnavailable):
            client.get("https://a.example/me", auth=auth)
    assert LONGEST_ANSWER < read <= LONGEST_ANSWER + 2 * 65_536
    assert auth.logged_in
