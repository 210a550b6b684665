"""The cookie: how it is set, where it is read, and from where it may be used."""

import logging
from http.cookies import SimpleCookie
from typing import Any

import pytest

from daypass import ConfigurationError, Tokens, User
from daypass.cookie_names import is_default
from daypass.duration import DAY, SECOND
from daypass.testing import START, session
from daypass.web import cookies
from daypass.web.cookies import ACCESS, LONGEST, CookiePolicy, SameSite, fits, write, write_access, write_session
from daypass.web.message import BadRequest, Request
from daypass.web.options import Options
from daypass.web.refusal_log import MAXIMUM

from .world import BOB, HOST, PASSWORD, SECRET, VARY, Asked, body_of, cookie_value, headers_named

LOGIN = {"username": "alice", "password": PASSWORD}
OWN = f"https://{HOST}"
APP = "https://app.example.com"
CREDENTIALED = ("/login", "/refresh", "/logout")
CROSS_SITE = body_of(
    "cross_site_request", "A page of another origin may not do this; the server's log names the option"
)


# ---- how it is set


def test_a_cookie_with_its_name_may_have_4096_characters() -> None:
    """Browsers drop a longer one, so an access token that is one character too long gets no cookie."""
    request, policy = Request("https", HOST, {}), CookiePolicy()
    room = LONGEST - len("__Host-daypass-access")
    assert 4096 == LONGEST
    assert [True, True, False] == [fits(request, policy, "t" * (room + more)) for more in (-1, 0, 1)]


def test_a_cookie_keeps_the_name_that_the_browser_has_until_a_login() -> None:
    """A cookie of 0.1, without the port, is renewed under its name; a new session's cookie gets today's name."""
    request, policy = Request("http", "127.0.0.1:8000", {"cookie": "daypass=old"}), CookiePolicy()
    assert write(request, policy, "token", START + 9_000, START)[1].startswith("daypass=token;")
    assert write(request, policy, "token", START + 9_000, START, new=True)[1].startswith("daypass-8000=token;")


def test_the_cookies_of_pages_keep_their_names_until_a_login() -> None:
    """Both that of the session and that of its access token."""
    request = Request("http", "127.0.0.1:8000", {"cookie": "daypass=old; daypass-access=old"})
    tokens = Tokens("a.b.c", "dpr_x", 900, session(), User("user-1"))
    for new, port in (({}, ""), ({"new": True}, "-8000")):
        access = write_access(request, CookiePolicy(), tokens, START, **new)[1]
        assert access.startswith(f"daypass{port}-access=a.b.c;")
        assert write_session(request, CookiePolicy(), tokens, START, **new)[1].startswith(f"daypass{port}=dpr_x;")


def test_an_access_cookie_lives_as_long_as_its_token_in_whole_seconds() -> None:
    """The times of the token are in whole seconds, so a cookie that is set later in its second lives a second less."""
    request, tokens = Request("https", HOST, {}), Tokens("a.b.c", "dpr_x", 900, session(), User("user-1"))
    ages = [write_access(request, CookiePolicy(), tokens, START + later)[1] for later in (0, 999)]
    assert [True, True] == ["Max-Age=900;" in ages[0], "Max-Age=899;" in ages[1]]


def test_an_access_cookie_may_have_an_age_of_its_own() -> None:
    """A browser that binds the session renews it earlier than its token expires."""
    request, tokens = Request("https", HOST, {}), Tokens("a.b.c", "dpr_x", 900, session(), User("user-1"))
    assert "Max-Age=60;" in write_access(request, CookiePolicy(), tokens, START, lasts=60_999)[1]


def test_a_browser_is_told_name_and_attributes_of_the_cookie_that_it_renews() -> None:
    """They are those of the cookie as it is set, without its age."""
    request, policy = Request("https", HOST, {}), CookiePolicy(same_site="Lax")
    name, attributes = cookies.described(request, policy, ACCESS)
    assert ("__Host-daypass-access", "Path=/; HttpOnly; Secure; SameSite=Lax") == (name, attributes)
    assert f"{name}=x; {attributes}" == write(request, policy, "x", START, START, ACCESS)[1].replace(" Max-Age=0;", "")


