"""Shows a failure of a login to a person: a plain page for a browser, JSON for a program. Pure."""

import html
import json

from daypass.web.message import Request, Response

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Login</title></head>
<body><main><h1>The login did not succeed</h1><p>{message}</p><p><a href="{again}">Log in</a></p></main></body>
</html>
"""


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
    headers = (
        *((name, value) for name, value in response.headers if name not in ("content-type", "www-authenticate")),
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    )
    return Response(response.status, headers, _PAGE.format(message=message, again=html.escape(again)).encode())
