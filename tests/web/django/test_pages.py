"""Django's pages without JavaScript, sync and async, over real HTTP: a browser that has nothing but cookies."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User as DjangoUser
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from daypass import AsyncDaypass, ConfigurationError, Daypass, EventCode, User
from daypass.duration import MINUTE
from daypass.errors import CredentialsRejected
from daypass.web.django import bearer, users
from daypass.web.django.pages import Pages

from ...cookie_names import refresh_cookie, without_port
from ...servers import application as asgi
from ...servers import wsgi
from ..live import Application
from ..live_wsgi import SyncApplication
from ..world import PASSWORD
from .project import Asgi, Wsgi, tables, with_lifespan, with_middleware

UPLOAD = bytes(range(256)) * 20_000


def sync_site(auth: Daypass) -> list[Any]:
    def home(request: Any) -> HttpResponse:
        login = request.daypass
        return JsonResponse({"user": login.token and login.token.username})

    @csrf_exempt
    def login(request: Any) -> HttpResponse:
        try:
            request.daypass.log_in(auth.login(request.POST["username"], request.POST["password"]))
        except CredentialsRejected:
            return HttpResponse("wrong", status=401)
        return redirect("/")

    @csrf_exempt
    def logout(request: Any) -> HttpResponse:
        request.daypass.log_out()
        return redirect("/")

    @csrf_exempt
    def upload(request: Any) -> HttpResponse:
        if request.content_type == "application/octet-stream":
            return JsonResponse({"sha256": sha256(b"".join(iter(lambda: request.read(65_536), b""))).hexdigest()})
        return JsonResponse({"sha256": sha256(request.FILES["file"].read()).hexdigest(), "text": request.POST["text"]})

    @bearer(auth)
    def api(request: Any) -> HttpResponse:
        return JsonResponse({"user": request.daypass_token.username, "seen": request.headers["authorization"][:6]})

    return [
        path("", home),
        path("login", login),
        path("logout", logout),
        path("upload", upload),
        path("api", api),
        *others(),
    ]


def async_site(auth: AsyncDaypass) -> list[Any]:
    async def home(request: Any) -> HttpResponse:
        login = request.daypass
        return JsonResponse({"user": login.token and login.token.username})

    @csrf_exempt
    async def login(request: Any) -> HttpResponse:
        try:
            request.daypass.log_in(await auth.login(request.POST["username"], request.POST["password"]))
        except CredentialsRejected:
            return HttpResponse("wrong", status=401)
        return redirect("/")

    @csrf_exempt
    async def logout(request: Any) -> HttpResponse:
        request.daypass.log_out()
        return redirect("/")

    @csrf_exempt
    async def upload(request: Any) -> HttpResponse:
        if request.content_type == "application/octet-stream":
            return JsonResponse({"sha256": sha256(b"".join(iter(lambda: request.read(65_536), b""))).hexdigest()})
        return JsonResponse({"sha256": sha256(request.FILES["file"].read()).hexdigest(), "text": request.POST["text"]})

    @bearer(auth)
    async def api(request: Any) -> HttpResponse:
        return JsonResponse({"user": request.daypass_token.username, "seen": request.headers["authorization"][:6]})

    return [
        path("", home),
        path("login", login),
        path("logout", logout),
        path("upload", upload),
        path("api", api),
        *others(),
    ]


def others() -> list[Any]:
    def broken(_request: HttpRequest) -> HttpResponse:
        raise RuntimeError("the application's own error")

    def public(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("the same for all", headers={"Cache-Control": "public, max-age=60", "Vary": "Accept"})

    def cookies(_request: HttpRequest) -> HttpResponse:
        response = HttpResponse("two of its own")
        response.set_cookie("theme", "dark", path="/")
        response.set_cookie("language", "en", path="/")
        return response

    def stream(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"a", b"b"]))

    def file(_request: HttpRequest) -> FileResponse:
        return FileResponse(Path(__file__).open("rb"))

    return [
        path("broken", broken),
        path("public", public),
        path("cookies", cookies),
        path("stream", stream),
        path("file", file),
    ]


@dataclass
class Place:
    """A site on a socket, and its issuer's events."""

    application: Application
    address: str
    browsers: ExitStack

    def browser(self) -> httpx2.Client:
        return self.browsers.enter_context(httpx2.Client(base_url=self.address, follow_redirects=True))

    def logged_in(self) -> httpx2.Client:
        browser = self.browser()
        assert {"user": "alice"} == browser.post("/login", data={"username": "alice", "password": PASSWORD}).json()
        return browser

    def expire(self) -> None:
        self.application.clock.advance(15 * MINUTE)

    def count(self, code: EventCode) -> int:
        return self.application.codes().count(code)


