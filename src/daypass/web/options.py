"""What every adapter may be told, whatever its framework."""

from collections.abc import Collection
from typing import TypedDict

from daypass.web.cookies import SameSite


class Options(TypedDict, total=False):
    """How the endpoints are served.

    Attributes:
        same_site: of the cookie; ``Strict``, or ``Lax`` for pages that are rendered on the server.
        allowed_origins: other origins whose pages may use the endpoints, such as ``https://app.example.com``.
        allow_insecure: accept plain HTTP from elsewhere than loopback.
        oauth_path: where the OAuth endpoints are mounted, below the issuer; ``/oauth``. For the metadata.
    """

    same_site: SameSite
    allowed_origins: Collection[str]
    allow_insecure: bool
    oauth_path: str
