"""Tests of single adapters: hooks, origins, the other kind of client, libraries that they do without."""

import asyncio
import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import niquests
import pytest
import requests

import daypass.client
from daypass.client import aiohttp as for_aiohttp
from daypass.client import httpx as for_httpx
from daypass.client import niquests as for_niquests
from daypass.client import requests as for_requests
from daypass.client.timing import Timing
from daypass.errors import ConfigurationError, CredentialsRejected, LoginRequired, RefreshUnavailable
from daypass.testing.client_subjects import AioHttp, AsyncNiquests, Niquests, Requests
from daypass.testing.strict_server import PASSWORD

LIFETIME = 900_000
TIMING = Timing(fresh=0, pause=10, backoff=20)
BLOCKING = [
    pytest.param(for_httpx, httpx2.Client, id="httpx2"),
    pytest.param(for_httpx, httpx.Client, id="httpx"),
    pytest.param(for_requests, requests.Session, id="requests"),
    pytest.param(for_niquests, niquests.Session, id="niquests"),
]


def hook_into(client: Any, hook: Callable[..., Any]) -> None:
    """Add a response hook, as each library has it."""
    if isinstance(client, (requests.Session, niquests.Session)):
        client.hooks["response"] = [hook]
    else:
        client.event_hooks = {"response": [hook]}


@pytest.mark.parametrize(("module", "new_client"), BLOCKING)
def test_a_users_hook_does_not_see_a_401_that_is_retried(module: Any, new_client: Any, url: str, issuer: Any) -> None:
    """`raise_for_status` in a hook does not see a 401 that a refresh helps, and sees one that none can."""
    seen: list[int] = []

    def hook(response: Any, *_: Any, **__: Any) -> None:
        seen.append(response.status_code)
        response.raise_for_status()

    auth = module.DaypassAuth(f"{url}/auth", timing=TIMING)
    with new_client() as client:
        hook_into(client, hook)
        with pytest.raises(CredentialsRejected):
            auth.login(client, email="ada", password="wrong")
        auth.login(client, email="ada", password=PASSWORD)
        auth.attach(client)
        seen.clear()
        issuer.revoke_access()
        assert client.get(f"{url}/me").status_code == 200
        assert 401 not in seen
        with pytest.raises(Exception, match="401"):
            client.get(f"{url}/never")
        assert 401 in seen
        issuer.end_sessions()
        with pytest.raises(LoginRequired):
            client.get(f"{url}/me")


def test_an_async_users_hook_does_not_see_a_401_that_is_retried(url: str, issuer: Any) -> None:
    """The same for httpx2, niquests and aiohttp, whose `raise_for_status` is an option of the session."""
    seen: list[int] = []

    async def hook(response: Any, *_: Any, **__: Any) -> None:
        seen.append(response.status_code)
        response.raise_for_status()

    async def scenario() -> None:
        auth: Any = for_httpx.DaypassAuth(f"{url}/auth", timing=TIMING)
        async with httpx2.AsyncClient(auth=auth, event_hooks={"response": [hook]}) as client:
            await auth.alogin(client, email="ada", password=PASSWORD)
            issuer.revoke_access()
            assert 200 == (await client.get(f"{url}/me")).status_code
        auth = for_niquests.AsyncDaypassAuth(f"{url}/auth", timing=TIMING)
        async with niquests.AsyncSession() as session:
            session.hooks["response"] = [hook]
            await auth.alogin(auth.attach(session), email="ada", password=PASSWORD)
            issuer.revoke_access()
            assert 200 == (await session.get(f"{url}/me")).status_code
        auth = for_aiohttp.DaypassAuth(f"{url}/auth", timing=TIMING)
        async with aiohttp.ClientSession(middlewares=[auth], raise_for_status=True) as sender:
            with pytest.raises(CredentialsRejected):
                await auth.alogin(sender, email="ada", password="wrong")
            await auth.alogin(sender, email="ada", password=PASSWORD)
            issuer.revoke_access()
            async with sender.get(f"{url}/me") as response:
                assert 200 == response.status
            with pytest.raises(aiohttp.ClientResponseError):
                await sender.get(f"{url}/never")

    asyncio.run(scenario())
    assert 401 not in seen


