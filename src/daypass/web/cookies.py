"""The cookies that hold tokens, and their protection from cross-site use. Text in, text out."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Literal
from urllib.parse import urlsplit

from daypass import cookie_names
from daypass.duration import DAY, SECOND
from daypass.errors import ConfigurationError
from daypass.refresh_token import PREFIX
from daypass.session import Confirmed, Tokens
from daypass.web.message import BadRequest, Request
from daypass.web.proxies import claimed_addresses, parse_address
from daypass.web.refusal_log import RefusalLog, shown

SameSite = Literal["Strict", "Lax"]
Kind = Literal["", "-access", "-tried"]
"""What the name of a cookie ends with; the refresh token's has no ending."""

ACCESS: Kind = "-access"
"""The cookie of pages with the access token."""

TRIED: Kind = "-tried"
"""The cookie of pages that says for which refresh token a page was redirected to itself."""

MAXIMUM_AGE = 400 * DAY
"""Browsers keep no cookie longer (RFC 6265bis §5.5)."""

LONGEST = 4096
"""Bytes of a cookie's name and value: browsers keep no longer one (RFC 6265bis §5.6)."""

MAXIMUM_NAME = 64
"""Characters of an application's own cookie name."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A cookie's name (RFC 6265 §4.1.1)."""

_WHITE_SPACE = " \t"


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """How cookies are set, and from where they may be used.

    Args:
        same_site: ``Strict``, or ``Lax`` for server-rendered pages.
        allowed_origins: other origins whose pages may use the cookie, such as ``https://app.example.com``.
        allow_insecure: accept plain HTTP from other machines.
        name: the refresh token's cookie, without ``__Host-``. By default ``daypass``; over plain HTTP on loopback with
            the port, ``daypass-8000``, because cookies ignore ports.
        https: whether the issuer's URL says that the application is used over HTTPS.
        old: names of the cookies that a token of another library may be in; see `daypass.migrate`.
        log: explains refusals.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    same_site: SameSite = "Strict"
    allowed_origins: Collection[str] = ()
    allow_insecure: bool = False
    name: str | None = None
    https: bool = False
    old: tuple[str, ...] = ()
    log: RefusalLog = field(default_factory=RefusalLog, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.same_site not in ("Strict", "Lax"):
            raise ConfigurationError(f"invalid same_site {self.same_site!r}: write 'Strict' or 'Lax'")
        if isinstance(self.allowed_origins, str):
            raise ConfigurationError("allowed_origins is a list of origins: ['https://app.example.com']")
        for origin in self.allowed_origins:
            if not _is_origin(origin):
                raise ConfigurationError(f"invalid origin {origin!r}: write https://app.example.com, without a path")
        if self.name is not None:
            _check_name(self.name)


def read(request: Request, policy: CookiePolicy, kind: Kind = "") -> str | None:
    """Return the value of a cookie, None if it is missing."""
    for name in _names(request, policy, kind):
        value = _value(request, name)
        if value is not None:
            return value
    return None


def write(
    request: Request,
    policy: CookiePolicy,
    token: str,
    expires_at: int,
    now: int,
    kind: Kind = "",
    *,
    new: bool = False,
    persistent: bool = True,
) -> tuple[str, str]:
    """Return the header that sets a cookie.

    Args:
        request: the request to answer.
        policy: how cookies are set.
        token: the value.
        expires_at: when the cookie expires, at most `MAXIMUM_AGE` from now.
        now: milliseconds since the epoch.
        kind: which cookie.
        new: whether the cookie begins a session; otherwise it keeps the name that the request's cookie has.
        persistent: whether the browser keeps it when it closes.
    """
    _warn_of_proxy(request, policy)
    name = _names(request, policy, kind)[0] if new else _name_in_use(request, policy, kind)
    age = max(0, min(expires_at - now, MAXIMUM_AGE) // SECOND)
    return _header(request, policy, name, token, None if age and not persistent else age)


def write_session(
    request: Request, policy: CookiePolicy, tokens: Tokens, now: int, *, new: bool = False
) -> tuple[str, str]:
    """Return the header that sets the cookie of a session, with its refresh token."""
    session = tokens.session
    return write(request, policy, tokens.refresh_token, session.expires_at, now, new=new, persistent=session.persistent)


def write_access(
    request: Request,
    policy: CookiePolicy,
    tokens: Tokens | Confirmed,
    now: int,
    *,
    new: bool = False,
    lasts: int | None = None,
) -> tuple[str, str]:
    """Return the header that sets the cookie of pages with the access token, or removes it if the token is too long.

    Args:
        request: the request to answer.
        policy: how cookies are set.
        tokens: the access token, and its session.
        now: milliseconds since the epoch.
        new: whether the cookie begins a session.
        lasts: how long the cookie of a persistent session lasts; None for as long as the token.
    """
    if not fits(request, policy, tokens.access_token):
        return clear(request, policy, ACCESS)
    if lasts is not None:
        return write(request, policy, tokens.access_token, now + lasts, now, ACCESS, new=new)
    until = (now // SECOND + tokens.expires_in) * SECOND  # as the token says it, in whole seconds
    persistent = tokens.session.persistent
    return write(request, policy, tokens.access_token, until, now, ACCESS, new=new, persistent=persistent)


def fits(request: Request, policy: CookiePolicy, access_token: str) -> bool:
    """Return whether a browser keeps an access token in a cookie."""
    return len(_name_in_use(request, policy, ACCESS)) + len(access_token) <= LONGEST


def described(request: Request, policy: CookiePolicy, kind: Kind) -> tuple[str, str]:
    """Return the name and the attributes of a cookie, as `write` sets them, without its age."""
    name = _name_in_use(request, policy, kind)
    return name, _header(request, policy, name, "", None)[1].partition("; ")[2]


def clear(request: Request, policy: CookiePolicy, kind: Kind = "") -> tuple[str, str]:
    """Return the header that removes a cookie."""
    return _header(request, policy, _name_in_use(request, policy, kind), "", 0)


def read_older(request: Request, policy: CookiePolicy) -> str | None:
    """Return the refresh token in a cookie of 0.1 beside the one in use; it may be another application's."""
    return next(islice(_values(request, policy, ""), 1, None), None)


