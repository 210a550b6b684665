"""Pages rendered in Node by Web standard handlers, Hono and h3 (Nuxt's server): they stay logged in, as in Python."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from daypass import EventCode

from ..cookie_names import without_port
from ..servers.application import serving
from .api import NAVIGATION, PASSWORD, Api, browsing
from .conftest import rendering

Site = tuple[Api, str]
CROSS = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
NOBODY = {"status": "out", "user": None, "seen": None, "answers": 5 * [401], "token": "login_required"}


def in_as(name: str) -> dict[str, object]:
    return {"status": "in", "user": name, "seen": name, "answers": 5 * [200], "token": "token"}


def test_a_page_knows_its_user(site: Site) -> None:
    """A page and its five requests to the API share one refresh; the next page needs none."""
    api, address = site
    with browsing(address) as browser:
        api.asked()
        answer = browser.get("/")
        assert in_as("alice") == answer.json()
        assert "127.0.0.1" == api.forwarded["x-forwarded-for"]
        assert ("no-store", "Cookie") == (answer.headers["cache-control"], answer.headers["vary"])
        assert 1 == api.asked()
        assert in_as("alice") == browser.get("/").json()
        assert 0 == api.asked()


def test_nobody(site: Site) -> None:
    """A visitor is not logged in, costs no refresh, and may be cached as the application says."""
    api, address = site
    with browsing(address, None) as browser:
        api.asked()
        answer = browser.get("/")
        assert (NOBODY, "Cookie", None) == (
            answer.json(),
            answer.headers["vary"],
            answer.headers.get("cache-control"),
        )
        assert 0 == api.asked()


def test_expired_tokens_are_refreshed_once_for_parallel_pages(site: Site) -> None:
    """Ten pages that meet the expiry together share one refresh, and get the same cookie."""
    api, address = site
    with browsing(address) as browser:
        api.expire()
        api.asked()
        api.delay = 0.3
        before = dict(browser.cookies)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: httpx2.get(address, cookies=before, headers=NAVIGATION), range(10)))
        api.delay = 0.0
        assert 10 * [in_as("alice")] == [answer.json() for answer in answers]
        assert 1 == api.asked()
        (cookie,) = {answer.headers["set-cookie"] for answer in answers}
        assert cookie.partition("; ")[2].startswith("Path=/; Max-Age=")
        assert cookie.endswith("; HttpOnly; SameSite=Lax")


def test_two_processes(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two processes refresh with the same cookie: the server's grace period gives both the same."""
    api, address = site
    with (
        rendering("web", tmp_path_factory, api=f"http://127.0.0.1:{api_port(api)}") as other,
        browsing(address) as browser,
    ):
        before = dict(browser.cookies)
        answers = [httpx2.get(each, cookies=before, headers=NAVIGATION) for each in (address, other)]
        assert 2 * [in_as("alice")] == [answer.json() for answer in answers]
        assert 1 == len({answer.headers["set-cookie"].partition(";")[0] for answer in answers})


def api_port(api: Api) -> str:
    return api.forwarded["host"].rpartition(":")[2]


def test_a_lost_cookie(site: Site) -> None:
    """If a response's ``Set-Cookie`` never arrives, the user stays logged in, within the grace period and after it."""
    api, address = site
    with browsing(address) as browser:
        before = dict(browser.cookies)
        for lost in range(3):
            answer = httpx2.get(address, cookies=before, headers=NAVIGATION)
            assert in_as("alice") == answer.json(), lost
            if lost:
                api.expire()
        assert in_as("alice") == browser.get("/").json()
    assert 0 == api.count(EventCode.REUSED)


def test_a_lost_answer_of_the_issuer(site: Site) -> None:
    """A refresh whose answer is lost on its way is sent again."""
    api, address = site
    with browsing(address) as browser:
        api.asked()
        api.instead = [0]
        assert in_as("alice") == browser.get("/").json()
        assert 2 == api.asked()


@pytest.mark.parametrize("status", [503, 500, 502, 403, 404])
def test_an_outage_logs_nobody_out(site: Site, status: int) -> None:
    """While the issuer is down the page is 503 and says when to try again; the cookie is kept."""
    api, address = site
    with browsing(address) as browser:
        api.instead = [status, status]
        answer = browser.get("/")
        assert (503, "1", "text/html; charset=utf-8", []) == (
            answer.status_code,
            answer.headers["retry-after"],
            answer.headers["content-type"],
            answer.headers.get_list("set-cookie"),
        )
        assert "Bearer" not in answer.text
        browser.headers["accept"] = "application/json"
        assert "temporarily_unavailable" == browser.get("/").json()["error"]


def test_after_an_outage(site: Site) -> None:
    """Once the issuer is back the same cookie works again, at most a second later."""
    api, address = site
    with browsing(address) as browser:
        api.instead = [503, 503]
        assert 503 == browser.get("/").status_code
        for _ in range(30):
            if (answer := browser.get("/")).status_code == 200:
                break
            time.sleep(0.1)
        assert in_as("alice") == answer.json()


def test_a_session_that_has_ended(site: Site) -> None:
    """The page is a visitor's; the cookie is cleared in the answer to a navigation, and in no other."""
    _api, address = site
    with browsing(address) as browser:
        kept = dict(browser.cookies)
        browser.post("/auth/logout", headers={"sec-fetch-site": "same-origin"})
        assert {} == dict(browser.cookies)
        part = httpx2.get(address, cookies=kept, headers={"sec-fetch-mode": "cors"})
        assert (NOBODY, []) == (part.json(), part.headers.get_list("set-cookie"))
        page = httpx2.get(address, cookies=kept, headers=NAVIGATION)
        assert NOBODY == page.json()
        assert "Max-Age=0" in page.headers["set-cookie"]


