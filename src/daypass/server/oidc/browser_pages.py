"""The responses to a browser: a failure as a page, and the way on after a login. Pure."""

import html
import json

from daypass.web.message import Request, Response
from daypass.web.page_headers import Headers

_FAILURE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Login</title></head>
<body><main><h1>The login did not succeed</h1><p>{message}</p><p><a href="{again}">Log in</a></p></main></body>
</html>
"""

_ON = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}"><title>Login</title></head>
<body><p><a href="{url}">Go on</a></p></body>
</html>
"""

_NO_STORE = ("cache-control", "no-store")
_NO_REFERRER = ("referrer-policy", "no-referrer")
_PAGE: Headers = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    _NO_REFERRER,
)


def shown(request: Request, response: Response, again: str) -> Response:
    """Return a failure as a page, if a browser navigates; otherwise as it is.

    Args:
        request: the request.
        response: the failure, as JSON.
        again: the path of a new login.
    """
    if response.status < 400 or "text/html" not in request.headers.get("accept", ""):
        return response
    message = html.escape(json.loads(response.body)["message"])
    kept = (header for header in response.headers if header[0] not in ("content-type", "www-authenticate"))
    page = _FAILURE.format(message=message, again=html.escape(again))
    return Response(response.status, (*kept, *_PAGE), page.encode())


def redirect(url: str, *headers: tuple[str, str]) -> Response:
    """Return a 303 to ``url``."""
    return Response(303, (("location", url), _NO_STORE, _NO_REFERRER, *headers))


def send_on(request: Request, url: str, *headers: tuple[str, str]) -> Response:
    """Return the response that sends a browser to ``url``, with the cookies of its new session.

    A browser sends no ``Strict`` cookie after a redirect of a navigation that another site has begun, as the provider's
    login page has: the user would seem to be logged out. So such a browser gets a page that begins a navigation itself.
    """
    if request.headers.get("sec-fetch-site") != "cross-site":
        return redirect(url, *headers)
    return Response(200, (_NO_STORE, *_PAGE, *headers), _ON.format(url=html.escape(url)).encode())
