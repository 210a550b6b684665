"""Logs users in at the team's OpenID Connect provider: Keycloak, Google, Microsoft Entra."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

    from daypass.issuer import AsyncDaypass
    from daypass.server.oidc.options import OidcOptions
    from daypass.web.application import Application


def mounted_routes(
    application: "Application[AsyncDaypass]", options: "OidcOptions", *, own_users: bool
) -> "list[Route]":
    """Return the Starlette routes of these logins, to be mounted at ``/auth``.

    Args:
        application: whose sessions are started.
        options: how the provider is used.
        own_users: whether the application's ``load_user`` knows the provider's users, by their ``sub``.
    """
    from daypass.server.oidc.endpoints import OidcEndpoints  # here, because it loads Authlib and httpx2
    from daypass.server.oidc.provider import Provider
    from daypass.web.starlette import mounted

    endpoints = OidcEndpoints(application, options, Provider(options), own_users=own_users)
    return mounted(application.auth, endpoints.routes)
