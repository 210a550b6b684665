"""Pages without JavaScript in WSGI: over real HTTP with a plain cookie jar, and by the letter of PEP 3333."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

import pytest
import requests
from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.test import EnvironBuilder

from daypass import AsyncDaypass, ConfigurationError, EventCode
from daypass.duration import MINUTE
from daypass.web.flask import bearer, current_login
from daypass.web.wsgi_pages import Pages

from ..cookie_names import refresh_cookie, without_port
from ..servers.wsgi import serving
from .failing import Failing
from .live_wsgi import SyncApplication
from .world import ALICE, ISSUER, PASSWORD, SECRET, body_of

TEXT = ("content-type", "text/plain")
HTML = {"accept": "text/html"}


@pytest.fixture
def application() -> SyncApplication:
    return SyncApplication()


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def broken(store: Failing) -> SyncApplication:
    """Give an application whose store may be taken down."""
    return SyncApplication(store)


def site_of(application: SyncApplication) -> Flask:
    """Return a site in Flask: who is there, an upload, a long download, login and logout."""
    app, auth = Flask(__name__), application.auth
    require = bearer(auth)

    @app.get("/")
    def home() -> ResponseReturnValue:
        return current_login.token.username or "" if current_login.token else "nobody"

    @app.get("/inside")
    @require
    def inside() -> ResponseReturnValue:
        return "inside"

    @app.post("/upload")
    @require
    def upload() -> ResponseReturnValue:
        return hashlib.sha256(request.files["file"].read()).hexdigest()

    @app.post("/upload/late")
    def upload_late() -> ResponseReturnValue:
        application.entered.set()
        found = hashlib.sha256(request.files["file"].read()).hexdigest()
        require()
        return found

    @app.get("/download")
    def download() -> ResponseReturnValue:
        return Response((1000 * b"x" for _ in range(100)), headers={"cache-control": "public, max-age=60"})

    @app.post("/login")
    def login() -> ResponseReturnValue:
        user = application.check(request.form["name"], request.form["password"])
        if user is None:
            return "wrong", 403
        current_login.log_in(auth.start(user))
        return redirect("/")

    @app.post("/logout")
    def logout() -> ResponseReturnValue:
        current_login.log_out()
        return redirect("/")

    app.wsgi_app = Pages(app.wsgi_app, auth)  # type: ignore[method-assign]  # as Flask has it
    return app


@pytest.fixture
def address(application: SyncApplication) -> Iterator[str]:
    with serving(site_of(application)) as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[requests.Session]:
    with requests.Session() as session:
        answer = session.post(f"{address}/login", data={"name": ALICE.email, "password": PASSWORD})
        assert (200, "alice") == (answer.status_code, answer.text)
        yield session


def cookies_set(answer: requests.Response) -> list[str]:
    return sorted(value.partition("=")[0] for value in answer.raw.headers.getlist("set-cookie"))


# ---- a site over real HTTP


def test_an_expiry_is_not_noticed(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """When the access token has expired the page is served, and the next ones cost no refresh."""
    for _ in range(3):
        application.clock.advance(16 * MINUTE)
        answer = browser.get(f"{address}/inside")
        assert (200, "inside", []) == (answer.status_code, answer.text, answer.history)
        assert ["daypass", "daypass-access"] == without_port(cookies_set(answer))
        assert ("no-store", "Cookie") == (answer.headers["cache-control"], answer.headers["vary"])
        assert [] == cookies_set(browser.get(f"{address}/inside"))
    assert 3 == application.codes().count(EventCode.ROTATED)


def test_an_upload_reaches_the_application(
    browser: requests.Session, address: str, application: SyncApplication
) -> None:
    """A large upload that meets the expiry arrives, byte by byte, and is neither asked for again nor redirected."""
    content = os.urandom(3_000_000)
    for _ in range(2):
        application.clock.advance(16 * MINUTE)
        answer = browser.post(f"{address}/upload", files={"file": content})
        assert (200, []) == (answer.status_code, answer.history)
        assert hashlib.sha256(content).hexdigest() == answer.text
    assert "nobody" == requests.get(address, timeout=30).text


def test_an_expiry_in_the_midst_of_an_upload(
    browser: requests.Session, address: str, application: SyncApplication
) -> None:
    """An upload that takes longer than its access token lives is judged when it begins, and the next one refreshes."""
    content = os.urandom(300_000)
    for rotations in (0, 1):
        application.entered.clear()
        asked = requests.Request("POST", f"{address}/upload/late", files={"file": content})
        prepared = browser.prepare_request(asked)
        whole = prepared.body
        assert isinstance(whole, bytes)

        def slowly(whole: bytes = whole) -> Iterator[bytes]:
            yield whole[:100_000]
            assert application.entered.wait(30)
            application.clock.advance(16 * MINUTE)
            yield whole[100_000:]

        prepared.body = slowly()  # type: ignore[assignment]  # with the length that was announced
        answer = browser.send(prepared)
        assert (200, hashlib.sha256(content).hexdigest()) == (answer.status_code, answer.text)
        assert rotations == application.codes().count(EventCode.ROTATED)
    assert "inside" == browser.get(f"{address}/inside").text


def test_a_token_of_another_issuer(application: SyncApplication) -> None:
    """What one issuer's pages have found good is nothing to another issuer."""
    app, other = site_of(application), SyncApplication()
    app.add_url_rule("/other", view_func=bearer(other.auth)(lambda: "other"), endpoint="other")
    token = application.auth.start(ALICE).refresh_token
    client = app.test_client(use_cookies=False)
    answers = [client.get(path, headers=[("cookie", f"daypass={token}")]) for path in ("/inside", "/other")]
    assert [200, 401] == [answer.status_code for answer in answers]


