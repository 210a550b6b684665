"""requests-oauthlib with automatic refresh, as its documentation has it."""

import os

from loop import blocking
from requests_oauthlib import OAuth2Session

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
url = os.environ["URL"]
token = {
    "access_token": os.environ["ACCESS"],
    "refresh_token": os.environ["REFRESH"],
    "token_type": "Bearer",
    "expires_at": float(os.environ["EXPIRES_AT"]),
}


def keep(newer):
    session.token = newer


session = OAuth2Session(
    "app",
    token=token,
    auto_refresh_url=f"{url}/oauth/token",
    auto_refresh_kwargs={"client_id": "app"},
    token_updater=keep,
)
blocking(lambda: session.get(f"{url}/me").status_code)
