"""A thief with every cookie and the access token of a bound session asks for everything that there is."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from daypass.duration import MINUTE
from daypass.web.clients import Client
from daypass.web.dbsc import REFRESH, REGISTER

from ..dpop.signing import Signer
from .browser import DeviceBrowser
from .test_endpoints import ACCESS_COOKIE, BASE, REFRESH_COOKIE, Served, bound

TOKENS = re.compile(r"ey[\w-]+\.ey[\w-]+\.[\w-]+|dpr_[\w-]{76}")
CLIENTS = [Client("cli", scope="read")]


@pytest.fixture(params=[False, True], ids=["DBSC", "DBSC and DPoP"])
def served(request: pytest.FixtureRequest) -> Served:
    return Served(clients=CLIENTS, dpop=request.param)


def paths(served: Served, session_id: str) -> Iterator[tuple[str, str]]:
    """Return the method and the path of every operation that the application has."""
    application = served.application
    mounts = (
        ("/auth", application.auth_routes),
        ("/oauth", application.oauth_routes),
        ("", application.well_known_routes),
    )
    for mount, routes in mounts:
        for route in routes:
            for method in route.operations:
                if not route.path.endswith(".js"):
                    yield method, mount + route.path.replace("{session_id}", session_id)


def ways(thief: DeviceBrowser, identifier: str, method: str, path: str) -> Iterator[dict[str, Any]]:
    """Return what a thief may send, with all that was copied."""
    jar = {name: value for name, (value, _) in thief.cookies.items()}
    access, refresh = jar[ACCESS_COOKIE], jar[REFRESH_COOKIE]
    cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    alone = {"cookie": f"{REFRESH_COOKIE}={refresh}"}
    signer = Signer(thief.key)
    yield {"headers": cookies}
    yield {"headers": alone}
    yield {"headers": alone | {"sec-fetch-mode": "navigate", "accept": "text/html", "sec-fetch-site": "cross-site"}}
    yield {"headers": alone | {"proxy-set-cookie": "split", "x-forwarded-method": "GET"}}
    yield {"headers": alone | {"secure-session-skipped": f'server_error;session_identifier="{identifier}"'}}
    yield {"headers": cookies | {"authorization": f"Bearer {access}"}}
    yield {"headers": alone | signer.headers(method, BASE + path, access)}
    yield {"headers": alone | {"dpop": signer.proof(method, BASE + path)}}
    proven = thief.sign(_challenge(thief, identifier), jwk=thief.key.as_dict(private=False))
    yield {"headers": cookies | {"sec-secure-session-id": identifier, "secure-session-response": proven}}
    for body in ({"refreshToken": refresh}, {"refreshToken": refresh, "tokenDelivery": "body", "everywhere": False}):
        yield {"json": body}
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "token": refresh, "client_id": "cli"}
    yield {"data": form}
    yield {"data": form, "headers": {"dpop": signer.proof(method, BASE + path)}}


def _challenge(thief: DeviceBrowser, identifier: str) -> str:
    """Return a challenge for a proof: anybody who knows the identifier is given one."""
    asked = thief._send("POST", "/auth" + REFRESH, {"sec-secure-session-id": identifier})
    return asked.headers["secure-session-challenge"].partition('"')[2].partition('"')[0]


def taken(answer: httpx2.Response) -> set[str]:
    """Return the tokens in a response."""
    headers = "\n".join(value for _, value in answer.headers.multi_items())
    return set(TOKENS.findall(f"{headers}\n{answer.text}"))


def test_nothing_gives_a_thief_another_token(served: Served) -> None:
    """While the copied access token lives no response has another one, and later none has any; nobody is harmed."""
    owner = bound(served)
    thief = owner.copied()
    stolen = thief.jar()[ACCESS_COOKIE]
    bearing = {"authorization": f"Bearer {stolen}"}
    session_id = served.client.get("/auth/me", headers=bearing).json()["sessionId"]
    operations = [*paths(served, session_id)]
    assert len(operations) > 15
    for is_live in (True, False):
        for method, path in operations:
            if is_live and (method == "DELETE" or path == "/auth/logout"):
                continue  # who has a live access token may end the session, by it
            for sent in ways(thief, owner.identifier, method, path):
                answer = served.client.request(method, path, **sent)
                served.client.cookies.clear()
                assert taken(answer) <= ({stolen} if is_live else set()), (method, path, sent)
                assert answer.status_code in (200, 204, 400, 401, 403, 415, 503), (method, path, answer.status_code)
                if answer.headers.get("content-type") == "application/json" and answer.status_code >= 400:
                    assert answer.json()["error"]
        served.clock.advance(16 * MINUTE)
    assert 200 == owner.post("/auth/refresh").status_code
    assert not {"reused", "suspected", "ended", "logged_out", "unavailable"} & set(served.codes)
    assert 1 == served.codes.count("bound")
    assert f"/auth{REGISTER}" in {path for _, path in operations}