def test_ten_requests_of_one_page(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """Ten requests that meet the expiry at once are all served; the session rotates once, and lives on."""
    application.clock.advance(16 * MINUTE)
    held = dict(browser.cookies)

    def get(number: int) -> requests.Response:
        return requests.get(f"{address}/inside?{number}", cookies=held, timeout=30)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(get, range(10)))
    assert {(200, "inside")} == {(answer.status_code, answer.text) for answer in answers}
    assert {2} == {len(cookies_set(answer)) for answer in answers}
    assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
    assert 1 == application.codes().count(EventCode.ROTATED)
    browser.cookies.update(answers[0].cookies)
    application.clock.advance(16 * MINUTE)
    assert 200 == browser.get(f"{address}/inside").status_code


def test_logout(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """A logout clears the cookies and ends the session: copies of them are refused at once."""
    kept = dict(browser.cookies)
    assert ("nobody", {}) == (browser.post(f"{address}/logout").text, dict(browser.cookies))
    assert 401 == browser.get(f"{address}/inside").status_code
    assert 401 == requests.get(f"{address}/inside", cookies=kept, timeout=30).status_code
    assert EventCode.LOGGED_OUT in application.codes()


def test_a_response_that_flows(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """A long response that is made piece by piece arrives complete; with cookies in it, it is private."""
    assert "public, max-age=60" == requests.get(f"{address}/download", timeout=30).headers["cache-control"]
    application.clock.advance(16 * MINUTE)
    answer = browser.get(f"{address}/download")
    assert (100_000, "max-age=60, private") == (len(answer.content), answer.headers["cache-control"])
    assert ["daypass", "daypass-access"] == without_port(cookies_set(answer))


def test_another_sites_form(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """A form on another site's page that posts here is refused before the application sees it."""
    answer = browser.post(f"{address}/upload", files={"file": b"x"}, headers={"sec-fetch-site": "cross-site"} | HTML)
    assert (403, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert 200 == browser.get(f"{address}/inside").status_code


def test_a_client_with_a_header(browser: requests.Session, address: str, application: SyncApplication) -> None:
    """A request with ``Authorization`` is judged only by that, also if it has cookies."""
    refused = browser.get(f"{address}/inside", headers={"authorization": "Bearer garbage"})
    assert (401, []) == (refused.status_code, cookies_set(refused))
    token = application.auth.start(ALICE).access_token
    headers = {"authorization": f"Bearer {token}"}
    assert 200 == requests.get(f"{address}/inside", headers=headers, timeout=30).status_code


def test_a_store_that_is_down(broken: SyncApplication, store: Failing) -> None:
    """A store that is down at the expiry is a 503 which changes no cookie, and the page is served when it is back."""
    with serving(site_of(broken)) as address, requests.Session() as browser:
        browser.post(f"{address}/login", data={"name": ALICE.email, "password": PASSWORD})
        held = dict(browser.cookies)
        broken.clock.advance(16 * MINUTE)
        store.down = True
        answer = browser.get(f"{address}/inside", headers=HTML)
        assert (503, "1", held) == (answer.status_code, answer.headers["retry-after"], dict(browser.cookies))
        head = browser.head(f"{address}/inside", headers=HTML)
        assert (503, b"", answer.headers["content-length"]) == (
            head.status_code,
            head.content,
            head.headers["content-length"],
        )
        store.down = False
        assert "inside" == browser.get(f"{address}/inside").text


# ---- by the letter


class Answer:
    """What a server of PEP 3333 sends for an application: nothing before its first piece, not even the headers."""

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []
        body = app(environ, self.start)
        try:
            for piece in body:
                assert self.status
                self.pieces.append(piece)
        finally:
            close(body)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        assert exc_info is not None or not self.status
        assert not self.pieces
        self.status, self.headers = status, headers
        return self.pieces.append

    def named(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name]


def expired(application: SyncApplication) -> WSGIEnvironment:
    """Return the request of a browser whose access token has expired."""
    token = application.auth.start(ALICE).refresh_token
    return EnvironBuilder("/", headers=[("cookie", f"daypass={token}")]).get_environ()


def visited(app: WSGIApplication, application: SyncApplication) -> Answer:
    """Call ``app``, with pages around it, as a browser whose access token has expired; strictly by PEP 3333."""
    return Answer(validator(Pages(validator(app), application.auth)), expired(application))


def close(body: Any) -> None:
    if hasattr(body, "close"):
        body.close()


class Body:
    """A body that says whether it was read and closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed += 1


def test_the_visit_is_in_the_environ(application: SyncApplication) -> None:
    """``environ["daypass.login"]`` is the login, and the application's request has the access token of it."""
    seen: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response("200 OK", [TEXT, ("set-cookie", "theme=dark"), ("Set-Cookie", "size=7")])
        return []

    answer = visited(app, application)
    (environ,) = seen
    assert ALICE.subject == environ["daypass.login"].token.subject
    assert (
        application.auth.verify(environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")) == environ["daypass.login"].token
    )
    names = [value.partition("=")[0] for value in answer.named("set-cookie")]
    assert ["daypass", "daypass-access", "size", "theme"] == without_port(names)


def test_a_body_is_passed_on_as_it_is(application: SyncApplication) -> None:
    """What the application returns is what the server gets: a file wrapper stays one, and is closed once."""
    body = Body(b"one", b"two")

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return body

    environ = EnvironBuilder("/").get_environ()
    assert body is Pages(app, application.auth)(environ, lambda *_: lambda _: None)
    assert ([b"one", b"two"], 1) == (visited(app, application).pieces, body.closed)


def generating(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"one"
    yield b"two"


def writing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"one")
    return [b"two"]


@pytest.mark.parametrize("app", [generating, writing], ids=["generator", "write"])
def test_however_an_application_answers(application: SyncApplication, app: WSGIApplication) -> None:
    """One that begins its response late, and one that writes it, get their cookies and lose no byte."""
    answer = visited(app, application)
    assert ("200 OK", [b"one", b"two"]) == (answer.status, answer.pieces)
    assert 2 == len(answer.named("set-cookie"))


def test_a_generator_is_closed(application: SyncApplication) -> None:
    """A generator that its client leaves early is closed, as the server would have closed it."""
    ended: list[bool] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            yield from generating(environ, start_response)
        finally:
            ended.append(True)

    body = Pages(app, application.auth)(EnvironBuilder("/").get_environ(), lambda *_: lambda _: None)
    assert b"one" == next(iter(body))
    close(body)
    assert [True] == ended


def test_an_error_after_the_beginning(application: SyncApplication) -> None:
    """A response that is started again for an error has the cookies too, and they were made once."""
    given: list[tuple[str, list[tuple[str, str]], Any]] = []

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("x-first", "yes")])
        try:
            raise ValueError("the application's own")
        except ValueError:
            start_response("500 Internal Server Error", [TEXT], sys.exc_info())
        return [b"sorry"]

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
        given.append((status, headers, exc_info))
        return lambda _: None

    assert [b"sorry"] == Pages(app, application.auth)(expired(application), start)
    (_, first, nothing), (status, second, error) = given
    assert ("500 Internal Server Error", None, ValueError) == (status, nothing, error[0])
    assert [header for header in first if header[0] != "x-first"] == second
    assert 2 == [name for name, _ in second].count("set-cookie")
    assert 1 == application.codes().count(EventCode.ROTATED)


def test_a_logout_that_could_not_be_done(broken: SyncApplication, store: Failing) -> None:
    """While the store is down a logout is not said to be done: 503 replaces whatever the application answers."""
    pieces: list[Body] = []

    def returning(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("set-cookie", "theme=dark")])
        pieces.append(Body(b"bye"))
        return pieces[-1]

    def failing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise ValueError("the application's own")
        except ValueError:
            start_response("500 Internal Server Error", [TEXT], sys.exc_info())(b"sorry")
            return []

    def silent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield from ()

    for answering in (returning, generating, writing, failing, silent):

        def app(
            environ: WSGIEnvironment, start_response: StartResponse, answering: WSGIApplication = answering
        ) -> Iterable[bytes]:
            environ["daypass.login"].log_out()
            store.down = True
            return answering(environ, start_response)

        store.down = False
        answer = visited(app, broken)
        assert ("503 Service Unavailable", []) == (answer.status, answer.named("set-cookie")), answering
        assert [body_of("temporarily_unavailable", "Try again in a moment")] == answer.pieces, answering
        assert ["1"] == answer.named("retry-after")
    assert [1] == [piece.closed for piece in pieces]


def test_an_application_that_fails(application: SyncApplication) -> None:
    """An error of the application reaches the server unchanged, and logs nobody out."""

    def app(_: WSGIEnvironment, __: StartResponse) -> Iterable[bytes]:
        raise ValueError("the application's own")

    environ = expired(application)
    with pytest.raises(ValueError, match="the application's own"):
        Answer(Pages(app, application.auth), environ)
    assert EventCode.ROTATED in application.codes()
    application.clock.advance(16 * MINUTE)
    assert application.auth.refresh(environ["HTTP_COOKIE"].removeprefix("daypass=")).access_token


def test_pages_of_others(application: SyncApplication) -> None:
    """Who comes without our cookies costs the store nothing and gets no cookie."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert environ["daypass.login"].token is None
        assert "HTTP_AUTHORIZATION" not in environ
        start_response("200 OK", [TEXT])
        return [b"hello"]

    answer = Answer(Pages(app, application.auth), EnvironBuilder("/").get_environ())
    assert ([b"hello"], ["Cookie"], []) == (answer.pieces, answer.named("vary"), answer.named("set-cookie"))
    assert [] == application.codes()


def test_a_refusal_of_the_applications_own(broken: SyncApplication, store: Failing) -> None:
    """``render`` makes the page for a refusal."""
    app = Pages(generating, broken.auth, render=lambda status, code, message: f"<h1>{status} {code}: {message}</h1>")
    environ = expired(broken) | {"HTTP_ACCEPT": "text/html"}
    store.down = True
    answer = Answer(app, environ)
    assert "503 Service Unavailable" == answer.status
    assert [b"<h1>503 temporarily_unavailable: Try again in a moment</h1>"] == answer.pieces


def test_an_async_issuer() -> None:
    """An `AsyncDaypass` needs an event loop, so it is refused, and it is said what to use."""
    auth: Any = AsyncDaypass("memory:", issuer=ISSUER, secret=SECRET, load_user=lambda _: None)
    with pytest.raises(ConfigurationError, match="needs Daypass, not AsyncDaypass"):
        Pages(generating, auth)
