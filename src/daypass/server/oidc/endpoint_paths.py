"""The paths of the endpoints, below ``/auth``."""

LOGIN = "/oidc/login"
CALLBACK = "/oidc/callback"
LOGOUT = "/oidc/logout"
BACK_CHANNEL = "/oidc/backchannel-logout"
