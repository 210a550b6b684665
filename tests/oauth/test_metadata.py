"""``GET /.well-known/oauth-authorization-server``: the issuer's metadata (RFC 8414)."""

import pytest

from daypass import ConfigurationError, Daypass
from daypass.web import Application
from daypass.web.clients import Client

from ..web.world import ISSUER, json_of
from .world import CLIENTS, World

PATH = "/.well-known/oauth-authorization-server"


def test_the_metadata(world: World) -> None:
    """All that a client has to know to refresh, revoke and introspect, and nothing that there is not."""
    response = world.ask(PATH, method="GET")
    assert (200, "application/json") == (response.status, dict(response.headers)["content-type"])
    expected = {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/oauth/token",
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint": f"{ISSUER}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint": f"{ISSUER}/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }
    assert expected == json_of(response)


def test_an_issuer_with_a_path() -> None:
    """Its metadata is below the well-known path (RFC 8414 §3.1), its keys and endpoints are below the issuer's path."""
    issuer = f"{ISSUER}/tenant/7"
    world = World(issuer=f"{issuer}/", options={"oauth_path": "/api/oauth/"})
    content = json_of(world.ask(f"{PATH}/tenant/7", method="GET"))
    assert (f"{issuer}/", f"{issuer}/api/oauth/token") == (content["issuer"], content["token_endpoint"])
    assert f"{issuer}/.well-known/jwks.json" == content["jwks_uri"]
    assert PATH not in world.routes
    keys = [
        world.ask(path, method="GET").body for path in ("/tenant/7/.well-known/jwks.json", "/.well-known/jwks.json")
    ]
    assert keys[0] == keys[1]


def test_scopes_that_are_known() -> None:
    """Scopes are listed if each client has a limit; a client without one may have others."""
    limited = [Client("a", scope="write read"), Client("b", scope="read extra")]
    assert ["extra", "read", "write"] == json_of(World(clients=limited).ask(PATH, method="GET"))["scopes_supported"]
    for clients in ([*limited, Client("c")], lambda _: None):
        assert "scopes_supported" not in json_of(World(clients=clients).ask(PATH, method="GET"))


def test_without_clients_there_is_no_metadata() -> None:
    """An issuer without OAuth clients has no OAuth endpoints, and lists none."""
    auth = Daypass("memory:", issuer=ISSUER, load_user=lambda _: None)
    site = Application(auth)
    assert ((), ["/.well-known/jwks.json"]) == (site.oauth_routes, [route.path for route in site.well_known_routes])


def test_a_mount_that_is_not_possible() -> None:
    """What could make no URL is refused, with what to write instead."""
    auth = Daypass("memory:", issuer=ISSUER, load_user=lambda _: None)
    with pytest.raises(ConfigurationError, match="/oauth"):
        Application(auth, clients=CLIENTS, oauth_path="oauth")
