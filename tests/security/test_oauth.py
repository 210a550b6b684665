"""The OAuth endpoints under attack: what opens them, and whose tokens they take (RFC 9700 §2.5, §4.14; ASVS 10.4)."""

import base64
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from daypass.web import Application
from daypass.web.clients import Client, hash_secret
from daypass.web.message import Request, Response

from ..web.world import ALICE, HOST, Asked, json_of

SECRET = "a-secret-that-was-drawn-elsewhere-and-is-long"
HASH = hash_secret(SECRET)
CLIENTS = [Client("public"), Client("confidential", HASH, introspects=True), Client("other")]
FORM = {"content-type": "application/x-www-form-urlencoded"}
PATHS = ["/token", "/revoke", "/introspect"]


class World(Asked):
    """An issuer with OAuth clients."""

    def __init__(self) -> None:
        super().__init__()
        self.oauth = {route.path: route for route in Application(self.auth, clients=CLIENTS).oauth_routes}

    def post(self, path: str, headers: Mapping[str, str] | None = None, query: str = "", **fields: str) -> Response:
        """Return the answer to a form."""
        body = urlencode(fields).encode()
        request = Request("https", HOST, {**FORM, **(headers or {})}, body, method="POST", query=query)
        return self.auth.run(self.oauth[path].answer(request, self.auth.new_call()))

    def refresh(self, token: str, client_id: str, **fields: str) -> Response:
        fields |= {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
        return self.post("/token", None, "", **fields)


@pytest.mark.parametrize("path", PATHS)
def test_no_cookie_opens_an_oauth_endpoint(path: str) -> None:
    """No token in a cookie counts: no page, of whatever origin, can do anything by what the browser sends along."""
    world = World()
    access, cookie = world.login()
    world.events.clear()
    cookies = {"cookie": f"__Host-daypass={cookie}; __Host-daypass-access={access}; daypass={cookie}"}
    answer = world.post(path, cookies, grant_type="refresh_token", client_id="public")
    assert json_of(answer)["error"] in ("invalid_request", "unauthorized_client")
    assert "set-cookie" not in dict(answer.headers)
    assert [] == world.events
    assert world.lives(cookie)


def test_a_first_party_session_is_no_clients() -> None:
    """A refresh token from a login refreshes for no OAuth client, and none can revoke it or ask about it."""
    world = World()
    _, cookie = world.login()
    basic = {"authorization": "Basic " + base64.b64encode(f"confidential:{SECRET}".encode()).decode()}
    assert "invalid_grant" == json_of(world.refresh(cookie, "public"))["error"]
    assert 200 == world.post("/revoke", token=cookie, client_id="public").status
    assert {"active": False} == json_of(world.post("/introspect", basic, token=cookie))
    assert world.lives(cookie)


def test_a_public_clients_token_is_of_no_use_to_another() -> None:
    """Who steals a public client's refresh token has to say that client's name; by any other it is no token."""
    world = World()
    stolen = str(world.auth.start(ALICE, client_id="public").refresh_token)
    for client_id in ("other", "Public", "public ", "publi", "public\0", "daypass", "*"):
        assert json_of(world.refresh(stolen, client_id))["error"] in ("invalid_grant", "invalid_client")
    assert 200 == world.refresh(stolen, "public").status


@pytest.mark.parametrize(
    "secret", [HASH, HASH.upper(), SECRET[:-1], SECRET + "x", SECRET.upper(), "\0", "None", HASH[:32]]
)
def test_a_stolen_list_of_clients_opens_nothing(secret: str) -> None:
    """The list has a hash of a client's secret, not the secret or anything similar."""
    world = World()
    token = str(world.auth.start(ALICE, client_id="confidential").refresh_token)
    assert "invalid_client" == json_of(world.refresh(token, "confidential", client_secret=secret))["error"]
    assert "invalid_client" == json_of(world.refresh(token, "confidential"))["error"]
    assert 200 == world.refresh(token, "confidential", client_secret=SECRET).status


@pytest.mark.parametrize("grant", ["password", "authorization_code", "client_credentials", "implicit", "Refresh_Token",
                                   "urn:ietf:params:oauth:grant-type:token-exchange",
                                   "urn:ietf:params:oauth:grant-type:jwt-bearer"])  # fmt: skip
def test_no_other_grant_is_hidden_somewhere(grant: str) -> None:
    """The token endpoint starts no session, whatever is requested and sent along (RFC 9700 §2.4)."""
    world = World()
    token = str(world.auth.start(ALICE, client_id="public").refresh_token)
    sent = {
        "username": "alice",
        "password": "correct horse battery",
        "code": "x",
        "refresh_token": token,
        "assertion": token,
    }
    answer = world.post("/token", None, "", grant_type=grant, client_id="public", **sent)
    assert "unsupported_grant_type" == json_of(answer)["error"]
    assert [] == world.tried
    assert 200 == world.refresh(token, "public").status
