"""Whose request it is: origins, redirects, challenges, loops, cookies, and the way in and out."""

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from daypass.client.httpx import DaypassAuth
from daypass.errors import ConfigurationError, CredentialsRejected, LoginRequired, RefreshUnavailable

LIFETIME = 900_000
PASSWORD = "correct horse"
NewUser = Callable[..., Any]
BOTH_LIBRARIES = pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])


def test_another_origin_never_gets_the_token(user: Any, stranger: tuple[str, Any]) -> None:
    """A request of the same client to another origin goes as it is; its 401 is its own affair."""
    url, other = stranger

    assert user.get(f"{url}/me").status_code == 401
    assert other.authorizations == [None]


def test_a_redirect_takes_no_token_to_another_origin(user: Any, issuer: Any, stranger: tuple[str, Any]) -> None:
    """The token stays behind at a redirect to another origin, and a 401 from there refreshes nothing."""
    url, other = stranger
    issuer.location = f"{url}/me"

    assert user.get("/hop", follow_redirects=True).status_code == 401
    assert other.authorizations == [None]
    assert issuer.counts["refreshes"] == 0


def test_a_stranger_cannot_send_the_token_back(user: Any, issuer: Any, clock: Any, stranger: tuple[str, Any]) -> None:
    """A request that another origin redirects back here gets no token, not even after its 401."""
    url, other = stranger
    issuer.location, other.location = f"{url}/hop", f"{user.url}/me"
    clock.advance(5_000)

    assert user.get("/hop", follow_redirects=True).status_code == 401
    assert issuer.authorizations[1:] == [None]
    assert issuer.counts["refreshes"] == 0


def test_a_redirected_request_is_not_repeated(user: Any, issuer: Any, clock: Any) -> None:
    """A POST that led to a page which refuses: the page is asked again, the POST is not sent again."""
    clock.advance(5_000)
    issuer.revoke_access()

    answer = user.request("POST", "/hop", content=b"order", follow_redirects=True)

    assert (answer.status_code, answer.json()["method"]) == (200, "GET")
    assert (issuer.counts["hops"], issuer.counts["refreshes"]) == (1, 1)


def test_a_body_that_was_redirected_is_sent_again_whole(user: Any, issuer: Any, clock: Any) -> None:
    """A 307 keeps the body, and so does the retry after the redirect."""
    issuer.location = "/upload"
    clock.advance(5_000)
    issuer.revoke_access()

    answer = user.request("POST", "/hop-same", content=user.stream_of([b"a", b"b"]), follow_redirects=True)

    assert answer.status_code == 200
    assert [size for _, size in issuer.uploads] == [2, 2]
    assert issuer.counts["hops"] == 1


def test_other_origins_get_the_token_where_they_are_named(
    new_user: NewUser, kind: str, stranger: tuple[str, Any]
) -> None:
    """An origin given as `origins` is an own one."""
    url, other = stranger
    user = new_user(kind, origins=[url])
    user.login()

    user.get(f"{url}/never")

    assert other.authorizations[0].startswith("Bearer ")


def test_a_401_that_no_refresh_helps_makes_no_loop(user: Any, issuer: Any, clock: Any) -> None:
    """An endpoint that always refuses: one refresh, one replay, and the 401 is the caller's; and again no refresh."""
    clock.advance(5_000)

    assert [user.get("/never").status_code for _ in range(5)] == [401] * 5
    assert (issuer.counts["refreshes"], issuer.counts["never"]) == (1, 6)


@pytest.mark.parametrize("path", ["/basic", "/scope"])
def test_a_401_about_something_else_is_the_callers(user: Any, issuer: Any, clock: Any, path: str) -> None:
    """Another scheme, or a scope that is too narrow: no refresh can help, so there is none."""
    clock.advance(5_000)

    assert user.get(path).status_code == 401
    assert issuer.counts["refreshes"] == 0


def test_the_refresh_is_hidden_from_the_request(user: Any, issuer: Any, clock: Any) -> None:
    """The caller's response is that of its own request, and its history has no refresh in it."""
    clock.advance(LIFETIME)
    issuer.revoke_access()

    answer = user.get()

    assert (answer.request.url.path, answer.history) == ("/me", [])