def test_a_policy_is_a_value() -> None:
    """Equal policies are equal and look equal, whatever they have logged, and cannot be changed."""
    assert CookiePolicy() == CookiePolicy()
    assert repr(CookiePolicy()) == repr(CookiePolicy())
    with pytest.raises(AttributeError):
        CookiePolicy().same_site = "Lax"  # type: ignore[misc]  # the test is about this


def test_a_cookie_name_may_have_64_characters() -> None:
    """One more is refused, with the limit in the message."""
    assert "n" * 64 == CookiePolicy(name="n" * 64).name
    with pytest.raises(ConfigurationError, match="write up to 64 letters"):
        CookiePolicy(name="n" * 65)


def test_a_cookie_for_one_browser_session_has_no_age_unless_it_is_removed() -> None:
    """Without ``Max-Age`` the browser forgets it when it closes; an age of 0 removes it in any case."""
    request, policy = Request("https", HOST, {}), CookiePolicy()
    headers = [
        write(request, policy, "token", START + left, START, ACCESS, persistent=persistent)[1]
        for left, persistent in ((90_000, True), (90_000, False), (1_000, False), (999, False), (-5_000, False))
    ]
    assert ["Max-Age=90", None, None, "Max-Age=0", "Max-Age=0"] == [
        next((part for part in header.split("; ") if part.startswith("Max-Age")), None) for header in headers
    ]


def test_over_https() -> None:
    """Over HTTPS the cookie has the ``__Host-`` prefix and every attribute that keeps it where it belongs."""
    response = Asked().ask("POST", "/login", LOGIN)
    token = cookie_value(response)
    expected = f"__Host-daypass={token}; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict"
    assert [expected] == headers_named(response, "set-cookie")


def test_over_loopback() -> None:
    """Over plain HTTP on loopback the cookie has neither prefix nor ``Secure``, and its name has the port."""
    response = Asked().ask("POST", "/login", LOGIN, scheme="http", host="127.0.0.1:8000")
    token = cookie_value(response)
    expected = f"daypass-8000={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"
    assert [expected] == headers_named(response, "set-cookie")


@pytest.mark.parametrize("same_site", ["Strict", "Lax"])
def test_same_site(same_site: SameSite) -> None:
    """Pages that are rendered on the server may choose ``Lax``, in each cookie that is set or removed."""
    asked = Asked(options=Options(same_site=same_site))
    _, refresh_token = asked.login()
    for path in ("/refresh", "/logout"):
        (header,) = headers_named(asked.ask("POST", path, cookie=refresh_token), "set-cookie")
        assert f"SameSite={same_site}" == header.split("; ")[-1]


@pytest.mark.parametrize(
    ("idle", "absolute", "expected"),
    [
        ("30d", "180d", 30 * DAY),
        ("90s", "90s", 90 * SECOND),
        ("90s", "90500ms", 90 * SECOND),
        ("400d", "400d", 400 * DAY),
        ("401d", "500d", 400 * DAY),
        ("10000d", "10000d", 400 * DAY),
    ],
)
def test_lives_as_long_as_the_session(idle: str, absolute: str, expected: int) -> None:
    """At login the cookie lives as long as the session without a refresh, at most 400 days."""
    asked = Asked(access_ttl="60s", idle_ttl=idle, absolute_ttl=absolute)
    (header,) = headers_named(asked.ask("POST", "/login", LOGIN), "set-cookie")
    assert f"Max-Age={expected // SECOND}" == header.split("; ")[2]


