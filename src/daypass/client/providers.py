"""Well-known OAuth providers: `OAuth` with their endpoints, error codes and rules for refresh tokens.

    auth = DaypassAuth("https://api.github.com", strategy=github(client_id="Iv1.…", client_secret="…"))
    auth.start(refresh_token="ghr_…")

Each function also takes the arguments of `OAuth`; yours override the provider's.

``idle_ttl`` is how long an unused refresh token stays valid, as each provider documents it: for Auth0 and Keycloak the
default, which you can change there; ``None`` if it does not expire from disuse.
"""

from typing import Any

from daypass.client.oauth import OAuth

__all__ = [
    "auth0",
    "github",
    "google",
    "hubspot",
    "keycloak",
    "microsoft",
    "quickbooks",
    "salesforce",
    "slack",
    "xero",
    "zoho",
]


def auth0(client_id: str, client_secret: str | None = None, *, url: str, **options: Any) -> OAuth:
    """Return the strategy for Auth0; ``url`` is the tenant's, such as ``https://example.eu.auth0.com``.

    The API's identifier goes in ``parameters={"audience": …}``.
    """
    return _provider(options, client_id, client_secret, issuer=f"{url.rstrip('/')}/", idle_ttl="15d")


def github(
    client_id: str, client_secret: str | None = None, *, url: str = "https://github.com", **options: Any
) -> OAuth:
    """Return the strategy for a GitHub App's user tokens; ``url`` is that of a GitHub Enterprise Server."""
    url = url.rstrip("/")
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint=f"{url}/login/oauth/access_token",
        authorization_endpoint=f"{url}/login/oauth/authorize",
        device_authorization_endpoint=f"{url}/login/device/code",
        idle_ttl="180d",
        method=client_secret and "client_secret_post",
        ends=["bad_refresh_token"],
    )


def google(client_id: str, client_secret: str | None = None, **options: Any) -> OAuth:
    """Return the strategy for Google, whose refresh tokens stay the same."""
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
        revocation_endpoint="https://oauth2.googleapis.com/revoke",
        authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
        device_authorization_endpoint="https://oauth2.googleapis.com/device/code",
        authorization_parameters={"access_type": "offline", "prompt": "consent"},
        idle_ttl="180d",
        method=client_secret and "client_secret_post",
        repeats=True,
    )


def hubspot(client_id: str, client_secret: str, **options: Any) -> OAuth:
    """Return the strategy for HubSpot, whose refresh tokens stay the same, and whose error code is in ``status``."""
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint="https://api.hubapi.com/oauth/v3/token",  # noqa: S106 - an address
        authorization_endpoint="https://app.hubspot.com/oauth/authorize",
        idle_ttl=None,
        method="client_secret_post",
        ends=["BAD_REFRESH_TOKEN"],
        repeats=True,
    )


def keycloak(client_id: str, client_secret: str | None = None, *, url: str, realm: str, **options: Any) -> OAuth:
    """Return the strategy for a realm of Keycloak; ``url`` is the server's, such as ``https://sso.example.com``."""
    return _provider(options, client_id, client_secret, issuer=f"{url.rstrip('/')}/realms/{realm}", idle_ttl="30m")


def microsoft(client_id: str, client_secret: str | None = None, *, tenant: str = "common", **options: Any) -> OAuth:
    """Return the strategy for Microsoft Entra; ``tenant`` is an id, a domain, or ``common``.

    A refresh token that was used stays valid.
    """
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint=f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        authorization_endpoint=f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        device_authorization_endpoint=f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
        idle_ttl="90d",
        method=client_secret and "client_secret_post",
        ends=["interaction_required", "consent_required", "login_required", "bad_token"],
        repeats=True,
    )


def quickbooks(client_id: str, client_secret: str, **options: Any) -> OAuth:
    """Return the strategy for Intuit QuickBooks."""
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",  # noqa: S106 - an address
        revocation_endpoint="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
        authorization_endpoint="https://appcenter.intuit.com/connect/oauth2",
        idle_ttl="100d",
    )


def salesforce(
    client_id: str, client_secret: str | None = None, *, url: str = "https://login.salesforce.com", **options: Any
) -> OAuth:
    """Return the strategy for Salesforce; ``url`` is that of a sandbox or of your domain.

    Salesforce does not say how long a token lives: the client refreshes after the first 401.
    """
    url = url.rstrip("/")
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint=f"{url}/services/oauth2/token",
        revocation_endpoint=f"{url}/services/oauth2/revoke",
        authorization_endpoint=f"{url}/services/oauth2/authorize",
        idle_ttl=None,
        method=client_secret and "client_secret_post",
        ends=["inactive_user", "inactive_org"],
    )


def slack(client_id: str, client_secret: str, **options: Any) -> OAuth:
    """Return the strategy for Slack with token rotation, for tokens of bots and of users."""
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint="https://slack.com/api/oauth.v2.access",  # noqa: S106 - an address
        authorization_endpoint="https://slack.com/oauth/v2/authorize",
        idle_ttl=None,
        ends=["invalid_refresh_token", "token_revoked", "token_expired", "account_inactive"],
        token_types=["bearer", "bot", "user"],
    )


def xero(client_id: str, client_secret: str | None = None, **options: Any) -> OAuth:
    """Return the strategy for Xero, where a refresh token can be used once more for 30 minutes."""
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint="https://identity.xero.com/connect/token",  # noqa: S106 - an address
        revocation_endpoint="https://identity.xero.com/connect/revocation",
        authorization_endpoint="https://login.xero.com/identity/connect/authorize",
        idle_ttl="60d",
        repeats=True,
    )


def zoho(client_id: str, client_secret: str, *, url: str = "https://accounts.zoho.com", **options: Any) -> OAuth:
    """Return the strategy for Zoho, whose refresh tokens stay the same; ``url`` is that of the user's region."""
    url = url.rstrip("/")
    return _provider(
        options,
        client_id,
        client_secret,
        token_endpoint=f"{url}/oauth/v2/token",
        revocation_endpoint=f"{url}/oauth/v2/token/revoke",
        authorization_endpoint=f"{url}/oauth/v2/auth",
        authorization_parameters={"access_type": "offline", "prompt": "consent"},
        idle_ttl=None,
        method="client_secret_post",
        ends=["invalid_code"],
        repeats=True,
    )


def _provider(options: dict[str, Any], client_id: str, client_secret: str | None, **known: Any) -> OAuth:
    ends = [*known.get("ends", ()), *options.get("ends", ())]
    return OAuth(client_id=client_id, client_secret=client_secret, **{**known, **options, "ends": ends})