def test_a_token_that_the_api_refuses_early(site: Site) -> None:
    """A 401 to a token that looked good: one refresh for all requests of the page, which are sent again."""
    api, address = site
    with browsing(address) as browser:
        browser.get("/")
        api.asked()
        api.refused = api.seen
        assert in_as("alice") == browser.get("/").json()
        assert 1 == api.asked()
        assert in_as("alice") == browser.get("/").json()
        assert 0 == api.asked()


def test_a_stale_cookie(site: Site) -> None:
    """409 says that the browser has a newer cookie: it is redirected once, and then served as logged out."""
    api, address = site
    with browsing(address) as browser:
        api.instead = [409, 409]
        answer = browser.get("/?a=1")
        assert (307, f"{address}/?a=1") == (answer.status_code, answer.headers["location"])
        assert ["daypass", "daypass-tried"] == without_port(browser.cookies)
        assert NOBODY == browser.get("/?a=1").json()


def test_another_sites_form(site: Site) -> None:
    """A form of another site's page that relies on the cookie is refused; any other is not."""
    _, address = site
    with browsing(address) as browser:
        assert 403 == browser.post("/echo", content="x", headers=CROSS).status_code
        assert 403 == browser.post("/auth/logout", headers=CROSS).status_code
        old = {"sec-fetch-site": "", "origin": "https://evil.example"}
        assert 403 == browser.post("/echo", content="x", headers=old).status_code
        own = {"sec-fetch-site": "same-origin", "origin": address}
        assert "x" == browser.post("/echo", content="x", headers=own).text
        assert 200 == browser.get("/", headers=CROSS).status_code
        assert "x" == httpx2.post(f"{address}/echo", content="x", headers=CROSS).text


def test_an_upload_that_meets_the_expiry(site: Site) -> None:
    """The body arrives whole in the request that is the refresh."""
    api, address = site
    with browsing(address) as browser:
        api.expire()
        body = "grüß" * 50_000
        own = {"sec-fetch-site": "same-origin"}
        assert body == browser.post("/echo", content=body.encode(), headers=own).content.decode()


def test_where_the_token_goes(site: Site) -> None:
    """The access token goes to the API's origin and to no other."""
    _, address = site
    other = Api()
    with browsing(address) as browser, serving(other, grace=1) as elsewhere:
        assert 401 == browser.get("/elsewhere", params={"url": f"{elsewhere}/auth/me"}).status_code
        assert "authorization" not in other.forwarded


def test_a_public_page_stays_public(site: Site) -> None:
    """What the application says is public stays so, unless the response sets a cookie."""
    _api, address = site
    with browsing(address) as browser:
        first = browser.get("/public")
        assert ("max-age=60, private", True) == (first.headers["cache-control"], "set-cookie" in first.headers)
        assert "public, max-age=60" == browser.get("/public").headers["cache-control"]


def test_an_authorization_of_its_own(site: Site) -> None:
    """A request with its own token is not touched: no cookie is used or changed."""
    api, address = site
    with browsing(address) as browser:
        login = {"username": "bob", "password": PASSWORD, "tokenDelivery": "body"}
        bobs = httpx2.post(f"{address}/auth/login", json=login).json()["accessToken"]
        api.asked()
        answer = browser.get("/", headers={"authorization": f"Bearer {bobs}"})
        assert (in_as("bob"), 0, []) == (answer.json(), api.asked(), answer.headers.get_list("set-cookie"))


def test_a_redirect_sets_the_cookie(site: Site) -> None:
    """A page that answers with a redirect, whose headers cannot be changed, sets the cookie too."""
    _, address = site
    with browsing(address) as browser:
        answer = browser.get("/moved")
        assert (303, True) == (answer.status_code, "set-cookie" in answer.headers)


def test_what_is_forwarded(site: Site) -> None:
    """The endpoints get no other application's cookie, and no header that they do not need; their answers are whole."""
    api, address = site
    with browsing(address) as browser:
        browser.cookies.set("other", "secret")
        answer = browser.post("/auth/refresh", headers={"sec-fetch-site": "same-origin", "x-forwarded-for": "6.6.6.6"})
        assert 200 == answer.status_code
        assert "30" == answer.headers["daypass-grace"]
        assert "secret" not in str(api.forwarded)
        assert "127.0.0.1" == api.forwarded["x-forwarded-for"]  # the browser's own is not believed
        me = browser.get("/auth/me", headers={"authorization": f"Bearer {answer.json()['accessToken']}"})
        assert "alice" == me.json()["username"]
        assert [404, 404, 404] == [
            browser.get(f"/auth/{path}").status_code for path in ("nothing", "a%2fb", "sessions/a/b")
        ]
        assert 200 == browser.get("/auth/daypass.js").status_code


def test_a_garbage_cookie(site: Site) -> None:
    """A browser with an invalid cookie is not logged in, and costs at most one refresh."""
    _, address = site
    for text in ("garbage", "dpr_garbage", "a b", "ü"):
        with browsing(address, None) as browser:
            answer = browser.get("/", headers={b"cookie": f"daypass={text}".encode()})
            assert NOBODY == answer.json()


def test_a_login_that_is_not_remembered(site: Site) -> None:
    """The cookie of a login that asked not to be remembered stays one that the browser forgets when it is closed."""
    _, address = site
    with browsing(address, None) as browser:
        browser.post("/auth/login", json={"username": "alice", "password": PASSWORD, "remember": False})
        cookie = browser.get("/").headers["set-cookie"]
        assert ("Max-Age" in cookie, "HttpOnly" in cookie) == (False, True)