def test_never_outlives_the_absolute_end() -> None:
    """A refresh shortly before the absolute end gives a cookie for the rest, in whole seconds, rounded down."""
    asked = Asked(idle_ttl="6d", absolute_ttl="10d")
    _, refresh_token = asked.login()
    asked.clock.advance(5 * DAY)
    second = cookie_value(asked.ask("POST", "/refresh", cookie=refresh_token))
    asked.clock.advance(4 * DAY + 500)
    (header,) = headers_named(asked.ask("POST", "/refresh", cookie=second), "set-cookie")
    assert f"Max-Age={86_400 - 1}" == header.split("; ")[2]


def test_set_once() -> None:
    """No answer sets two cookies."""
    asked = Asked()
    _, refresh_token = asked.login()
    answers = [
        asked.ask("POST", path, cookie=refresh_token) for path in ("/refresh", "/refresh", "/logout", "/refresh")
    ]
    assert [1, 1, 1, 0] == [len(headers_named(answered, "set-cookie")) for answered in answers]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"same_site": "None"}, "invalid same_site 'None': write 'Strict' or 'Lax'"),
        ({"allowed_origins": "https://app.example.com"}, "a list of origins"),
        ({"allowed_origins": ["https://app.example.com/"]}, "without a path"),
        ({"allowed_origins": ["app.example.com"]}, "invalid origin"),
        ({"allowed_origins": ["*"]}, "invalid origin"),
        ({"allowed_origins": ["null"]}, "invalid origin"),
        ({"allowed_origins": ["https://"]}, "invalid origin"),
        ({"allowed_origins": ["HTTPS://App.Example.com"]}, "invalid origin"),
        ({"allowed_origins": ["https://[::1"]}, "invalid origin"),
    ],
)
def test_a_policy_that_cannot_work(arguments: dict[str, Any], told: str) -> None:
    """A policy that no browser would understand, or no origin would ever match, is refused where it is written."""
    with pytest.raises(ConfigurationError, match=told.replace("*", r"\*")):
        CookiePolicy(**arguments)


# ---- its name


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("https", HOST, "__Host-daypass"),
        ("https", f"{HOST}:8443", "__Host-daypass"),
        ("http", "localhost:8000", "daypass-8000"),
        ("http", "[::1]:8001", "daypass-8001"),
        ("http", "app.localhost:65535", "daypass-65535"),
        ("http", "localhost", "daypass"),
        ("http", "intranet:8000", "daypass"),
    ],
)
def test_default_name(scheme: str, host: str, expected: str) -> None:
    """Without ``cookie_name`` the cookie is ``daypass``; on loopback it has the port, because cookies ignore ports."""
    asked = Asked(options=Options(allow_insecure=True))
    response = asked.ask("POST", "/login", LOGIN, scheme=scheme, host=host)
    assert [expected] == [value.partition("=")[0] for value in headers_named(response, "set-cookie")]
    assert is_default(expected)


