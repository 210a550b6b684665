"""Who sent a request, and how, if it came through proxies: which headers are trusted, and from whom."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daypass import ConfigurationError
from daypass.web.message import BadRequest, Request
from daypass.web.options import Options
from daypass.web.proxies import MAXIMUM, Proxies

from .world import PASSWORD, Asked, access_token, headers_named, json_of

TRUSTED = ["10.0.0.0/8", "127.0.0.1", "2001:db8:ff::/48", "unix"]
Seen = tuple[str | None, str, str]


def seen(
    headers: Mapping[str, str], peer: str | None = "10.0.0.1", header: Any = "X-Forwarded", trusted: Any = TRUSTED
) -> Seen:
    """Return address, scheme and host of a request that came over plain HTTP, with ``Host: inner``."""
    found = Proxies(trusted, header).as_sent(Request("http", "inner", headers, address=peer))
    return found.address, found.scheme, found.host


def x(**values: str) -> dict[str, str]:
    names = {"for_": "for"}
    return {f"x-forwarded-{names.get(name, name)}": value for name, value in values.items()}


# ---- X-Forwarded-*


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (x(for_="203.0.113.7", proto="https", host="api.example.com"), ("203.0.113.7", "https", "api.example.com")),
        (x(for_="203.0.113.7"), ("203.0.113.7", "http", "inner")),
        (x(for_="6.6.6.6, 203.0.113.7", proto="https"), ("203.0.113.7", "https", "inner")),  # the client lied
        (x(for_="203.0.113.7, 10.2.3.4", proto="https"), ("203.0.113.7", "https", "inner")),  # two proxies
        (x(for_="6.6.6.6,203.0.113.7 , 10.2.3.4,10.9.9.9"), ("203.0.113.7", "http", "inner")),
        (x(for_="203.0.113.7, 10.2.3.4", proto="https, http"), ("203.0.113.7", "https", "inner")),
        (x(for_="203.0.113.7", proto="https, http"), ("203.0.113.7", "http", "inner")),  # the client wrote https
        (x(for_="203.0.113.7", host="evil.example, api.example.com"), ("203.0.113.7", "http", "api.example.com")),
        (x(for_="10.1.1.1, 10.2.2.2"), ("10.1.1.1", "http", "inner")),  # a client among the proxies
        (x(for_="203.0.113.7:4711"), ("203.0.113.7", "http", "inner")),
        (x(for_="[2001:db8::7]:4711"), ("2001:db8::7", "http", "inner")),
        (x(for_="[2001:db8::7]"), ("2001:db8::7", "http", "inner")),
        (x(for_="2001:DB8:0::7"), ("2001:db8::7", "http", "inner")),
        (x(for_="203.0.113.7, 2001:db8:ff::1"), ("203.0.113.7", "http", "inner")),
        (x(for_="::ffff:203.0.113.7"), ("203.0.113.7", "http", "inner")),
        (x(for_="203.0.113.7, ::ffff:10.2.3.4"), ("203.0.113.7", "http", "inner")),
        (x(for_="fe80::1%eth0"), ("fe80::1", "http", "inner")),
        (x(for_="unknown", proto="https"), (None, "https", "inner")),
        (x(for_="203.0.113.7, unknown"), (None, "http", "inner")),  # the addresses left of it may be forged
        (x(for_="203.0.113.7, _hidden, 10.1.1.1"), (None, "http", "inner")),
        (x(for_="unix:/run/x"), (None, "http", "inner")),
        (x(for_=""), ("10.0.0.1", "http", "inner")),
        (x(for_="203.0.113.7,"), (None, "http", "inner")),
        (x(proto="https"), (None, "https", "inner")),  # not one address for all who come through the proxy
        (x(for_="203.0.113.7", proto="HTTPS"), ("203.0.113.7", "https", "inner")),
        (x(for_="203.0.113.7", proto="wss"), ("203.0.113.7", "http", "inner")),
        (x(for_="203.0.113.7", host="a b"), ("203.0.113.7", "http", "inner")),
        (x(for_="203.0.113.7", host="user@evil.example"), ("203.0.113.7", "http", "inner")),
        (x(for_="203.0.113.7", host="[2001:db8::1]:8443"), ("203.0.113.7", "http", "[2001:db8::1]:8443")),
        ({"forwarded": "for=6.6.6.6;proto=https"}, ("10.0.0.1", "http", "inner")),  # the other header
        ({}, ("10.0.0.1", "http", "inner")),
    ],
)
def test_x_forwarded(headers: dict[str, str], expected: Seen) -> None:
    """Read from the right, past trusted proxies, as far as these have written it; no nonsense is believed."""
    assert expected == seen(headers)


# ---- Forwarded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=203.0.113.7;proto=https;host=api.example.com", ("203.0.113.7", "https", "api.example.com")),
        ("For=203.0.113.7; PROTO=HTTPS ;by=203.0.113.43", ("203.0.113.7", "https", "inner")),
        ('for="[2001:db8:cafe::17]:4711"', ("2001:db8:cafe::17", "http", "inner")),
        ('for="203.0.113.7:80";proto=https', ("203.0.113.7", "https", "inner")),
        ("for=[2001:db8::7];proto=https", ("2001:db8::7", "https", "inner")),  # unquoted, as some proxies write it
        (r'for="203.0.\113.7"', ("203.0.113.7", "http", "inner")),
        ("for=6.6.6.6;proto=https, for=203.0.113.7", ("203.0.113.7", "http", "inner")),  # the client lied
        ("for=203.0.113.7;proto=https, for=10.1.1.1;proto=http", ("203.0.113.7", "https", "inner")),
        ('for="_gazonk", for=10.1.1.1', (None, "http", "inner")),
        ("for=unknown;proto=https", (None, "https", "inner")),
        ("for=203.0.113.7, for=unknown", (None, "http", "inner")),
        ("proto=https", (None, "https", "inner")),
        (", for=203.0.113.7 ,,", ("203.0.113.7", "http", "inner")),
        ('for=203.0.113.7;host="evil.example, for=1.2.3.4"', ("203.0.113.7", "http", "inner")),
        ("", ("10.0.0.1", "http", "inner")),
    ],
)
def test_forwarded(text: str, expected: Seen) -> None:
    """RFC 7239: pairs, quoted strings, nodes with ports, hidden ones; read from the right like the other."""
    assert expected == seen({"forwarded": text} | x(for_="6.6.6.6", proto="https"), header="Forwarded")


@pytest.mark.parametrize(
    "text",
    [
        'for=";proto=https, for=203.0.113.7',
        'for="x, for="[2001:db8::7]";proto=https',
        "for=1.1.1.1;for=2.2.2.2",
        "for = 1.1.1.1",
        "for=1.1.1.1 proto=https",
        "for=\n",
        "=1.1.1.1",
        "for",
        "\xe9=1",
        'for="\\',
        "for=1.1.1.1\n",
    ],
)
def test_forwarded_that_was_tampered_with(text: str) -> None:
    """A header that a client has broken, so that it swallows what the proxy adds, is refused and not guessed at."""
    with pytest.raises(BadRequest) as refused:
        seen({"forwarded": text}, header="Forwarded")
    assert 400 == refused.value.response.status


@given(st.text(max_size=60) | st.text('for=;,"\\[]:. protohsx_127', max_size=80))
def test_any_header(text: str) -> None:
    """Whatever the headers contain, the result is an answer or a refusal, and is consistent."""
    for header in ("X-Forwarded", "Forwarded"):
        sent = {"forwarded": text, **x(for_=text, proto=text, host=text)}
        with suppress(BadRequest):
            _, scheme, host = seen(sent, header=header)
            assert scheme in ("http", "https")
            assert not set(host) & set(' ,;"\\/@\r\n')


# ---- whom


@pytest.mark.parametrize("header", ["X-Forwarded", "Forwarded"])
@pytest.mark.parametrize("peer", ["203.0.113.9", "11.0.0.1", "::1", "2001:db8::1", "testclient", "10.0.0.1.evil"])
def test_nothing_is_believed_of_a_stranger(peer: str, header: str) -> None:
    """The headers of an untrusted peer are ignored, however they are written; nor do they cost anything."""
    lies = {"forwarded": "for=127.0.0.1;proto=https;host=evil.example"} | x(
        for_="127.0.0.1", proto="https", host="evil"
    )
    assert (peer, "http", "inner") == seen(lies, peer, header)
    assert (peer, "http", "inner") == seen({"forwarded": 'for="', "x-forwarded-for": "," * 9999}, peer, header)


@pytest.mark.parametrize("peer", [None, ""])
def test_a_unix_socket(peer: str | None) -> None:
    """A peer on a Unix socket has no address, and is trusted only if ``unix`` is."""
    told = x(for_="203.0.113.7", proto="https")
    assert ("203.0.113.7", "https", "inner") == seen(told, peer)
    assert (peer, "http", "inner") == seen(told, peer, trusted=["0.0.0.0/0", "::/0"])


def test_everybody_is_trusted_only_by_name() -> None:
    """Without trusted proxies no header is trusted, not even from loopback."""
    assert ("127.0.0.1", "http", "inner") == seen(x(for_="203.0.113.7", proto="https"), "127.0.0.1", None, ())


@pytest.mark.parametrize("name", ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"])
def test_an_endless_header(name: str) -> None:
    """A header too long to look at is refused."""
    header = "Forwarded" if name == "forwarded" else "X-Forwarded"
    with pytest.raises(BadRequest) as refused:
        seen({name: (MAXIMUM + 1) * ","}, header=header)
    assert 431 == refused.value.response.status


@pytest.mark.parametrize(
    ("trusted", "header", "told"),
    [
        ("10.0.0.1", "X-Forwarded", "is a list"),
        (["nginx"], "X-Forwarded", "invalid trusted_proxies entry 'nginx'"),
        (["10.0.0.1/8"], "X-Forwarded", "invalid trusted_proxies entry"),
        (["*"], "X-Forwarded", "invalid trusted_proxies entry"),
        (["10.0.0.1"], None, "needs proxy_header"),
        ([], "X-Forwarded", "needs trusted_proxies"),
        (["10.0.0.1"], "Via", "neither 'X-Forwarded' nor 'Forwarded'"),
    ],
)
def test_wrong_trusted_proxies_are_refused(trusted: Any, header: Any, told: str) -> None:
    """A name, half a network, every address, or a proxy without its header: refused where it is written."""
    with pytest.raises(ConfigurationError, match=told.replace("*", r"\*")):
        Proxies(trusted, header)


# ---- through the endpoints

LOGIN = {"username": "alice", "password": PASSWORD}
BEHIND = Options(trusted_proxies=["192.0.2.7"], proxy_header="X-Forwarded")


def test_the_cookie_and_the_device_behind_a_proxy() -> None:
    """Behind a proxy that ends TLS the cookie is the one for HTTPS, and the device is where the client is."""
    asked = Asked(options=BEHIND)
    headers = x(for_="6.6.6.6, 203.0.113.7", proto="https")
    login = asked.ask("POST", "/login", LOGIN, scheme="http", headers=headers)
    assert headers_named(login, "set-cookie")[0].startswith("__Host-daypass=dpr_")
    listed = json_of(asked.ask("GET", "/sessions", token=access_token(login), scheme="http", headers=headers))
    assert "203.0.113.7" == listed["sessions"][0]["address"]


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        (x(for_="203.0.113.7", proto="http"), BEHIND),
        (x(for_="203.0.113.7"), BEHIND),
        (x(for_="203.0.113.7", proto="https"), Options()),
        ({"forwarded": "for=203.0.113.7;proto=https"}, BEHIND),
    ],
)
def test_plain_http_behind_a_proxy(headers: dict[str, str], options: Options) -> None:
    """If the client came over plain HTTP, or only an untrusted peer says otherwise, no token is sent."""
    assert 403 == Asked(options=options).ask("POST", "/login", LOGIN, scheme="http", headers=headers).status


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({}, 200),
        (x(for_="127.0.0.1"), 200),
        (x(for_="[::1]:9"), 200),
        ({"forwarded": 'for="[::1]"'}, 200),
        (x(for_="203.0.113.7"), 403),
        (x(for_="unknown"), 403),
        ({"forwarded": "for=203.0.113.7"}, 403),
        ({"forwarded": 'for="'}, 403),
        ({"forwarded": "for=127.0.0.1"} | x(for_="203.0.113.7"), 403),
    ],
)
def test_loopback_for_a_stranger(told: dict[str, str], status: int) -> None:
    """A request forwarded for another host came over a network, whichever peer says so, and is not on loopback."""
    asking = Asked().ask("POST", "/login", LOGIN, scheme="http", host="localhost", headers=told)
    assert status == asking.status