def clear_older(request: Request, policy: CookiePolicy, kind: Kind = "") -> tuple[str, str]:
    """Return the header that removes the cookie that `read_older` reads."""
    return _header(request, policy, _names(request, policy, kind)[1], "", 0)


def read_old(request: Request, policy: CookiePolicy) -> str | None:
    """Return the content of another library's cookie; its user may not be logged in."""
    found = (_value(request, name) for name in policy.old)
    return next((value for value in found if value is not None), None)


def clear_old(request: Request, policy: CookiePolicy) -> tuple[tuple[str, str], ...]:
    """Return the headers that remove the cookies that `read_old` reads."""
    present = (name for name in policy.old if _value(request, name) is not None)
    return tuple(_header(request, policy, name, "", 0) for name in present)


def may_be_another_applications(request: Request, policy: CookiePolicy) -> bool:
    """Return whether the request's cookie has the name without a port, which applications on other ports use too."""
    return _name_in_use(request, policy, "") in _names(request, policy, "")[1:]


def require_secure_transport(request: Request, policy: CookiePolicy) -> None:
    """Refuse plain HTTP, except on loopback or if the operator allows it.

    Raises:
        BadRequest: tokens would travel unencrypted.
    """
    if request.is_https or policy.allow_insecure or _stays_on_loopback(request):
        return
    policy.log.warn(
        ("insecure_transport", request.address or "", request.host),
        f"refused plain HTTP (403 insecure_transport) {_seen(request)}: use HTTPS. {BEHIND_PROXY}. "
        "In tests, use https://testserver or http://localhost as the base URL. "
        "To accept plain HTTP from other machines, write allow_insecure=True",
    )
    raise BadRequest(403, "insecure_transport", "Use HTTPS; the server's log names the option")


def require_same_site(request: Request, policy: CookiePolicy) -> None:
    """Refuse a request that a page of another site caused, by ``Sec-Fetch-Site``, otherwise by ``Origin``.

    A request without both headers does not come from a browser, so it cannot be a cross-site request.

    Raises:
        BadRequest: it comes from a page whose origin is not allowed.
    """
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin in policy.allowed_origins or site in ("same-origin", "none"):
        return
    if site is None and (origin is None or origin == f"{request.scheme}://{request.host}"):
        return
    _explain_cross_site(request, policy)
    raise BadRequest(
        403, "cross_site_request", "A page of another origin may not do this; the server's log names the option"
    )


def is_loopback(host: str) -> bool:
    """Return whether a ``Host`` header names this machine."""
    return _loopback(host)[0]


BEHIND_PROXY = (
    "Behind a proxy that ends TLS, write trusted_proxies=['127.0.0.1'] (the proxy's address) and "
    "proxy_header='X-Forwarded'; in nginx: proxy_set_header Host $http_host; "
    "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-For $remote_addr;"
)