@pytest.mark.parametrize(("module", "new_client"), BLOCKING)
def test_a_cookie_session_is_kept_up_in_every_library(
    module: Any, new_client: Any, url: str, issuer: Any, clock: Any
) -> None:
    """The rotated cookie goes to refresh and logout and to nothing else, and is not in the client's jar."""
    issuer.sets_cookie = True
    auth = module.DaypassAuth(f"{url}/auth", clock=clock)
    with new_client() as client:
        auth.login(client, email="ada", password=PASSWORD)
        auth.attach(client)
        for _ in range(2):
            clock.advance(LIFETIME)
            assert client.get(f"{url}/me").status_code == 200
        assert auth.logout(client)
        assert {"lang"} == {getattr(cookie, "name", cookie) for cookie in client.cookies}
    assert {"lang=en"} == set(issuer.cookies["/me"])
    assert (2, 1) == (issuer.counts["rotated"], issuer.counts["ended"])


def test_a_cookie_session_is_kept_up_in_aiohttp(url: str, issuer: Any, clock: Any) -> None:
    """The same, with a jar that takes cookies from an address."""
    issuer.sets_cookie = True

    async def scenario() -> None:
        auth = for_aiohttp.DaypassAuth(f"{url}/auth", clock=clock)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(url, middlewares=[auth], cookie_jar=jar) as session:
            await auth.alogin(session, email="ada", password=PASSWORD)
            for _ in range(2):
                clock.advance(LIFETIME)
                async with session.get("/me") as response:
                    assert 200 == response.status
            assert await auth.alogout(session)
            assert ["lang"] == [cookie.key for cookie in jar]

    asyncio.run(scenario())
    assert {"lang=en"} == set(issuer.cookies["/me"])
    assert (2, 1) == (issuer.counts["rotated"], issuer.counts["ended"])


@pytest.mark.parametrize("subject", [Requests, Niquests, AioHttp, AsyncNiquests])
def test_another_origin_is_left_alone(subject: Any, url: str, issuer: Any, stranger: tuple[str, Any]) -> None:
    """No token there, and its 401 is its own affair; a 401 about another scheme refreshes nothing here either."""
    elsewhere, other = stranger
    user = subject(url)
    user.login()
    assert 401 == user.request("GET", f"{elsewhere}/me")
    assert [None] == other.authorizations
    assert [401, 401] == [user.request("GET", "/basic"), user.request("GET", "/scope")]
    assert 0 == issuer.counts["refreshes"]
    user.close()


def test_a_token_does_not_follow_an_upgrade_to_https() -> None:
    """A library lets `Authorization` go along from http to https of one host: another origin, so ours stays behind."""
    auth = for_requests.DaypassAuth("http://localhost/auth")
    auth.start(access_token="secret", expires_in=900)
    request = requests.Request("GET", "http://localhost/me", auth=auth).prepare()
    assert "Bearer secret" == request.headers["Authorization"]
    response = requests.Response()
    response.status_code, response.url, response.request = 302, "http://localhost/me", request
    response.headers["location"] = "https://localhost/me"
    requests.hooks.dispatch_hook("response", request.hooks, response)  # type: ignore[no-untyped-call]  # theirs
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
def test_a_token_does_not_follow_an_upgrade_to_https_in_httpx(library: Any) -> None:
    """It goes along there too: below the hooks it is taken off, and the answer from there refreshes nothing."""
    seen: list[tuple[str, str | None]] = []

    def respond(request: Any) -> Any:
        seen.append((str(request.url), request.headers.get("authorization")))
        if request.url.scheme == "http":
            return library.Response(302, headers={"location": "https://localhost/me"})
        return library.Response(401)

    auth = for_httpx.DaypassAuth("http://localhost/auth", timing=TIMING)
    auth.start(access_token="secret", refresh_token="r", expires_in=900)
    with library.Client(transport=library.MockTransport(respond), follow_redirects=True) as client:
        assert 401 == auth.attach(client).get("http://localhost/me").status_code
    assert [("http://localhost/me", "Bearer secret"), ("https://localhost/me", None)] == seen