@contextmanager
def site(kind: str, store: str = "memory:", **options: Any) -> Iterator[Place]:
    application = Application(store) if kind == "async" else SyncApplication(store)
    auth = application.auth
    auth.authenticate = application.check
    patterns = async_site(auth) if kind == "async" else sync_site(auth)
    serving: AbstractContextManager[str]
    with with_middleware(Pages(auth, **options)):
        if kind == "sync":
            serving = wsgi.serving(Wsgi(patterns))
        elif kind == "async":
            serving = asgi.serving(with_lifespan(Asgi(patterns), application.lifespan))
        else:
            serving = asgi.serving(Asgi(patterns))
    with serving as address, ExitStack() as browsers:
        yield Place(application, address, browsers)
    if kind != "async":
        auth.close()


@pytest.fixture(params=["sync", "async", "sync under ASGI"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with site(request.param) as served:
        yield served


def test_the_whole_way(place: Place) -> None:
    """A form logs in, pages know who comes, and another form logs out and ends the session."""
    browser = place.browser()
    assert {"user": None} == browser.get("/").json()
    wrong = browser.post("/login", data={"username": "alice", "password": "wrong"})
    assert (401, {}) == (wrong.status_code, dict(browser.cookies))
    browser = place.logged_in()
    assert ["daypass", "daypass-access"] == without_port(browser.cookies)
    before = dict(browser.cookies)
    assert {"user": "alice"} == browser.get("/").json()
    assert {"user": None} == browser.post("/logout").json()
    assert ({}, 1) == (dict(browser.cookies), place.count(EventCode.LOGGED_OUT))
    stolen = httpx2.get(place.address, cookies=before)
    assert {"user": None} == stolen.json()


def test_a_request_that_meets_the_expiry(place: Place) -> None:
    """It is the refresh: the view knows the user, the response brings the new cookies, and nothing is redirected."""
    browser = place.logged_in()
    before = dict(browser.cookies)
    place.expire()
    answer = browser.get("/")
    assert ({"user": "alice"}, []) == (answer.json(), answer.history)
    assert ["daypass", "daypass-access"] == without_port(
        name for name in before if before[name] != browser.cookies[name]
    )
    assert 1 == place.count(EventCode.ROTATED)
    assert {"user": "alice"} == browser.get("/").json()
    assert 1 == place.count(EventCode.ROTATED)
    assert "Cookie" in answer.headers["vary"]
    assert "no-store" == answer.headers["cache-control"]


def test_an_upload_that_meets_the_expiry(place: Place) -> None:
    """A form with a large file, and a raw body, arrive whole in the request that is the refresh."""
    browser, digest = place.logged_in(), sha256(UPLOAD).hexdigest()
    place.expire()
    answer = browser.post("/upload", files={"file": ("a.bin", UPLOAD)}, data={"text": "grüß"})
    assert {"sha256": digest, "text": "grüß"} == answer.json()
    place.expire()
    answer = browser.post("/upload", content=UPLOAD, headers={"content-type": "application/octet-stream"})
    assert {"sha256": digest} == answer.json()
    assert 2 == place.count(EventCode.ROTATED)


def test_ten_at_once(place: Place) -> None:
    """Ten requests of one page that meet the expiry together are all served as the user's, and rotate once."""
    cookies = dict(place.logged_in().cookies)
    place.expire()
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: httpx2.get(place.address, cookies=cookies), range(10)))
    assert 10 * [{"user": "alice"}] == [answer.json() for answer in answers]
    assert 1 == len({refresh_cookie(answer.cookies) for answer in answers})
    assert 1 == place.count(EventCode.ROTATED)


