"""Any server: endpoints that take JSON or a form and answer JSON, and a function of the user's own."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from daypass.client.endpoints import Endpoints
from daypass.client.httpx import DaypassAuth
from daypass.client.messages import LONGEST_ANSWER, Answer, Grant
from daypass.client.timing import Timing
from daypass.drive import run
from daypass.errors import ConfigurationError, CredentialsRejected, LoginRequired, RefreshUnavailable
from daypass.testing.strict_server import StrictServer

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client() as client:
        yield client


def test_other_names_and_paths_are_configured(issuer: StrictServer, url: str, client: httpx2.Client) -> None:
    """Endpoints elsewhere below the URL, or anywhere; a field of another name is looked for by that name."""
    strategy = Endpoints(login=f"{url}/auth/login", refresh="auth/refresh", logout="/auth/logout")
    auth = DaypassAuth(url, strategy=strategy, timing=TIMING)
    auth.login(client, email="ada", password="correct horse")
    issuer.revoke_access()
    assert 200 == client.get(f"{url}/me", auth=auth).status_code
    assert auth.logout(client)
    other = DaypassAuth(f"{url}/auth", strategy=Endpoints(field="token"))
    with pytest.raises(ConfigurationError, match="no field 'token'; its fields are: accessToken, expiresIn"):
        other.login(client, email="ada", password="correct horse")


REJECTED, MISTAKE, OUTAGE = CredentialsRejected, ConfigurationError, RefreshUnavailable


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (403, {"error": "insecure_transport", "message": "Use HTTPS"}, MISTAKE, "insecure_transport (403): Use HTTPS"),
        (403, {"error": "cross_site_request"}, MISTAKE, "cross_site_request (403)"),
        (415, {"error": "unsupported_media_type", "message": "a\x1b[2J\r\nb"}, MISTAKE, "media_type (415): a[2Jb"),
        (413, {"error": "content_too_large", "message": "x" * 999}, MISTAKE, f"too_large (413): {'x' * 200}"),
        (400, {"error": "invalid_request", "message": "what is Hunt\ner2?"}, MISTAKE, "invalid_request (400)"),
        (400, {"error": "invalid_request", "message": "x" * 197 + "hunter2"}, MISTAKE, "invalid_request (400)"),
        (415, {"detail": "Unsupported media type"}, MISTAKE, "refused the login request (415): Unsupported media type"),
        (428, {"message": "Captcha needed"}, MISTAKE, "refused the login request (428): Captcha needed"),
        (
            422,
            {"detail": [{"loc": ["body", "username"], "msg": "Field required", "input": "hunter2"}]},
            MISTAKE,
            "could not read the login request (422): body.username: Field required; try form=True",
        ),
        (404, {}, MISTAKE, "no login there (404): check the URL. Give the one above /login, such as https://"),
        (307, {}, MISTAKE, "no login there (307)"),
        (401, {"error": "invalid_credentials", "message": "no"}, REJECTED, "rejected (401): no"),
        (400, {"detail": "Incorrect username or password"}, REJECTED, "rejected (400): Incorrect username or password"),
        (401, {"detail": "hunter2 is wrong"}, REJECTED, "rejected (401)"),
        (400, {"otp": ["This field is required."]}, REJECTED, "rejected (400)"),
        (422, {"message": "These credentials do not match"}, REJECTED, "rejected (422): These credentials do not"),
        (422, {"error": ["invalid_request"]}, REJECTED, "rejected (422)"),
        (403, None, REJECTED, "rejected (403)"),
        (429, {"error": "slow_down"}, OUTAGE, "answered with 429"),
        (503, {"error": "invalid_request"}, OUTAGE, "answered with 503"),
    ],
)  # fmt: skip
def test_a_refused_login_says_what_the_server_said(
    status: int, body: dict[str, Any] | None, error: type[Exception], told: str
) -> None:
    """Wrong credentials, a wrong request, or an outage: in the server's words, short and without the password."""
    content = b"<html>" if body is None else json.dumps(body).encode()
    with pytest.raises(error) as caught:
        run(Endpoints().login({"email": "ada", "password": "hunter2"}), lambda _: Answer(status, content))
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_login_without_a_refresh_token_fails_at_login() -> None:
    """Not at the first expiry: the fields that the answer has are named, their values are not."""
    answer = Answer(200, b'{"accessToken": "secret-a", "refresh": "secret-r", "user": {"id": 1}}')
    with pytest.raises(ConfigurationError, match="no field 'refreshToken'") as caught:
        run(Endpoints().login({"email": "ada", "password": "x"}), lambda _: answer)
    assert "its fields are: accessToken, refresh, user. Name the right one: Endpoints(refresh_field=…)" in str(
        caught.value
    )
    assert "secret" not in str(caught.value)
    grant = run(Endpoints(refresh_field=None).login({"email": "ada", "password": "x"}), lambda _: answer)
    assert ("secret-a", None) == (grant.access_token, grant.refresh_token)
    grant = run(Endpoints(refresh_field="refresh").login({"email": "ada", "password": "x"}), lambda _: answer)
    assert "secret-r" == grant.refresh_token


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


def test_a_function_says_that_the_session_has_ended_or_fails(url: str, issuer: Any, client: httpx2.Client) -> None:
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
    wrong: Any = lambda _: {"access_token": "in-a-dict"}  # noqa: E731 - of another type than a function may have
    auth = DaypassAuth(url, strategy=wrong, timing=TIMING)
    with pytest.raises(RefreshUnavailable, match=r"no access token \(a dict\): return the token as text") as caught:
        client.get(f"{url}/me", auth=auth)
    assert "in-a-dict" not in str(caught.value)


def test_an_invalid_strategy_is_refused() -> None:
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
    """A token endpoint's answer is read up to a limit; an endless one is an outage."""
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
