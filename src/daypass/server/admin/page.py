"""Serves the page for operators: HTML, one module, one stylesheet, and the endpoints behind them.

The page itself holds no data, so everyone may load it while it is on; it loads nothing from other servers.
"""

from importlib.resources import files

from starlette.routing import Route

from daypass.errors import StoreError
from daypass.flow import Flow
from daypass.flows import Call
from daypass.issuer import AsyncDaypass
from daypass.server.admin.endpoints import Endpoints
from daypass.server.admin.switch import AUTO, OFF, Switch
from daypass.web import routes
from daypass.web.application import Application
from daypass.web.bearer import unavailable
from daypass.web.message import BadRequest, Request, Response
from daypass.web.routes import Operation
from daypass.web.starlette import mounted

PATH = "/admin"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = (
    ("content-security-policy", _POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-cache"),
)
_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "/admin.js": ("admin.js", "text/javascript; charset=utf-8"),
    "/plot.js": ("plot.js", "text/javascript; charset=utf-8"),
    "/admin.css": ("admin.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def admin_routes(
    application: Application[AsyncDaypass], mode: str, *, built_in: bool, audited: bool, provider: bool = False
) -> list[Route]:
    """Return the routes of the page.

    Args:
        application: the service's issuer and its options.
        mode: ``auto``, ``on`` or ``off``; see `Switch`. Where users come from elsewhere, ``auto`` is off.
        built_in: whether the users are those of the store.
        audited: whether there is an audit trail.
        provider: whether users can log in at an OpenID Connect provider.
    """
    if mode == OFF or (mode == AUTO and not built_in):
        return []
    endpoints = Endpoints(application, Switch(mode), built_in=built_in, audited=audited)
    pages: dict[str, dict[str, Operation]] = {
        path: {"GET": _serving(endpoints, *file, provider=provider)} for path, file in _FILES.items()
    }
    return mounted(
        application.auth,
        [
            routes.Route(f"{PATH}{path}", operations, application.filter)
            for path, operations in (pages | endpoints.operations()).items()
        ],
    )


def _serving(endpoints: Endpoints, name: str, kind: str, *, provider: bool) -> Operation:
    body = files("daypass.server.admin").joinpath("static", name).read_bytes()
    if provider:
        body = body.replace(b'<html lang="en">', b'<html lang="en" data-provider>')
    found = Response(200, (("content-type", kind), *_HEADERS), body)

    def serve(_request: Request, call: Call) -> Flow[Response]:
        try:
            yield from endpoints.require_on(call)
        except BadRequest as error:
            return error.response
        except StoreError as error:
            return unavailable(error)
        return found

    return serve