def test_two_applications_on_one_machine_share_a_jar() -> None:
    """Two applications on two ports of ``localhost`` log in, refresh and log out in one browser without a conflict."""
    jar: dict[str, str] = {}
    applications = {port: Asked(secret=f"{port}{SECRET}") for port in (8000, 8001)}

    def ask(port: int, path: str) -> int:
        sent = "; ".join(f"{name}={value}" for name, value in jar.items())
        host = f"localhost:{port}"
        response = applications[port].ask("POST", path, LOGIN, scheme="http", host=host, headers={"cookie": sent})
        for header in headers_named(response, "set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                jar[name] = morsel.value
        return response.status

    assert [200] * 6 == [ask(port, path) for path in ("/login", "/refresh", "/refresh") for port in (8000, 8001)]
    assert [204, 200, 401] == [ask(8000, "/logout"), ask(8001, "/refresh"), ask(8000, "/refresh")]


def test_the_cookie_of_0_1_goes_on_working() -> None:
    """A browser that has ``daypass`` on a port stays logged in, and its cookie keeps that name until the next login.

    A client that looks for its cookie by name finds it in every answer.
    """
    asked = Asked()
    _, old = asked.login()
    near: dict[str, Any] = {"scheme": "http", "host": "localhost:8000"}
    refreshed = asked.ask("POST", "/refresh", headers={"cookie": f"daypass={old}"}, **near)
    (header,) = headers_named(refreshed, "set-cookie")
    name, _, value = header.partition(";")[0].partition("=")
    assert (200, "daypass") == (refreshed.status, name)
    both = {"cookie": f"daypass=dpr_another; daypass-8000={value}"}
    assert 200 == asked.ask("POST", "/refresh", headers=both, **near).status
    login = asked.ask("POST", "/login", LOGIN, headers={"cookie": f"daypass={value}"}, **near)
    assert headers_named(login, "set-cookie")[0].startswith("daypass-8000=")
    assert not asked.lives(value)
    out = asked.ask("POST", "/logout", headers={"cookie": f"daypass={value}"}, **near)
    assert headers_named(out, "set-cookie")[0].startswith("daypass=;")


def test_a_logout_leaves_the_cookie_of_another_application() -> None:
    """A cookie without a port that is not ours may be another application's: a logout does not remove it."""
    other, asked = Asked(secret=f"other {SECRET}"), Asked()
    _, foreign = other.login()
    cookie = {"cookie": f"daypass={foreign}"}
    out = asked.ask("POST", "/logout", scheme="http", host="localhost:8000", headers=cookie)
    assert (204, []) == (out.status, headers_named(out, "set-cookie"))


def test_a_logout_ends_an_older_cookie_too() -> None:
    """A cookie of 0.1 beside the one with a port is removed and its session ended: the browser would use it next.

    A cookie that is not ours is not touched.
    """
    asked, other = Asked(), Asked(secret=f"other {SECRET}")
    (_, mine), (_, older), (_, foreign) = asked.login(), asked.login(BOB), other.login()
    near: dict[str, Any] = {"scheme": "http", "host": "localhost:8000"}
    out = asked.ask("POST", "/logout", headers={"cookie": f"daypass={older}; daypass-8000={mine}"}, **near)
    removed = [header.partition("; HttpOnly")[0] for header in headers_named(out, "set-cookie")]
    assert (204, [f"{name}=; Path=/; Max-Age=0" for name in ("daypass-8000", "daypass")]) == (out.status, removed)
    assert (False, False) == (asked.lives(mine), asked.lives(older))
    _, mine = asked.login()
    out = asked.ask("POST", "/logout", headers={"cookie": f"daypass={foreign}; daypass-8000={mine}"}, **near)
    assert ["daypass-8000="] == [header.partition(";")[0] for header in headers_named(out, "set-cookie")]


def test_own_name() -> None:
    """``cookie_name`` names the cookie everywhere; over HTTPS it gets the prefix, and no other name is read."""
    asked = Asked(options=Options(cookie_name="shop"))
    response = asked.ask("POST", "/login", LOGIN)
    token = cookie_value(response)
    assert headers_named(response, "set-cookie")[0].startswith(f"__Host-shop={token}; Path=/; ")
    assert 401 == asked.ask("POST", "/refresh", cookie=token).status
    assert 200 == asked.ask("POST", "/refresh", headers={"cookie": f"__Host-shop={token}"}).status
    near = asked.ask("POST", "/login", LOGIN, scheme="http", host="localhost:8000")
    assert headers_named(near, "set-cookie")[0].startswith("shop=")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("__Host-shop", "leave out __Host-, which Daypass adds"),
        ("__Secure-shop", "leave out __Host-"),
        ("", "write up to 64 letters"),
        ("my shop", "invalid cookie_name 'my shop'"),
        ("shop;path", "write up to 64 letters"),
        ("shop=1", "write up to 64 letters"),
        ("größe", "write up to 64 letters"),
        ("shop\n", "write up to 64 letters"),
        (65 * "x", "write up to 64 letters"),
        (b"shop", "write up to 64 letters"),
    ],
)
def test_a_name_that_no_browser_would_keep_is_refused(name: Any, told: str) -> None:
    """A ``cookie_name`` that is no token (RFC 6265), has a prefix or is too long is refused at the start."""
    with pytest.raises(ConfigurationError, match=told):
        CookiePolicy(name=name)