def test_a_route_that_requires_a_token_accepts_cookies(place: Place) -> None:
    """A view that requires an access token accepts a browser that sends only cookies; without them it refuses."""
    browser = place.logged_in()
    assert {"user": "alice", "seen": "Bearer"} == browser.get("/api").json()
    place.expire()
    assert {"user": "alice", "seen": "Bearer"} == browser.get("/api").json()
    assert 401 == httpx2.get(f"{place.address}/api").status_code
    assert 401 == browser.get("/api", headers={"authorization": "Bearer garbage"}).status_code


def test_another_sites_form(place: Place) -> None:
    """A form on another site's page does nothing in the user's name, and changes no cookie."""
    browser = place.logged_in()
    before = dict(browser.cookies)
    for target in ("/logout", "/upload"):
        answer = browser.post(target, headers={"sec-fetch-site": "cross-site"})
        assert (403, "cross_site_request") == (answer.status_code, answer.json()["error"])
    assert before == dict(browser.cookies)
    assert {"user": "alice"} == browser.get("/").json()


def test_a_view_that_fails(place: Place) -> None:
    """The refresh that went before a view's error is not lost with it."""
    browser = place.logged_in()
    place.expire()
    before = refresh_cookie(browser.cookies)
    assert 500 == browser.get("/broken").status_code
    assert before != refresh_cookie(browser.cookies)
    assert {"user": "alice"} == browser.get("/").json()


def test_the_views_own_headers(place: Place) -> None:
    """A view's own cookies and headers stay; a page that it calls public is not shared if it has cookies of ours."""
    browser = place.logged_in()
    public = browser.get("/public")
    assert ("public, max-age=60", "Accept") == (public.headers["cache-control"], public.headers["vary"])
    place.expire()
    public = browser.get("/public")
    assert ("max-age=60, private", "Accept, Cookie") == (public.headers["cache-control"], public.headers["vary"])
    place.expire()
    answer = browser.get("/cookies")
    names = [value.partition("=")[0] for value in answer.headers.get_list("set-cookie")]
    assert ["daypass", "daypass-access", "language", "theme"] == without_port(names)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # what Django says of any file under ASGI
