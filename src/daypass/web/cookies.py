"""The cookies that tokens travel in, and how they are kept from cross-site use. Pure: text in, text out."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from daypass.duration import DAY, SECOND
from daypass.errors import ConfigurationError
from daypass.refresh_token import PREFIX
from daypass.web.message import BadRequest, Request
from daypass.web.proxies import parse_address, told_addresses

SameSite = Literal["Strict", "Lax"]

SECURE_NAME = "__Host-daypass"
LOOPBACK_NAME = "daypass"
"""The name over plain HTTP, which is for loopback: a ``__Host-`` cookie has to be ``Secure`` (RFC 6265bis §4.1.3.2),
and most cookie jars send no ``Secure`` cookie over plain HTTP, not even to loopback."""

MAXIMUM_AGE = 400 * DAY
"""Browsers keep no cookie longer (RFC 6265bis §5.5)."""

_BETWEEN = " \t"


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """How the cookie is set and from where it may be used.

    Args:
        same_site: ``Strict``, or ``Lax`` for pages that are rendered on the server.
        allowed_origins: other origins whose pages may use the cookie, such as ``https://app.example.com``.
        allow_insecure: whether plain HTTP is accepted from elsewhere than loopback.

    Raises:
        ConfigurationError: one of them is something else.
    """

    same_site: SameSite = "Strict"
    allowed_origins: Collection[str] = ()
    allow_insecure: bool = False

    def __post_init__(self) -> None:
        if self.same_site not in ("Strict", "Lax"):
            raise ConfigurationError(f"same_site={self.same_site!r} is neither 'Strict' nor 'Lax'")
        if isinstance(self.allowed_origins, str):
            raise ConfigurationError("allowed_origins is a list of origins: ['https://app.example.com']")
        for origin in self.allowed_origins:
            if not _is_origin(origin):
                raise ConfigurationError(f"{origin!r} is no origin; write https://app.example.com, without a path")


def read(request: Request, name: str = LOOPBACK_NAME) -> str | None:
    """Return the token in the request's cookie, None where there is no such cookie."""
    wanted = _name(request, name)
    pairs = [pair.partition("=") for pair in request.headers.get("cookie", "").split(";")]
    # Spaces and tabs alone stand between cookies (RFC 6265 §5.2). Whoever takes other white space off a name lets in a
    # cookie that the browser did not hold to the rules of the prefix, set by another host of the same site.
    values = [value.strip(_BETWEEN).strip('"') for name, _, value in pairs if name.strip(_BETWEEN) == wanted]
    # There is but one, save on loopback, where applications on other ports may have set others of that name.
    ours = (value for value in values if value.startswith(PREFIX))
    return next(ours, values[0] if values else None) or None


def write(
    request: Request, policy: CookiePolicy, token: str, expires_at: int, now: int, name: str = LOOPBACK_NAME
) -> tuple[str, str]:
    """Return the header that sets the cookie; it lives as long as what it stands for, at most `MAXIMUM_AGE`."""
    age = max(0, min(expires_at - now, MAXIMUM_AGE)) // SECOND
    return _header(request, policy, token, age, name)


def clear(request: Request, policy: CookiePolicy, name: str = LOOPBACK_NAME) -> tuple[str, str]:
    """Return the header that removes the cookie."""
    return _header(request, policy, "", 0, name)


def require_secure_transport(request: Request, policy: CookiePolicy) -> None:
    """Refuse plain HTTP, save on loopback or where the operator allows it.

    Raises:
        BadRequest: tokens would travel in the clear.
    """
    if request.scheme != "https" and not policy.allow_insecure and not _stays_on_loopback(request):
        raise BadRequest(
            403, "insecure_transport", "Use HTTPS; behind a proxy that ends TLS, pass on how the request was made"
        )


def require_same_site(request: Request, policy: CookiePolicy) -> None:
    """Refuse a request that a page of another site has caused, by ``Sec-Fetch-Site``, else by ``Origin``.

    A request without both comes from no browser that could be abused.

    Raises:
        BadRequest: it comes from a page whose origin is not allowed.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin in policy.allowed_origins or site in ("same-origin", "none"):
        return
    if site is None and (origin is None or origin == f"{request.scheme}://{request.host}"):
        return
    raise BadRequest(403, "cross_site_request", "This may not be asked for by a page of another origin")


def _name(request: Request, name: str) -> str:
    return f"__Host-{name}" if request.scheme == "https" else name


def _header(request: Request, policy: CookiePolicy, value: str, age: int, name: str) -> tuple[str, str]:
    secure = "; Secure" if request.scheme == "https" else ""
    attributes = f"Path=/; Max-Age={age}; HttpOnly{secure}; SameSite={policy.same_site}"
    return "set-cookie", f"{_name(request, name)}={value}; {attributes}"


def _is_origin(text: str) -> bool:
    """Tell whether a browser could send ``text`` as an origin: scheme and host in lower case (RFC 6454 §6.2)."""
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and f"{parts.scheme}://{parts.netloc.lower()}" == text
    except ValueError:
        return False


def _stays_on_loopback(request: Request) -> bool:
    """Tell whether nobody else is on the way: what a proxy passes on for a stranger has come over a network."""
    return _is_loopback(request.host) and all(
        address is not None and _is_loopback_address(address) for address in told_addresses(request)
    )


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
            return True
    except ValueError:
        return False
    return _is_loopback_address(name)


def _is_loopback_address(text: str) -> bool:
    address = parse_address(text)
    return address is not None and address.is_loopback