def test_an_authorization_of_the_callers_own_goes_with_no_auth(user: Any, issuer: Any) -> None:
    """`auth=None` is httpx's way of saying so: the request then goes as it is, and its 401 comes back."""
    assert user.get("/me", headers={"Authorization": "Bearer mine"}, auth=None).status_code == 401
    assert issuer.authorizations == ["Bearer mine"]


def test_a_cookie_session_is_kept_up_by_the_cookie(new_user: NewUser, kind: str, issuer: Any, clock: Any) -> None:
    """With cookie delivery the rotated cookie goes to refresh and logout, and to nothing else."""
    user = new_user(kind, delivery="cookie")
    user.login()
    for _ in range(3):
        issuer.revoke_access()
        clock.advance(LIFETIME)
        assert user.get().status_code == 200

    assert (issuer.counts["refreshes"], issuer.counts["rotated"]) == (3, 3)
    assert user.logout()
    assert issuer.counts["ended"] == 1
    assert all("daypass=" in cookie for cookie in issuer.cookies["/auth/refresh"] + issuer.cookies["/auth/logout"])
    assert {"lang=en"} == set(issuer.cookies["/me"])
    assert [cookie.name for cookie in user.client.cookies.jar] == ["lang"]


def test_a_server_that_only_sets_a_cookie_is_gone_by_the_cookie(
    new_user: NewUser, kind: str, issuer: Any, clock: Any
) -> None:
    """Asked for the token in the body, a server may know only its cookie: nothing needs to be said about that."""
    issuer.sets_cookie = True
    user = new_user(kind)
    user.login()
    clock.advance(LIFETIME)

    assert user.get().status_code == 200
    assert issuer.counts["rotated"] == 1


@pytest.mark.parametrize("delivery", ["body", "cookie"])
def test_a_proxys_cookie_costs_no_session(new_user: NewUser, kind: str, issuer: Any, clock: Any, delivery: str) -> None:
    """A refresh that brings a proxy's cookie and no refresh token: the next one presents the token there was."""
    issuer.proxy_cookie = "__cf_bm=edge; HttpOnly; Path=/"
    issuer.withholds = 1
    user = new_user(kind, delivery=delivery)
    user.login()
    for _ in range(3):
        issuer.revoke_access()
        clock.advance(LIFETIME)
        assert user.get().status_code == 200

    (line,) = issuer.lines.values()
    assert [line.tokens[0], *line.tokens[:2]] == issuer.presented
    assert {"body": ["__cf_bm"], "cookie": ["__cf_bm", "lang"]}[delivery] == sorted(
        cookie.name for cookie in user.client.cookies.jar
    )
    assert all("__cf_bm=edge" in (cookie or "") for cookie in issuer.cookies["/me"])


def test_a_wrong_password_raises_credentials_rejected(new_user: NewUser, kind: str) -> None:
    """A login that was refused raises CredentialsRejected, and there is no session."""
    user = new_user(kind)
    with pytest.raises(CredentialsRejected):
        user.login("wrong")
    assert not user.auth.logged_in


def test_a_failed_login_leaves_the_session_there_was(user: Any) -> None:
    """A wrong password while logged in costs nothing."""
    with pytest.raises(CredentialsRejected):
        user.login("wrong")
    assert user.get().status_code == 200


def test_without_a_session_nothing_is_sent(new_user: NewUser, kind: str, issuer: Any) -> None:
    """Before a login and after a logout a request raises LoginRequired, and the server receives nothing."""
    user = new_user(kind)
    with pytest.raises(LoginRequired):
        user.get()
    user.login()
    assert user.logout()
    with pytest.raises(LoginRequired):
        user.get()
    assert issuer.authorizations == []


def test_logout_holds_even_when_the_server_cannot_be_reached(new_user: NewUser, kind: str, issuer: Any) -> None:
    """If the server cannot be reached, the session ends here anyway, and the result says that it may live there."""
    user = new_user(kind)
    user.login()
    user.auth._sender.url = "http://127.0.0.1:1/auth"

    assert not user.logout()
    assert not user.auth.logged_in