@pytest.mark.parametrize(
    "text", ["https://API.example.com/me", "https://api.example.com:443/me", "https://api.example.com"]
)
def test_an_origin_is_known_in_every_spelling(text: str) -> None:
    """Case, the scheme's own port and a missing path make no other origin; a user name or a longer host does."""
    auth = for_requests.DaypassAuth("https://api.example.com/auth")
    auth.start(access_token="secret", expires_in=900)
    assert "Bearer secret" == requests.Request("GET", text, auth=auth).prepare().headers["Authorization"]
    for other in ("https://api.example.com.evil.example/", "https://api.example.com:444/", "http://api.example.com/",
                  "https://api.example.com@evil.example/"):  # fmt: skip
        assert "Authorization" not in requests.Request("GET", other, auth=auth).prepare().headers


@pytest.mark.parametrize(("module", "new_client"), BLOCKING[2:])
def test_a_file_is_sent_again_from_where_it_stood(module: Any, new_client: Any, url: str, issuer: Any) -> None:
    """From its middle, not from its beginning; one that was closed meanwhile is not sent again."""
    auth = module.DaypassAuth(f"{url}/auth", timing=TIMING)
    content = bytes(range(256)) * 1_024

    class ClosedAfterwards(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(size)
            if self.tell() == len(content):
                self.close()
            return chunk

    with new_client() as client:
        auth.login(client, email="ada", password=PASSWORD)
        auth.attach(client)
        file = io.BytesIO(content)
        file.seek(1_000)
        issuer.revoke_access()
        assert client.put(f"{url}/upload", data=file).status_code == 200
        assert [len(content) - 1_000] * 2 == [size for _, size in issuer.uploads]
        assert 1 == len(set(issuer.uploads))


def test_a_form_with_a_pipe_in_it_is_sent_once_by_aiohttp(url: str, issuer: Any) -> None:
    """Aiohttp writes a form part by part, and cannot go back: its caller gets the 401, the next request a new token."""

    async def pipe() -> Any:
        yield b"x" * 10_000

    async def scenario() -> list[int]:
        auth = for_aiohttp.DaypassAuth(f"{url}/auth", timing=TIMING)
        async with aiohttp.ClientSession(url, middlewares=[auth]) as session:
            await auth.alogin(session, email="ada", password=PASSWORD)
            issuer.revoke_access()
            form = aiohttp.FormData()
            form.add_field("file", pipe(), filename="f")
            async with session.post("/upload", data=form) as refused, session.get("/me") as answered:
                await refused.read()
                return [refused.status, answered.status]

    assert [401, 200] == asyncio.run(scenario())
    assert (1, 1) == (len(issuer.uploads), issuer.counts["refreshes"])
    assert issuer.uploads[0][1] > 10_000


@pytest.mark.parametrize(
    ("auth", "call", "told"),
    [
        (for_requests.DaypassAuth, lambda auth: auth.login(httpx2, password="x", email="a"), "Session of requests"),
        (for_niquests.DaypassAuth, lambda auth: auth.login(niquests.AsyncSession(), password="x", email="a"), "alogin"),
        (for_niquests.AsyncDaypassAuth, lambda auth: auth.attach(niquests.Session()), "AsyncSession of niquests"),
        (for_aiohttp.DaypassAuth, lambda auth: auth.login(None, password="x", email="a"), "alogin"),
        (for_httpx.DaypassAuth, lambda auth: auth.attach(requests.Session()), "httpx2 or httpx"),
    ],
)
def test_a_client_of_another_kind_is_refused(auth: Any, call: Callable[[Any], Any], told: str) -> None:
    """The ConfigurationError says which one is needed."""
    with pytest.raises(ConfigurationError, match=told):
        call(auth("https://a.example/auth"))


LIBRARIES = {"httpx": {"httpx", "httpx2"}, "requests": {"requests"}, "aiohttp": {"aiohttp"}, "niquests": {"niquests"}}


@pytest.mark.parametrize("adapter", LIBRARIES)
def test_no_adapter_imports_anothers_library(adapter: str) -> None:
    """Each loads its own, and works where the others are not installed; without its own it says what to install."""
    others = sorted(set().union(*LIBRARIES.values()) - LIBRARIES[adapter])
    program = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {missing}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from daypass.errors import ConfigurationError\n"
        "try:\n"
        "    from daypass.client.{adapter} import DaypassAuth\n"
        "    print(DaypassAuth('https://a.example/auth'))\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )

    def shown(missing: list[str]) -> str:
        code = program.format(missing=missing, adapter=adapter)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "<DaypassAuth https://a.example/auth logged out>\n" == shown(
        [*others, "keyring", "filelock", "platformdirs"]
    )
    assert f'pip install "daypass[{adapter}]"' in shown(sorted(LIBRARIES[adapter]))


def test_no_shared_room_imports_a_library() -> None:
    """What the adapters share names no HTTP library: those are in the adapters, and in httpx's own rooms."""
    adapters = {"requests.py", "aiohttp.py", "niquests.py", "mcp.py", "commands.py"}
    own = adapters | {path.name for path in Path(daypass.client.__file__).parent.glob("httpx*.py")}
    folder = Path(daypass.client.__file__).parent
    pattern = re.compile(r"^\s*(?:import|from) (httpx2?|requests|aiohttp|niquests)\b", re.MULTILINE)
    found = {path.name for path in folder.glob("*.py") if pattern.search(path.read_text())}
    assert found <= own


def test_a_token_is_given_out_for_other_uses(url: str, issuer: Any, clock: Any) -> None:
    """`token()` is a good one, refreshed first close to expiry: for a WebSocket, a subprocess, another library."""
    auth = for_httpx.DaypassAuth(f"{url}/auth", clock=clock)
    with httpx2.Client() as client:
        auth.login(client, email="ada", password=PASSWORD)
        first = auth.token()
        assert first == auth.token()
        clock.advance(LIFETIME * 95 // 100)
        assert auth.token() in issuer.live
        assert first != auth.token()
        assert auth.token() == asyncio.run(auth.atoken())
    assert 1 == issuer.counts["refreshes"]


def test_a_refresh_has_a_deadline_of_its_own_under_any_timeout_of_the_callers(
    url: str, issuer: Any, clock: Any
) -> None:
    """A caller's short time-out is for its request: the refresh that comes first takes as long as it needs."""
    auth = for_requests.DaypassAuth(f"{url}/auth", clock=clock)
    with requests.Session() as session:
        auth.login(auth.attach(session), email="ada", password=PASSWORD)
        issuer.latency = 0.6
        clock.advance(LIFETIME)
        assert 200 == session.get(f"{url}/me", timeout=0.3).status_code
        issuer.gate = threading.Event()
        auth._session.timing = Timing(strict_deadline=400)
        clock.advance(LIFETIME)
        began = time.monotonic()
        with pytest.raises(RefreshUnavailable):
            session.get(f"{url}/me", timeout=30)
        assert time.monotonic() - began < 3
        issuer.gate.set()


def test_an_auth_that_was_made_before_httpx_was_loaded_works_with_it(issuer: Any, url: str) -> None:
    """A program that imports httpx late, after the session was made with httpx2: both take the same auth."""
    script = f"""
import httpx2
from daypass.client.httpx import DaypassAuth
import sys
auth = DaypassAuth({url + "/auth"!r})
with httpx2.Client(base_url={url!r}, auth=auth) as client:
    auth.login(client, email="ada", password="correct horse")
    assert "httpx" not in sys.modules
    import httpx
    chunks = (each for each in [b"a", b"b"])
    with httpx.Client(base_url={url!r}, auth=auth) as other:
        print(client.get("/me").status_code, other.post("/upload", content=chunks).status_code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ("200 200\n", "") == (done.stdout, done.stderr)