def test_streams_and_files(place: Place) -> None:
    """Responses that are streamed get the cookies, too, and arrive whole."""
    browser = place.logged_in()
    for target, expected in (("/stream", b"ab"), ("/file", Path(__file__).read_bytes())):
        place.expire()
        answer = browser.get(target)
        assert (expected, True) == (answer.content, "daypass" in without_port(answer.cookies))
    place.expire()
    assert (b"", True) == ((head := browser.head("/")).content, "daypass" in without_port(head.cookies))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_store_that_is_down(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says 503 and when to try again, as a page; the cookies stay, and the session is there afterwards."""
    from daypass.errors import StoreUnavailable

    with site(kind, f"sqlite:///{tmp_path / 'sessions.db'}") as place:
        browser = place.logged_in()
        before = dict(browser.cookies)
        place.expire()
        with monkeypatch.context() as down:

            def fail(_step: object) -> None:
                raise StoreUnavailable("the disk is gone")

            auth = place.application.auth
            down.setattr(auth if kind == "async" else auth._store, "_perform" if kind == "async" else "perform", fail)
            answer = browser.get("/", headers={"accept": "text/html"})
            assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
            assert ("text/html; charset=utf-8", False) == (
                answer.headers["content-type"],
                "set-cookie" in answer.headers,
            )
            assert before == dict(browser.cookies)
        assert {"user": "alice"} == browser.get("/").json()


def test_wrong_arguments_are_refused() -> None:
    """An object that is not an issuer is refused, with what to give instead; an async one in sync projects too."""
    with pytest.raises(ConfigurationError, match="needs a Daypass or an AsyncDaypass, not a str"):
        Pages("project.auth.auth")  # type: ignore[arg-type]  # that is the mistake
    pages = Pages(Application().auth)
    assert (False, True) == (pages.sync_capable, pages.async_capable)


# ---- request.user


@pytest.fixture
def person() -> DjangoUser:
    tables()
    return DjangoUser.objects.create_user(f"user-{uuid4().hex}", "ann@example.com", "correct horse")


def sync_user_site(auth: Daypass) -> list[Any]:
    @login_required
    def home(request: Any) -> HttpResponse:
        return HttpResponse(request.user.get_username())

    @csrf_exempt
    def login(request: Any) -> HttpResponse:
        request.daypass.log_in(auth.login(request.POST["username"], request.POST["password"]))
        return redirect("/")

    def untouched(request: Any) -> HttpResponse:
        return HttpResponse(request.user._wrapped.__class__.__name__)

    return [path("", home), path("login", login), path("untouched", untouched)]


def async_user_site(auth: AsyncDaypass) -> list[Any]:
    @login_required
    async def home(request: Any) -> HttpResponse:
        return HttpResponse((await request.auser()).get_username() + request.user.get_username()[:0])

    @csrf_exempt
    async def login(request: Any) -> HttpResponse:
        request.daypass.log_in(await auth.login(request.POST["username"], request.POST["password"]))
        return redirect("/")

    async def untouched(request: Any) -> HttpResponse:
        return HttpResponse(request.user._wrapped.__class__.__name__)

    return [path("", home), path("login", login), path("untouched", untouched)]


@asynccontextmanager
async def closing(auth: AsyncDaypass) -> AsyncIterator[None]:
    async with auth:
        yield


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_user_of_django(kind: str, person: DjangoUser) -> None:
    """``request.user`` is the Django user of the login, read when it is asked for; ``login_required`` goes by it."""
    common: dict[str, Any] = {"issuer": "https://api.example.com"}
    auth: Any
    if kind == "sync":
        auth = Daypass("memory:", load_user=users.load_user, authenticate=users.authenticate, **common)
        patterns = sync_user_site(auth)
    else:
        auth = AsyncDaypass("memory:", load_user=users.aload_user, authenticate=users.aauthenticate, **common)
        patterns = async_user_site(auth)
    with with_middleware(Pages(auth, user=True)):
        app: Any = Wsgi(patterns) if kind == "sync" else with_lifespan(Asgi(patterns), lambda _: closing(auth))
    serve: Callable[[Any], AbstractContextManager[str]] = wsgi.serving if kind == "sync" else asgi.serving
    with serve(app) as address, httpx2.Client(base_url=address) as browser:
        nobody = browser.get("/")
        assert (302, "/login?next=/") == (nobody.status_code, nobody.headers["location"])
        form = {"username": person.username, "password": "correct horse"}
        assert 302 == browser.post("/login", data=form).status_code
        assert person.username == browser.get("/").text
        assert "object" == browser.get("/untouched").text
        person.refresh_from_db()
        assert person.last_login is not None
        DjangoUser.objects.filter(pk=person.pk).update(is_active=False)
        assert 302 == browser.get("/").status_code
    if kind == "sync":
        auth.close()


def test_the_user_of_a_view_is_nobody_elses(person: DjangoUser) -> None:
    """A user of Django's own login stays that user where Daypass has no login, and only there."""
    auth = Daypass("memory:", issuer="https://api.example.com", load_user=users.load_user)
    other = User("0", "other")

    def handed_on(request: Any) -> HttpResponse:
        return HttpResponse(str(request.user))

    handler = Pages(auth, user=True)(handed_on)
    from django.test import RequestFactory

    plain: Any = RequestFactory().get("/", headers={"host": "localhost"})
    assert b"AnonymousUser" == handler(plain).content
    before: Any = RequestFactory().get("/", headers={"host": "localhost"})
    before.user = "somebody"
    assert b"somebody" == handler(before).content
    tokens = auth.start(users.as_user(person))
    cookie = {"host": "localhost", "cookie": f"daypass-access={tokens.access_token}"}
    ours: Any = RequestFactory().get("/", headers=cookie)
    ours.user = "somebody"
    assert person.username.encode() == handler(ours).content
    gone: Any = RequestFactory().get(
        "/", headers=cookie | {"cookie": f"daypass-access={auth.start(other).access_token}"}
    )
    gone.user = "somebody"
    assert b"AnonymousUser" == handler(gone).content
    auth.close()