@BOTH_LIBRARIES
def test_a_hook_that_raises_for_every_error_does_no_harm(library: Any, url: str, issuer: Any, clock: Any) -> None:
    """A hook with `raise_for_status` sees refreshes too; what the server said still counts."""

    def check(response: Any) -> None:
        response.raise_for_status()

    auth = DaypassAuth(f"{url}/auth", clock=clock)
    with library.Client(base_url=url, auth=auth, event_hooks={"response": [check]}) as client:
        with pytest.raises(CredentialsRejected):
            auth.login(client, email="ada", password="wrong")
        auth.login(client, email="ada", password=PASSWORD)
        clock.advance(LIFETIME)
        assert client.get("/me").status_code == 200
        issuer.end_sessions()
        clock.advance(LIFETIME)
        with pytest.raises(LoginRequired):
            client.get("/me")


@BOTH_LIBRARIES
def test_a_gateways_401_is_no_logout_behind_a_hook_that_raises(library: Any, clock: Any) -> None:
    """If a hook leaves the body unread, an HTML page is recognised by its Content-Type, and the session is kept."""

    def respond(request: Any) -> Any:
        if request.url.path == "/auth/login":
            return library.Response(200, json={"accessToken": "a", "refreshToken": "r", "expiresIn": 900})
        return library.Response(401, headers={"content-type": "text/html"}, stream=Unread())

    class Unread(library.SyncByteStream):  # type: ignore[misc]  # the library is known at run time only
        def __iter__(self) -> Any:
            yield b"<html>"

    def check(response: Any) -> None:
        response.raise_for_status()

    auth = DaypassAuth("https://a.example/auth", clock=clock)
    hooks = {"response": [check]}
    with library.Client(transport=library.MockTransport(respond), event_hooks=hooks) as client:
        auth.login(client, email="ada", password=PASSWORD)
        clock.advance(LIFETIME)
        with pytest.raises(RefreshUnavailable):
            client.get("https://a.example/me", auth=auth)
    assert auth.logged_in


@pytest.mark.parametrize(("body", "ended"), [("", True), ("{}", True), ("<html>", False)])
def test_a_logout_believes_the_issuer_only(body: str, ended: bool) -> None:  # noqa: FBT001
    """A 401 of the issuer itself means that the session has ended on the server; a gateway's page does not."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/auth/login":
            return httpx2.Response(200, json={"accessToken": "a", "refreshToken": "r"})
        return httpx2.Response(401, text=body)

    auth = DaypassAuth("https://a.example/auth")
    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        auth.login(client, email="ada", password=PASSWORD)
        assert ended == auth.logout(client)


@BOTH_LIBRARIES
def test_the_clients_own_authorization_does_not_go_to_the_issuer(
    library: Any, url: str, issuer: Any, clock: Any
) -> None:
    """A client's default `Authorization` is for the application; login and refresh go without, and /me with ours."""
    seen: list[str | None] = []
    auth = DaypassAuth(f"{url}/auth", clock=clock)
    hooks = {"request": [lambda request: seen.append(request.headers.get("authorization"))]}
    with library.Client(
        base_url=url, auth=auth, headers={"Authorization": "Bearer default"}, event_hooks=hooks
    ) as client:
        auth.login(client, email="ada", password=PASSWORD)
        clock.advance(LIFETIME)
        client.get("/me")
    assert seen[:2] == [None, None]
    assert seen[2] not in (None, "Bearer default")


