"""The OpenAPI description of the endpoints, as data."""

from collections.abc import Mapping
from typing import Any

from daypass.server.oidc.endpoint_paths import BACK_CHANNEL, CALLBACK, LOGIN, LOGOUT


def _operation(name: str, summary: str, responses: Mapping[str, str], **more: Any) -> Mapping[str, Any]:
    described = {status: {"description": description} for status, description in responses.items()}
    return {"operationId": name, "summary": summary, "tags": ["oidc"], "responses": described, **more}


def _parameter(name: str, description: str) -> Mapping[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


_UNAVAILABLE = {"503": "The provider or the store cannot be used now; nobody is logged out."}

OIDC: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("GET", LOGIN): _operation(
        "oidcLogin",
        "Log in at the OpenID Connect provider",
        {"303": "To the provider.", "400": "A parameter is invalid."} | _UNAVAILABLE,
        parameters=[
            _parameter("return_to", "A path, or a URL of an allowed origin, to go to after the login."),
            _parameter("remember", "false: the session ends with the browser."),
            _parameter("prompt", "login or select_account, for the provider."),
            _parameter("login_hint", "A name or an address, for the provider."),
        ],
    ),
    ("GET", CALLBACK): _operation(
        "oidcCallback",
        "The provider sends the browser back here",
        {
            "303": "The user is logged in.",
            "400": "The login was not started in this browser.",
            "401": "The provider did not log the user in.",
            "403": "This user may not log in here.",
            "429": "Too many failed logins.",
        }
        | _UNAVAILABLE,
    ),
    ("POST", LOGOUT): _operation(
        "oidcLogout",
        "Log out here and at the provider",
        {"303": "To the provider's logout.", "403": "A page of another origin may not do this."} | _UNAVAILABLE,
    ),
    ("POST", BACK_CHANNEL): _operation(
        "oidcBackChannelLogout",
        "The provider says that a login has ended",
        {"200": "Its sessions have ended.", "400": "The logout token is refused, or the logout failed."},
        requestBody={
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {"logout_token": {"type": "string"}},
                        "required": ["logout_token"],
                    }
                }
            },
        },
    ),
}
