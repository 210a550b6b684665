"""An issuer on a real socket, and the promises that hold in every framework."""

import asyncio
import json
import logging
import socket
import tarfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, cast

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from starlette.types import ASGIApp

from daypass import AsyncDaypass, AsyncStore, ConfigurationError, Daypass, Event, EventCode, User
from daypass.access_token import AccessToken
from daypass.duration import HOUR, MINUTE, SECOND
from daypass.testing import Clock

from ..cookie_names import refresh_cookie
from ..dbsc.browser import DeviceBrowser
from ..servers.application import serving
from .world import ALICE, ISSUER, PASSWORD, PEOPLE, SECRET, body_of

LOGIN = {"email": ALICE.email, "password": PASSWORD}
CHALLENGE = 'Bearer realm="daypass"'


class Application:
    """The application's part: its users, and its issuer's events."""

    auth: Any

    def __init__(self, store: str | AsyncStore = "memory:", clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self.broken = False
        self.make(store, issuer=ISSUER, secret=SECRET, on_event=self.events.append, clock=self.clock)

    def make(self, store: Any, **arguments: Any) -> None:
        """Make the issuer."""
        self.auth = AsyncDaypass(store, load_user=self.load, **arguments)

    async def load(self, subject: str) -> User | None:
        return self.find(subject)

    def find(self, subject: str) -> User | None:
        self.threads.add(threading.get_ident())
        if self.broken:
            raise RuntimeError("the application's own database is down")
        return {user.subject: user for user in PEOPLE.values()}.get(subject)

    def check(self, identifier: str, password: str) -> User | None:
        self.threads.add(threading.get_ident())
        return PEOPLE.get(identifier) if password == PASSWORD else None

    def lifespan(self, _: object) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def closing() -> AsyncIterator[None]:
            async with self.auth:
                yield

        return closing()

    def codes(self) -> list[EventCode]:
        return [event.code for event in self.events]


def told(token: AccessToken) -> dict[str, Any]:
    """Return what a protected route answers with: what reached it."""
    return {
        "subject": token.subject,
        "session": token.session_id,
        "username": token.username,
        "claims": token.claims,
    }


def raw(address: str, request: bytes, *, goes_away: bool = False) -> bytes:
    """Send these very bytes and return the answer; for what no client would send."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        if goes_away:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


class MountedAnywhere:
    """The promises that hold in every framework; a framework's tests say how to mount it.

    ``mount`` makes an application with the endpoints under a prefix, the public keys, and ``GET /profile`` that
    requires an access token and answers `told`. ``serve`` puts it on a socket; ``make`` chooses the issuer's colour.
    """

    refusal: ClassVar[Callable[[str], bytes]]
    makers: ClassVar[tuple[Callable[[Any], object], ...]]

    def mount(self, application: Any, prefix: str = "/auth", **options: Any) -> Any:
        raise NotImplementedError

    def serve(self, app: Any) -> AbstractContextManager[str]:
        raise NotImplementedError

    def make(self, store: str = "memory:") -> Application:
        raise NotImplementedError

    @pytest.fixture
    def application(self) -> Application:
        return self.make()

    @pytest.fixture
    def client(self, application: Application) -> Iterator[httpx2.Client]:
        with self.serve(self.mount(application)) as address, httpx2.Client(base_url=address) as client:
            yield client

    def test_the_whole_way(self, client: httpx2.Client) -> None:
        """Login, me, refresh, sessions, logout: over a real socket, with a plain client and its cookie jar."""
        login = client.post("/auth/login", json=LOGIN)
        assert (200, "no-store") == (login.status_code, login.headers["cache-control"])
        assert "Origin, Sec-Fetch-Site" == login.headers["vary"]
        refresh = client.post("/auth/refresh")
        assert 200 == refresh.status_code
        bearing = {"authorization": f"Bearer {refresh.json()['accessToken']}"}
        assert "alice" == client.get("/auth/me", headers=bearing).json()["username"]
        (session,) = client.get("/auth/sessions", headers=bearing).json()["sessions"]
        assert 404 == client.delete(f"/auth/sessions/{32 * '0'}", headers=bearing).status_code
        assert 204 == client.delete(f"/auth/sessions/{session['id']}", headers=bearing).status_code
        assert 401 == client.post("/auth/refresh").status_code
        assert {} == dict(client.cookies)
        client.post("/auth/login", json=LOGIN)
        assert (204, b"", {}) == ((out := client.post("/auth/logout")).status_code, out.content, dict(client.cookies))

    def test_login_that_is_not_remembered(self, client: httpx2.Client, application: Application) -> None:
        """The cookie goes with the browser, after each refresh too, and the session ends after half a day unused."""

        def cookie_of(path: str) -> str:
            answer = client.post(path, json=LOGIN | {"remember": False})
            assert 200 == answer.status_code
            bearing = {"authorization": f"Bearer {answer.json()['accessToken']}"}
            (session,) = client.get("/auth/sessions", headers=bearing).json()["sessions"]
            assert session["persistent"] is False
            return str(answer.headers["set-cookie"])

        for path in ("/auth/login", "/auth/refresh", "/auth/refresh"):
            assert "max-age" not in cookie_of(path).lower()
            application.clock.advance(12 * HOUR - 1)
        application.clock.advance(1)
        assert 401 == client.post("/auth/refresh").status_code
        assert 400 == client.post("/auth/login", json=LOGIN | {"remember": "no"}).status_code

    def test_at_another_prefix(self, application: Application) -> None:
        """The endpoints work at any prefix, and the cookie reaches them there."""
        app = self.mount(application, "/api/v1/identity")
        with self.serve(app) as address, httpx2.Client(base_url=f"{address}/api/v1/identity") as client:
            assert 200 == client.post("/login", json=LOGIN).status_code
            assert [200, 204, 401] == [client.post(path).status_code for path in ("/refresh", "/logout", "/refresh")]
            assert 404 == client.post(f"{address}/auth/refresh").status_code

    def test_options_reach_the_cookie(self, application: Application) -> None:
        """Options of the mount apply: ``same_site``, allowed origins, plain HTTP."""
        origin = "https://app.example.com"
        app = self.mount(application, same_site="Lax", allowed_origins=[origin], allow_insecure=True)
        with self.serve(app) as address:
            headers = {"host": "intranet", "origin": origin, "sec-fetch-site": "cross-site"}
            login = httpx2.post(f"{address}/auth/login", json=LOGIN, headers=headers)
        assert (200, "SameSite=Lax") == (login.status_code, login.headers["set-cookie"].split("; ")[-1])

    def test_plain_http_elsewhere(self, client: httpx2.Client, application: Application) -> None:
        """Plain HTTP to another host than loopback is refused, and nothing is changed."""
        client.post("/auth/login", json=LOGIN)
        cookie = {"cookie": f"daypass={refresh_cookie(client.cookies)}", "host": "api.example.com"}
        for path in ("login", "refresh", "logout"):
            assert 403 == client.post(f"/auth/{path}", json=LOGIN, headers=cookie).status_code
        assert [EventCode.STARTED] == application.codes()
        assert 200 == client.post("/auth/refresh").status_code

    def test_no_other_method(self, client: httpx2.Client) -> None:
        """No link, image or form without ``POST`` refreshes a session or ends one."""
        client.post("/auth/login", json=LOGIN)
        for path in ("login", "refresh", "logout"):
            assert [405] * 3 == [client.request(verb, f"/auth/{path}").status_code for verb in ("GET", "PUT", "DELETE")]
        assert 200 == client.post("/auth/refresh").status_code

    def test_a_browser_binds_its_session(self, application: Application) -> None:
        """A browser that can do that registers a key at its login, and proves it for each new access token."""
        application.make(
            "memory:",
            issuer=ISSUER,
            secret=SECRET,
            on_event=application.events.append,
            clock=application.clock,
            device_bound=True,
        )
        app = self.mount(application, "/api/auth", trusted_proxies=["127.0.0.1"], proxy_header="X-Forwarded")
        forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        with self.serve(app) as address, httpx2.Client(base_url=address) as client:
            browser = DeviceBrowser(client, clock=lambda: application.clock() / SECOND, headers=forwarded)
            tokens = {browser.post("/api/auth/login", json=LOGIN).json()["accessToken"]}
            for _ in range(2):
                application.clock.advance(16 * MINUTE)
                thief = browser.copied()
                tokens.add(browser.post("/api/auth/refresh").json()["accessToken"])
                assert ("/api/auth/device/refresh", 200) == browser.log[-2]
            assert 3 == len(tokens)
            assert 401 == thief.post("/api/auth/refresh").status_code
            assert 204 == browser.post("/api/auth/logout").status_code
        assert [EventCode.BOUND, EventCode.LOGGED_OUT] == [
            code for code in application.codes() if code in (EventCode.BOUND, EventCode.LOGGED_OUT)
        ]

    # ---- requiring an access token

    @pytest.mark.parametrize("path", ["/auth/login/", "/auth/refresh/", "/auth/logout/"])
    def test_a_slash_too_many_leads_nowhere(self, client: httpx2.Client, path: str) -> None:
        """No request is redirected with its tokens, perhaps to plain HTTP behind a proxy that ends TLS."""
        answer = client.post(path, json=LOGIN, headers={"host": "localhost:1"})
        assert 404 == answer.status_code
        assert "location" not in answer.headers

    def test_the_token_reaches_the_route(self, client: httpx2.Client) -> None:
        """A route that requires an access token gets its contents: user, session, own claims."""
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        answer = client.get("/profile", headers={"authorization": f"Bearer {access}"})
        content = answer.json()
        assert (200, "user-1", "alice") == (answer.status_code, content["subject"], content["username"])
        assert ("pro", content["session"]) == (content["claims"]["plan"], content["claims"]["sid"])

    @pytest.mark.parametrize("header", [None, "Basic eDp5", "Bearer"])
    def test_no_token(self, client: httpx2.Client, header: str | None) -> None:
        """Without an access token the route is not entered: 401 and a challenge without an error."""
        answer = client.get("/profile", headers={} if header is None else {"authorization": header})
        assert (401, CHALLENGE) == (answer.status_code, answer.headers["www-authenticate"])
        assert type(self).refusal("invalid_token") == answer.content

    def test_a_refused_token(self, client: httpx2.Client, application: Application) -> None:
        """With garbage, an expired token, or one of an ended session, too; the challenge says which."""
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]

        def challenge(token: str) -> str:
            answer = client.get("/profile", headers={"authorization": f"Bearer {token}"})
            assert (401, type(self).refusal("invalid_token")) == (answer.status_code, answer.content)
            return str(answer.headers["www-authenticate"]).removeprefix(f'{CHALLENGE}, error="invalid_token", ')

        assert 'error_description="not an access token"' == challenge("garbage")
        client.post("/auth/logout")
        assert 'error_description="the access token\'s session has ended"' == challenge(access)
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        application.clock.advance(15 * MINUTE)
        assert 'error_description="the access token has expired"' == challenge(access)

    def test_two_tokens(self, client: httpx2.Client) -> None:
        """A request that sends two access tokens is refused, whichever of them is good."""
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        for pair in ((access, "garbage"), ("garbage", access), (access, access)):
            headers = [("authorization", f"Bearer {token}") for token in pair]
            assert 401 == client.get("/profile", headers=headers).status_code

    def test_keys_out_of_reach(self, tmp_path: Path) -> None:
        """While the signing keys cannot be read a route that needs them says 503 and when to try again."""
        database = tmp_path / "sessions.db"
        database.mkdir()
        application = self.make(f"sqlite:///{database}")
        with self.serve(self.mount(application)) as address, httpx2.Client(base_url=address) as client:
            for path in ("/profile", "/auth/me"):
                answer = client.get(path, headers={"authorization": "Bearer x.y.z"})
                assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
            answer = client.get("/.well-known/jwks.json")
            assert (503, "1") == (answer.status_code, answer.headers["retry-after"])

    def test_the_public_keys(self, client: httpx2.Client) -> None:
        """With the public keys, anyone can verify an access token."""
        access = client.post("/auth/login", json=LOGIN).json()["accessToken"]
        answer = client.get("/.well-known/jwks.json")
        assert "application/jwk-set+json" == answer.headers["content-type"]
        verified = jws.deserialize_compact(access, KeySet.import_key_set(answer.json()), ["ES256"])
        assert b'"sub":"user-1"' in verified.payload.replace(b" ", b"")

    def test_the_browsers_client(self, client: httpx2.Client) -> None:
        """`daypass.js` is there for any page to load, as JavaScript, compressed, and sent but once."""
        asked = client.get("/auth/daypass.js", headers={"accept-encoding": "gzip", "origin": "https://app.example.com"})
        headers = asked.headers
        assert (200, "text/javascript; charset=utf-8") == (asked.status_code, headers["content-type"])
        assert ("gzip", "Accept-Encoding") == (headers["content-encoding"], headers["vary"])
        assert ("*", "nosniff") == (headers["access-control-allow-origin"], headers["x-content-type-options"])
        assert ("public, max-age=600", False) == (headers["cache-control"], "set-cookie" in headers)
        assert "createSession" in asked.text
        plain = client.get("/auth/daypass.js", headers={"accept-encoding": "identity"})
        assert (asked.text, False) == (plain.text, "content-encoding" in plain.headers)
        assert plain.headers["etag"] != headers["etag"]
        for answer in (asked, plain):
            known = {"if-none-match": answer.headers["etag"]} | {
                "accept-encoding": answer.headers.get("content-encoding", "identity")
            }
            again = client.get("/auth/daypass.js", headers=known)
            assert (304, b"", answer.headers["etag"]) == (again.status_code, again.content, again.headers["etag"])
        head = client.head("/auth/daypass.js", headers={"accept-encoding": "identity"})
        assert (200, b"", str(len(plain.content))) == (head.status_code, head.content, head.headers["content-length"])

    def test_brotli(self, client: httpx2.Client) -> None:
        """A browser that accepts Brotli gets the module in that, and one that refuses it does not."""
        for accepted, coding in (("gzip, br", "br"), ("br;q=0, gzip", "gzip"), ("identity", None)):
            with client.stream("GET", "/auth/daypass.js", headers={"accept-encoding": accepted}) as answer:
                size = len(b"".join(answer.iter_raw()))
            assert (200, coding) == (answer.status_code, answer.headers.get("content-encoding"))
            assert coding != "br" or size < 5_500

    def test_the_files_of_a_front_end(self, client: httpx2.Client) -> None:
        """The types and the npm package are there too, for any page and any build, and the package has this version."""
        for name in ("daypass.d.ts", "daypass-axios.js", "daypass-axios.d.ts"):
            served = client.get(f"/auth/{name}")
            assert (200, "*") == (served.status_code, served.headers["access-control-allow-origin"])
            assert "export" in served.text
        package = client.get("/auth/daypass.tgz")
        assert (200, "application/gzip") == (package.status_code, package.headers["content-type"])
        assert "content-encoding" not in package.headers
        with tarfile.open(fileobj=BytesIO(package.content)) as packed:
            described = json.load(packed.extractfile("package/package.json"))  # type: ignore[arg-type]  # it is a file
        assert version("daypass") == described["version"]

    # ---- what comes in

    def test_a_body_that_is_too_large(self, client: httpx2.Client, application: Application) -> None:
        """A body of more than 64 KiB is refused, announced or not, and nothing is changed."""
        client.post("/auth/login", json=LOGIN)
        expected = body_of("content_too_large", "The body is too large: send at most 65536 bytes")
        chunks = 70 * [1_000 * b"x"]
        for path in ("login", "refresh", "logout"):
            announced = client.post(f"/auth/{path}", content=65_537 * b"x")
            unannounced = client.post(f"/auth/{path}", content=iter(chunks))
            for answer in (announced, unannounced):
                assert (413, expected) == (answer.status_code, answer.content)
                assert "set-cookie" not in answer.headers
        assert [EventCode.STARTED] == application.codes()
        assert 200 == client.post("/auth/refresh", content=65_536 * b"x").status_code

    def test_a_page_of_another_origin_whose_body_is_too_large(self, application: Application) -> None:
        """A page of an allowed origin may read that its body is too large; no other may."""
        allowed = "https://app.example.com"
        with self.serve(self.mount(application, allowed_origins=[allowed])) as address:
            for origin, told in ((allowed, allowed), ("https://evil.example", None)):
                answer = httpx2.post(f"{address}/auth/login", content=65_537 * b"x", headers={"origin": origin})
                found = answer.headers.get("access-control-allow-origin")
                assert (413, told, "Origin") == (answer.status_code, found, answer.headers["vary"])

    def test_a_client_that_goes_away(
        self, client: httpx2.Client, application: Application, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A client that goes away in the middle of its body changes nothing, and is no error in the server's log."""
        client.post("/auth/login", json=LOGIN)
        cookie = refresh_cookie(client.cookies)
        head = (
            f"POST /auth/refresh HTTP/1.1\r\nhost: localhost\r\ncookie: daypass={cookie}\r\ncontent-length: 10\r\n\r\n"
        )
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            raw(str(client.base_url), f"{head}half".encode(), goes_away=True)
            assert 200 == client.get("/.well-known/jwks.json").status_code
        assert [] == caplog.messages
        assert [EventCode.STARTED] == application.codes()

    @pytest.mark.parametrize("host", ["[::1", "[nonsense]", "a b", "", "\xff"])
    def test_an_invalid_host_is_refused(self, client: httpx2.Client, host: str) -> None:
        """An invalid ``Host`` is refused like any other over plain HTTP, and breaks nothing."""
        head = f"POST /auth/refresh HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        assert raw(str(client.base_url), head.encode("latin-1")).split(b" ")[1] in (b"400", b"403")

    # ---- what the application does

    def test_an_application_that_fails(self, client: httpx2.Client, application: Application) -> None:
        """An error of the application is a 5xx: no cookie is changed, and the session continues afterwards."""
        client.post("/auth/login", json=LOGIN)
        application.broken = True
        answer = client.post("/auth/refresh", headers={"connection": "close"})
        assert (500, False) == (answer.status_code, "set-cookie" in answer.headers)
        application.broken = False
        assert 200 == client.post("/auth/refresh").status_code

    # ---- many at once

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    def test_a_hundred_at_once(self, kind: str, tmp_path: Path) -> None:
        """A hundred refreshes with one cookie all succeed, all with the same next one, and rotate once."""
        application = self.make("memory:" if kind == "memory" else f"sqlite:///{tmp_path / 'sessions.db'}")
        with self.serve(self.mount(application)) as address:
            cookie = refresh_cookie(httpx2.post(f"{address}/auth/login", json=LOGIN).cookies)
            answers = asyncio.run(_at_once(100, f"{address}/auth/refresh", {"cookie": f"daypass={cookie}"}))
        assert {200} == {answer.status_code for answer in answers}
        assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
        counted = {code: application.codes().count(code) for code in set(application.codes())}
        assert {EventCode.STARTED: 1, EventCode.ROTATED: 1, EventCode.REPEATED: 99} == counted


class Mounted(MountedAnywhere):
    """The promises that hold in every ASGI framework."""

    def serve(self, app: ASGIApp) -> AbstractContextManager[str]:
        return serving(app)

    def make(self, store: str = "memory:") -> Application:
        return Application(store)

    def test_a_sync_issuer(self) -> None:
        """A `Daypass` would block the event loop, so each way of mounting refuses it, and says what to use."""
        auth = Daypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
        for make in type(self).makers:
            with pytest.raises(ConfigurationError, match="needs AsyncDaypass, not Daypass"):
                make(auth)

    def test_cookies_in_two_headers(self, client: httpx2.Client) -> None:
        """Cookies that arrive in several headers, as HTTP/2 sends them, are found."""
        client.post("/auth/login", json=LOGIN)
        headers = [("cookie", "theme=dark"), ("cookie", f"daypass={refresh_cookie(client.cookies)}")]
        assert 200 == httpx2.post(f"{client.base_url}/auth/refresh", headers=headers).status_code

    def test_checking_a_password_holds_nobody_up(self, client: httpx2.Client, application: Application) -> None:
        """A plain ``authenticate`` runs in a thread, an async ``load_user`` in the event loop."""
        client.post("/auth/login", json=LOGIN)
        client.post("/auth/refresh")
        assert 2 == len(application.threads)


async def _at_once(times: int, url: str, headers: Mapping[str, str]) -> list[httpx2.Response]:
    limits = httpx2.Limits(max_connections=times)
    async with httpx2.AsyncClient(limits=limits, timeout=30) as client:
        asking = [cast("Awaitable[httpx2.Response]", client.post(url, headers=headers)) for _ in range(times)]
        return await asyncio.gather(*asking)