# ---- where it is read


@pytest.mark.parametrize(
    "template",
    [
        "__Host-daypass={}",
        "theme=dark; __Host-daypass={}; lang=de",
        "a=b;__Host-daypass={};c",
        '__Host-daypass="{}"',
        "__Host-daypass={}; __Host-daypass=other",
        "__Host-daypass=other; __Host-daypass={}",
        "x__Host-daypass=other; __host-daypass=other; __Host-daypass={}",
    ],
)
def test_found_among_others(template: str) -> None:
    """The cookie is found among others, quoted or not; of two with its name the one that Daypass made counts."""
    asked = Asked()
    _, refresh_token = asked.login()
    assert 200 == asked.ask("POST", "/refresh", headers={"cookie": template.format(refresh_token)}).status


def test_of_two_access_cookies_the_first_counts() -> None:
    """A browser sends the one of the longer path first (RFC 6265 §5.4)."""
    request = Request("https", HOST, {"cookie": "__Host-daypass-access=a.b.c; __Host-daypass-access=d.e.f"})
    assert "a.b.c" == cookies.read(request, CookiePolicy(), ACCESS)


def test_another_librarys_cookie_is_read_and_removed_where_it_is_named() -> None:
    """Of several names the first that the browser has counts; each that it has is removed."""
    policy = CookiePolicy(old=("session", "sessionid", "auth"))
    request = Request("https", HOST, {"cookie": "auth=second; sessionid=first"})
    assert "first" == cookies.read_old(request, policy)
    assert [f"{name}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict" for name in ("sessionid", "auth")] == [
        header for _, header in cookies.clear_old(request, policy)
    ]
    without = Request("https", HOST, {"cookie": "theme=dark"})
    assert (None, ()) == (cookies.read_old(without, policy), cookies.clear_old(without, policy))


@pytest.mark.parametrize(
    ("scheme", "host", "name"),
    [("https", HOST, "daypass"), ("http", "localhost", "__Host-daypass"), ("https", HOST, "__HOST-DAYPASS")],
)
def test_only_its_own_name(scheme: str, host: str, name: str) -> None:
    """A cookie of the other name is not looked at: over HTTPS nothing that a plain-HTTP page could have set counts."""
    asked = Asked()
    _, refresh_token = asked.login()
    cookie = {"cookie": f"{name}={refresh_token}"}
    assert 401 == asked.ask("POST", "/refresh", scheme=scheme, host=host, headers=cookie).status
    assert asked.lives(refresh_token)


# ---- the transport


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "app.localhost:3000",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_plain_http_on_loopback(host: str) -> None:
    """Plain HTTP is served on loopback, by whichever of its names."""
    assert 200 == Asked().ask("POST", "/login", LOGIN, scheme="http", host=host).status


