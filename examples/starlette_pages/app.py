"""Pages without JavaScript: a login form, a page of one's own, a logout. Run it with: uvicorn app:app."""

from html import escape
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from daypass import AsyncDaypass, CredentialsRejected, User
from daypass.web.asgi_pages import Pages

ANN = User("1", username="ann")

auth = AsyncDaypass(
    "sqlite:///app.db",
    issuer="http://127.0.0.1:8000",
    load_user=lambda subject: ANN if subject == ANN.subject else None,
    authenticate=lambda name, password: ANN if (name, password) == ("ann", "correct horse") else None,
)
FORM = (
    "<form method=post action=/login><input name=name><input name=password type=password><button>Log in</button></form>"
)
LEAVE = "<form method=post action=/logout><button>Log out</button></form>"


async def home(request: Request) -> Response:
    """Show who is logged in."""
    token = request.scope["daypass"].token
    return HTMLResponse(f"<h1>Hello, {escape(token.username)}</h1>{LEAVE}" if token else FORM)


async def login(request: Request) -> Response:
    """Log in by a form."""
    form = parse_qs((await request.body()).decode())
    try:
        tokens = await auth.login(form.get("name", [""])[0], form.get("password", [""])[0])
    except CredentialsRejected:
        return HTMLResponse(f"<p>Wrong name or password.</p>{FORM}", 401)
    request.scope["daypass"].log_in(tokens)
    return RedirectResponse("/", 303)


async def logout(request: Request) -> Response:
    """End the session."""
    request.scope["daypass"].log_out()
    return RedirectResponse("/", 303)


routes = [Route("/", home), Route("/login", login, methods=["POST"]), Route("/logout", logout, methods=["POST"])]
app = Pages(Starlette(routes=routes), auth)
