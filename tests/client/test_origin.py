"""Which origins get the access token, however a library spells them."""

import logging
from typing import Any

import httpx
import httpx2
import niquests
import pytest
import requests
from yarl import URL

from daypass.client.httpx import DaypassAuth
from daypass.client.niquests import DaypassAuth as NiquestsAuth
from daypass.client.origin import OwnOrigins, checked_origin, origin_of, own_port
from daypass.client.requests import DaypassAuth as RequestsAuth
from daypass.errors import ConfigurationError

SAME = [
    ("https://straße.de/auth", "https://straße.de/me"),
    ("https://straße.de/auth", "https://xn--strae-oqa.de/me"),
    ("https://xn--strae-oqa.de/auth", "https://straße.de/me"),
    ("https://bücher.example/auth", "https://BÜCHER.example/me"),
    ("https://ος.gr/auth", "https://xn--0xag.gr/me"),
    ("https://API.example.com/auth", "https://api.EXAMPLE.com:443/me"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000/me"),
    ("http://[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000/me"),
]
OTHER = [
    ("https://straße.de/auth", "https://strasse.de/me"),
    ("https://strasse.de/auth", "https://straße.de/me"),
    ("https://fass.example", "https://faß.example"),
    ("https://api.example.com", "https://api.example.com:8443/me"),
    ("https://api.example.com", "http://api.example.com/me"),
    ("https://api.example.com", "https://api.example.com.evil.example/me"),
    ("https://api.example.com", "https://api.example.com@evil.example/me"),
    ("https://api.example.com", "https://xapi.example.com/me"),
]


def _by_httpx(library: Any, own: str, url: str) -> bool:
    sent: list[Any] = []

    def respond(request: Any) -> Any:
        sent.append(request.headers.get("authorization"))
        return library.Response(200)

    auth = DaypassAuth(own)
    auth.start(access_token="t0ken", expires_in=900)
    with library.Client(transport=library.MockTransport(respond), auth=auth) as client:
        client.get(url)
    return sent == ["Bearer t0ken"]


def _by_preparing(library: Any, kind: Any, own: str, url: str) -> bool:
    auth = kind(own)
    auth.start(access_token="t0ken", expires_in=900)
    prepared = library.Request("GET", url, auth=auth).prepare()
    return bool(prepared.headers.get("Authorization") == "Bearer t0ken")


def _by_library(own: str, url: str) -> dict[str, bool]:
    yarl = URL(url)
    asked = (yarl.scheme, yarl.host, own_port(yarl.scheme, yarl.explicit_port))
    return {
        "httpx2": _by_httpx(httpx2, own, url),
        "httpx": _by_httpx(httpx, own, url),
        "requests": _by_preparing(requests, RequestsAuth, own, url),
        "niquests": _by_preparing(niquests, NiquestsAuth, own, url),
        "aiohttp": asked in OwnOrigins([own], allow_http=False),
    }


@pytest.mark.parametrize(("own", "url"), SAME)
def test_every_library_sends_the_token_to_its_own_origin(own: str, url: str) -> None:
    """IDNA 2008, any case, addresses in any form: the same origin in another spelling gets the token."""
    seen = _by_library(own, url)
    assert dict.fromkeys(seen, True) == seen


@pytest.mark.parametrize(("own", "url"), OTHER)
def test_no_library_sends_the_token_to_another_origin(own: str, url: str) -> None:
    """Names that IDNA 2003 took for the same, another port, scheme, domain or user: no token."""
    seen = _by_library(own, url)
    assert dict.fromkeys(seen, False) == seen


@pytest.mark.parametrize("url", ["https://☃.net", "https://-ü.example", "https://ü..example"])
def test_a_host_that_is_no_name_is_refused(url: str) -> None:
    """What IDNA 2008 does not allow is refused at once, and the host is in the message."""
    with pytest.raises(ConfigurationError, match="invalid host name"):
        checked_origin(url, allow_http=False)


def test_a_url_that_libraries_read_in_different_ways_has_no_origin() -> None:
    """A backslash or a user in a redirect's target: it gets no token."""
    assert [None] * 3 == [
        origin_of("https://evil.example\\@api.example.com/"),
        origin_of("https://api.example.com@evil.example/"),
        origin_of("https://api.example.com:port/"),
    ]


def test_two_names_of_this_machine_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Requests to localhost with DaypassAuth at 127.0.0.1 get no token: one warning names both."""
    own = OwnOrigins(["http://127.0.0.1:8000/auth"], allow_http=False)
    with caplog.at_level(logging.WARNING, "daypass.client"):
        for _ in range(3):
            assert ("http", "localhost", 8000) not in own
        for other in (("http", "localhost", 3000), ("https", "example.com", None), ("http", "127.0.0.1", 8001)):
            assert other not in own
    (told,) = caplog.messages
    assert told.startswith("http://localhost:8000 gets no access token: DaypassAuth was given http://127.0.0.1:8000;")


def test_many_foreign_origins_take_no_memory() -> None:
    """A crawler's hosts are not kept forever, and none becomes an own one."""
    own = OwnOrigins(["https://api.example.com"], allow_http=False)
    assert not any(("https", f"host{number}.example", None) in own for number in range(5000))
    assert len(own._judged) <= 1024
    assert ("https", "API.example.com", 443) in own