@BOTH_LIBRARIES
def test_an_application_in_the_same_process_can_be_used(library: Any, issuer: Any, clock: Any) -> None:
    """Refreshes go through the bound client's own transport: here an ASGI application, with no socket at all."""
    import asyncio

    async def scenario() -> int:
        auth = DaypassAuth("https://app.example/auth", clock=clock)
        transport = library.ASGITransport(app=issuer)
        async with library.AsyncClient(base_url="https://app.example", auth=auth, transport=transport) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)
            issuer.revoke_access()
            clock.advance(LIFETIME)
            answers = await asyncio.gather(*(client.get("/me") for _ in range(20)))
            return sum(answer.status_code == 200 for answer in answers)

    assert asyncio.run(scenario()) == 20
    assert issuer.counts["refreshes"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "example.com/auth",
        "ftp://example.com",
        "https://user:hunter2@example.com/auth",
        "https://example.com/auth?x=hunter2",
        "http://example.com/auth",
        "",
    ],
)
def test_a_url_that_tokens_must_not_go_to_is_refused(text: str) -> None:
    """No scheme, another scheme, a password or a query in it, or plain HTTP to afar: said at once, and no secret."""
    with pytest.raises(ConfigurationError) as caught:
        DaypassAuth(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://localhost:8000/auth/", "http://127.0.0.2/auth", "http://[::1]:80/auth"])
def test_plain_http_to_loopback_is_fine(text: str) -> None:
    """Loopback cannot be intercepted; elsewhere plain HTTP needs `allow_http=True`."""
    DaypassAuth(text)
    DaypassAuth("http://intranet/auth", allow_http=True)


def test_mistakes_are_answered_with_what_to_write(url: str, issuer: Any) -> None:
    """The wrong colour of client, no client, two user names, a wrong URL: each a ConfigurationError."""
    auth = DaypassAuth(f"{url}/auth")
    with httpx2.Client() as client:
        with pytest.raises(ConfigurationError, match="alogin"):
            auth.login(httpx2.AsyncClient(), email="ada", password=PASSWORD)
        with pytest.raises(ConfigurationError, match="email"):
            auth.login(client, password=PASSWORD)
        with pytest.raises(ConfigurationError, match="delivery"):
            DaypassAuth(f"{url}/auth", delivery="pigeon")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="str"):
            DaypassAuth(f"{url}/auth", client="client")
        with pytest.raises(httpx2.ConnectError):
            DaypassAuth("http://127.0.0.1:1/auth").login(client, email="ada", password=PASSWORD)


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_logged_out": 5},
        {"on_event": 5},
        {"cookie_name": 5},
        {"cookie_name": ""},
        {"keep_at_most": "x"},
        {"keep_at_most": True},
        {"keep_at_most": -1},
        {"timing": 30},
        {"origins": "https://api.example.com"},
        {"should_refresh": 401},
    ],
    ids=str,
)
def test_an_argument_that_would_fail_later_is_refused_at_once(wrong: dict[str, Any]) -> None:
    """The ConfigurationError names the argument, and says what it has to be."""
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=f"^(invalid )?{name} "):
        DaypassAuth("https://a.example/auth", **wrong)


@pytest.mark.parametrize("status", [400, 403])
def test_a_login_refused_for_how_it_was_sent_is_no_wrong_password(status: int) -> None:
    """It is a ConfigurationError in the server's words; and where these quote the password, without them."""
    bodies = [{"error": "insecure_transport", "message": "Use HTTPS"}]
    bodies += [{"error": "invalid_request", "message": f"Unexpected {PASSWORD}"}]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, json=bodies.pop(0)))
    auth = DaypassAuth("https://a.example/auth")
    with httpx2.Client(transport=transport) as client:
        with pytest.raises(ConfigurationError, match="Use HTTPS"):
            auth.login(client, email="ada", password=PASSWORD)
        with pytest.raises(ConfigurationError) as caught:
            auth.login(client, email="ada", password=PASSWORD)
    assert PASSWORD not in str(caught.value)
    assert not auth.logged_in


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, ConfigurationError), (302, ConfigurationError), (503, RefreshUnavailable), (200, RefreshUnavailable)],
)
def test_a_login_that_was_not_decided_is_no_wrong_password(status: int, error: type[Exception]) -> None:
    """Only the issuer's own refusal is CredentialsRejected; an outage, a wrong URL and garbage raise other errors."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(status, text="<html>"))
    with httpx2.Client(transport=transport) as client, pytest.raises(error):
        DaypassAuth("https://a.example/auth").login(client, email="ada", password=PASSWORD)