@pytest.mark.parametrize(
    "host",
    [
        "api.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104 - what a client might send, and nothing that is listened on
        "[2001:db8::1]:8000",
        "",
        ":8000",
        "[::1",
        "[nonsense]",
        "::1::",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/login"),
        ("POST", "/refresh"),
        ("POST", "/logout"),
        ("GET", "/me"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", "/sessions/" + 32 * "0"),
    ],
)
def test_plain_http_elsewhere(host: str, method: str, path: str) -> None:
    """Plain HTTP from elsewhere is refused by every endpoint, whatever host it names, and nothing is changed."""
    asked = Asked()
    access, refresh_token = asked.login()
    response = asked.ask(method, path, LOGIN, scheme="http", host=host, cookie=refresh_token, token=access)
    assert 403 == response.status
    told = "Use HTTPS; the server's log names the option"
    assert body_of("insecure_transport", told) == response.body
    assert [] == headers_named(response, "set-cookie")
    assert 1 == len(asked.auth.sessions("user-1"))
    assert asked.lives(refresh_token)


def test_plain_http_is_refused_by_default() -> None:
    """A policy that says nothing of plain HTTP accepts it on loopback only."""
    with pytest.raises(BadRequest, match="Use HTTPS"):
        cookies.require_secure_transport(Request("http", "intranet", {}), CookiePolicy())


def test_plain_http_by_choice() -> None:
    """An operator may say that plain HTTP is right; the cookie is then the one for plain HTTP."""
    asked = Asked(options=Options(allow_insecure=True))
    response = asked.ask("POST", "/login", LOGIN, scheme="http", host="intranet:8000")
    assert "daypass" == headers_named(response, "set-cookie")[0].partition("=")[0]


# ---- what the server's log says


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_refused_plain_http_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log says what was seen and which option decides, once for each peer; the response is shorter."""
    asked = Asked()
    headers = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
    for _ in range(3):
        asked.ask("POST", "/login", LOGIN, scheme="http", host="testserver", headers=headers, address="10.0.0.5")
    (message,) = warnings(caplog)
    for part in ("insecure_transport", "'http://testserver'", "from '10.0.0.5'", "x-forwarded-proto 'https'",
                 "trusted_proxies", "proxy_header", "X-Forwarded-Proto $scheme", "allow_insecure=True",
                 "https://testserver"):  # fmt: skip
        assert part in message
    asked.ask("POST", "/login", LOGIN, scheme="http", host="testserver", address="10.0.0.6")
    assert 2 == len(warnings(caplog))


def test_a_refused_page_of_another_origin_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the page's origin, the server it was compared with, and ``allowed_origins``.

    Where a browser sends no origin, it is explained once for each peer.
    """
    asked = Asked()
    for _ in range(3):
        asked.ask("POST", "/refresh", headers={"origin": APP, "sec-fetch-site": "same-site"})
    (message,) = warnings(caplog)
    for part in ("cross_site_request", f"'https://{HOST}'", f"origin '{APP}'", f"allowed_origins=['{APP}']"):
        assert part in message
    for address in ("192.0.2.7", "192.0.2.8", "192.0.2.8"):
        asked.ask("POST", "/refresh", headers={"sec-fetch-site": "cross-site"}, address=address)
    assert 3 == len(warnings(caplog))


def test_a_client_forges_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What a client sends is escaped and cut, and a client that sends many origins cannot fill the log."""
    asked = Asked()
    evil = f"https://x\r\nWARNING forged \x1b[31m{2_000 * 'y'}"
    asked.ask("POST", "/refresh", headers={"origin": evil, "x-forwarded-host": evil}, host=evil)
    (message,) = warnings(caplog)
    assert message.isprintable()
    assert len(message) < 1_000
    for number in range(1_000):
        asked.ask("POST", "/refresh", headers={"origin": f"https://{number}.example"})
    assert MAXIMUM == len(warnings(caplog))
    assert warnings(caplog)[-1].endswith("further refusals are not logged")


@pytest.mark.parametrize(
    ("host", "headers", "warned"),
    [
        ("127.0.0.1:8000", {}, True),  # the issuer is https://
        ("127.0.0.1:8000", {"origin": OWN, "sec-fetch-site": "same-origin"}, True),  # as nginx sends it by proxy_pass
        ("localhost", {"origin": OWN, "sec-fetch-site": "same-origin"}, True),
        ("localhost", {}, False),  # a test's client
    ],
)
def test_cookies_without_secure_are_explained_once(
    host: str, headers: dict[str, str], *, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A TLS proxy that does not say how the client came: the log says what to write in nginx and in Daypass."""
    asked = Asked()
    for _ in range(2):
        response = asked.ask("POST", "/login", LOGIN, scheme="http", host=host, headers=headers)
        assert 200 == response.status
    assert [warned] == [len(warnings(caplog)) == 1]
    for part in ("without Secure", "trusted_proxies", "proxy_set_header X-Forwarded-Proto $scheme") if warned else ():
        assert part in warnings(caplog)[0]


def test_https_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Over HTTPS, where the operator accepts plain HTTP, and where no URL says HTTPS, there is no warning."""
    write(Request("http", "localhost:8000", {}), CookiePolicy(), "token", START, START)
    assert 200 == Asked().ask("POST", "/login", LOGIN, headers={"origin": OWN}).status
    by_choice = Asked(options=Options(allow_insecure=True))
    assert 200 == by_choice.ask("POST", "/login", LOGIN, scheme="http", host="intranet:8000").status
    assert [] == warnings(caplog)


# ---- the site that asks


@pytest.mark.parametrize("path", CREDENTIALED)
@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        ("same-origin", OWN, True),
        ("same-origin", None, True),
        ("none", None, True),  # typed by the user into the address bar
        (None, None, True),  # no browser
        (None, OWN, True),  # a browser from before 2023
        (None, APP, False),
        (None, "https://evil.example", False),
        (None, "null", False),
        (None, "", False),
        (None, f"http://{HOST}", False),
        (None, f"{OWN}:8443", False),
        (None, f"{OWN}.evil.example", False),
        ("same-site", None, False),
        ("same-site", OWN, False),
        ("same-site", APP, False),
        ("cross-site", None, False),
        ("cross-site", OWN, False),
        ("cross-site", "https://evil.example", False),
        ("cross-site", "null", False),
        ("", OWN, False),
        ("nonsense", OWN, False),
    ],
)
def test_who_may_ask(path: str, site: str | None, origin: str | None, *, allowed: bool) -> None:
    """A page of another origin cannot use the endpoints that the cookie opens; its requests change nothing."""
    asked = Asked()
    _, refresh_token = asked.login()
    sent = {"sec-fetch-site": site, "origin": origin}
    headers = {name: value for name, value in sent.items() if value is not None}
    response = asked.ask("POST", path, LOGIN, cookie=refresh_token, headers=headers)
    assert allowed == (response.status in (200, 204))
    if not allowed:
        assert (403, CROSS_SITE) == (response.status, response.body)
        assert [] == headers_named(response, "set-cookie")
        assert 1 == len(asked.auth.sessions("user-1"))
        assert asked.lives(refresh_token)


@pytest.mark.parametrize("path", CREDENTIALED)
@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        ("same-site", APP, True),
        ("cross-site", APP, True),
        (None, APP, True),
        ("same-origin", OWN, True),
        (None, OWN, True),
        ("same-site", f"{APP}:8443", False),
        ("same-site", "http://app.example.com", False),
        ("same-site", "https://other.example.com", False),
        ("cross-site", "https://evil.example", False),
        ("cross-site", None, False),
        ("cross-site", f"{APP}, https://evil.example", False),
    ],
)
def test_allowed_origins(path: str, site: str | None, origin: str | None, *, allowed: bool) -> None:
    """A page of an allowed origin may ask, from whatever site; one of any other origin still may not."""
    asked = Asked(options=Options(allowed_origins=[APP]))
    _, refresh_token = asked.login()
    sent = {"sec-fetch-site": site, "origin": origin}
    headers = {name: value for name, value in sent.items() if value is not None}
    response = asked.ask("POST", path, LOGIN, cookie=refresh_token, headers=headers)
    assert allowed == (response.status in (200, 204))


@pytest.mark.parametrize("path", CREDENTIALED)
def test_vary(path: str) -> None:
    """An answer that depends on who asks says so to caches, refused or not."""
    asked = Asked()
    for headers in ({}, {"sec-fetch-site": "cross-site"}):
        assert VARY in asked.ask("POST", path, LOGIN, headers=headers).headers