_EXPLAINING = ("origin", "sec-fetch-site", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-for", "forwarded")


def _seen(request: Request) -> str:
    """Return what a warning says of a request, escaped."""
    facts = {"server": f"{request.scheme}://{request.host}", "from": request.address or "unknown"}
    facts |= {name: request.headers[name] for name in _EXPLAINING if name in request.headers}
    return f"[{', '.join(f'{name} {shown(value)}' for name, value in facts.items())}]"


def _explain_cross_site(request: Request, policy: CookiePolicy) -> None:
    origin = request.headers.get("origin")
    policy.log.warn(
        ("cross_site_request", origin or request.address or ""),
        f"refused a request of another site's page (403 cross_site_request) {_seen(request)}: if the page is yours, "
        f"write allowed_origins=[{shown(origin or 'https://app.example.com')}]. {BEHIND_PROXY}",
    )


def _warn_of_proxy(request: Request, policy: CookiePolicy) -> None:
    """Warn that cookies are set without ``Secure`` although the browser probably uses HTTPS.

    A server has a port; ``http://localhost`` without one is a test client.
    """
    if request.is_https or policy.allow_insecure:
        return
    origin = request.headers.get("origin", "")
    is_server = _loopback(request.host)[1] is not None
    if (policy.https and is_server) or (origin.startswith("https://") and origin not in policy.allowed_origins):
        policy.log.warn(
            ("no_https",),
            f"cookies are set without Secure: the issuer or the page uses HTTPS, and requests arrive by plain HTTP "
            f"{_seen(request)}. On your own machine this is fine. {BEHIND_PROXY}",
        )


def _names(request: Request, policy: CookiePolicy, kind: Kind) -> tuple[str, ...]:
    """Return the name of a cookie, and the names of 0.1 that are still accepted."""
    return _names_on(request.is_https, request.host, policy.name, kind)


@lru_cache(maxsize=256)
def _names_on(secure: bool, host: str, own_name: str | None, kind: Kind) -> tuple[str, ...]:  # noqa: FBT001 - a key of the cache
    if secure:
        return (f"{cookie_names.SECURE_PREFIX}{own_name or cookie_names.DEFAULT}{kind}",)
    if own_name is not None:
        return (f"{own_name}{kind}",)
    on_loopback, port = _loopback(host)
    plain = f"{cookie_names.DEFAULT}{kind}"
    return (f"{cookie_names.with_port(port)}{kind}", plain) if on_loopback and port is not None else (plain,)


def _values(request: Request, policy: CookiePolicy, kind: Kind) -> Iterator[str]:
    found = (_value(request, name) for name in _names(request, policy, kind))
    return (value for value in found if value is not None)


def _name_in_use(request: Request, policy: CookiePolicy, kind: Kind) -> str:
    """Return the name of the request's cookie: under another name the client would not find its token."""
    first, *older = _names(request, policy, kind)
    if not older or _value(request, first) is not None:
        return first
    return next((name for name in older if _value(request, name) is not None), first)


def _value(request: Request, wanted: str) -> str | None:
    found: list[str] = _pattern(wanted).findall(request.headers.get("cookie", ""))
    values = [value.strip(_WHITE_SPACE).strip('"') for value in found]
    for value in values:  # there is one, except on loopback, where applications on other ports may have set others
        if value.startswith(PREFIX):
            return value
    return values[0] or None if values else None


@lru_cache(maxsize=256)
def _pattern(name: str) -> "re.Pattern[str]":
    """Return the pattern that finds the values of the cookies of one name in the header.

    Only spaces and tabs separate cookies (RFC 6265 §5.2). If other white space did, another host of the same site could
    set a cookie that bypasses the browser's rules for the prefix.
    """
    return re.compile(rf"(?:\A|;)[ \t]*{re.escape(name)}[ \t]*(?:=([^;]*))?(?=;|\Z)")


def _header(request: Request, policy: CookiePolicy, name: str, value: str, age: int | None) -> tuple[str, str]:
    secure = "; Secure" if request.is_https else ""
    max_age = "" if age is None else f"; Max-Age={age}"
    return "set-cookie", f"{name}={value}; Path=/{max_age}; HttpOnly{secure}; SameSite={policy.same_site}"


def _check_name(name: str) -> None:
    if type(name) is not str or len(name) > MAXIMUM_NAME or not _TOKEN.fullmatch(name):
        raise ConfigurationError(
            f"invalid cookie_name {name!r}: write up to {MAXIMUM_NAME} letters, digits and dashes, such as 'shop-login'"
        )
    if name.startswith("__"):
        raise ConfigurationError(
            f"invalid cookie_name {name!r}: leave out {cookie_names.SECURE_PREFIX}, which Daypass adds over HTTPS"
        )


def _is_origin(text: str) -> bool:
    """Return whether a browser could send ``text`` as an origin: scheme and host in lower case (RFC 6454 §6.2)."""
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and f"{parts.scheme}://{parts.netloc.lower()}" == text
    except ValueError:
        return False


def _stays_on_loopback(request: Request) -> bool:
    """Return whether a request never left this machine; one that a proxy forwards from outside did."""
    return is_loopback(request.host) and all(
        address is not None and _is_loopback_address(address) for address in claimed_addresses(request)
    )


@lru_cache(maxsize=256)
def _loopback(host: str) -> tuple[bool, int | None]:
    """Return whether a ``Host`` header names this machine, and its port."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return False, None
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True, port
    return _is_loopback_address(name), port


def _is_loopback_address(text: str) -> bool:
    address = parse_address(text)
    return address is not None and address.is_loopback
