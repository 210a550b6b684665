"""An issuer that is asked without a network: a request in, a response out. And the people who ask it."""

import json
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

from daypass import Daypass, Event, Policy, Store, User
from daypass.duration import Duration
from daypass.testing import Clock
from daypass.web import Application
from daypass.web.message import Request, Response
from daypass.web.options import Options

ISSUER = "https://api.example.com"
HOST = "api.example.com"
SECRET = "a master secret of thirty-two bytes and a few more"
PASSWORD = "correct horse battery"
DEFAULTS = Policy()

ALICE = User("user-1", "alice", "alice@example.com", claims={"plan": "pro"})
BOB = User("user-2", None, "bob@example.com")
PEOPLE = {name: user for user in (ALICE, BOB) for name in (user.email, user.username) if name}


class Asked:
    """An issuer, its endpoints, and its events; send requests with `ask`."""

    def __init__(
        self,
        store: str | Store = "memory:",
        *,
        options: Options | None = None,
        secret: str = SECRET,
        **lifetimes: Duration,
    ) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.tried: list[tuple[str, str]] = []
        self.people = {user.subject: user for user in (ALICE, BOB)}
        self.auth = Daypass(
            store,
            issuer=ISSUER,
            secret=secret,
            load_user=self.people.get,
            authenticate=self.check,
            on_event=self.events.append,
            clock=self.clock,
            **lifetimes,  # type: ignore[arg-type]  # spans, and nothing else, are handed through
        )
        site = Application(self.auth, **(options or {}))
        self.routes = {route.path: route for route in (*site.auth_routes, *site.well_known_routes)}

    def check(self, identifier: str, password: str) -> User | None:
        self.tried.append((identifier, password))
        return PEOPLE.get(identifier) if password == PASSWORD else None

    def ask(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        body: bytes | None = None,
        cookie: str | None = None,
        token: str | None = None,
        scheme: str = "https",
        host: str = HOST,
        headers: Mapping[str, str] | None = None,
        address: str | None = "192.0.2.7",
    ) -> Response:
        """Return the answer to a request; ``content`` is sent as JSON, ``body`` as it is."""
        sent: dict[str, str] = {}
        if content is not None:
            sent["content-type"] = "application/json"
            body = json.dumps(content).encode()
        if cookie is not None:
            sent["cookie"] = f"{'__Host-' if scheme == 'https' else ''}daypass={cookie}"
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        path, _, query = path.partition("?")
        session_id = path.removeprefix("/sessions/")
        request = Request(scheme, host, sent | dict(headers or {}), body or b"", address, session_id, method, query)
        pattern = "/sessions/{session_id}" if path.startswith("/sessions/") else path
        return self.auth.run(self.routes[pattern].answer(request, self.auth.new_call()))

    def login(self, who: User = ALICE, **asked: Any) -> tuple[str, str]:
        """Log in; return the access token and the refresh token from the cookie."""
        response = self.ask("POST", "/login", {"email": who.email, "password": PASSWORD}, **asked)
        assert 200 == response.status
        return access_token(response), cookie_value(response)

    def login_in_body(self) -> tuple[str, str]:
        """Log in as a client without cookies; return the access token and the refresh token."""
        content = {"email": ALICE.email, "password": PASSWORD, "tokenDelivery": "body"}
        answered = json_of(self.ask("POST", "/login", content))
        return answered["accessToken"], answered["refreshToken"]

    def end_grace(self) -> None:
        """Let the grace period go by, and a moment more."""
        self.clock.advance(self.auth.policy.grace_period + 1)

    def lives(self, refresh_token: str) -> bool:
        """Return whether the session of this token still refreshes."""
        return 200 == self.ask("POST", "/refresh", cookie=refresh_token).status


def headers_named(response: Response, name: str) -> list[str]:
    return [value for found, value in response.headers if found == name]


def json_of(response: Response) -> dict[str, Any]:
    content = json.loads(response.body)
    assert isinstance(content, dict)
    return content


def access_token(response: Response) -> str:
    return str(json_of(response)["accessToken"])


def cookie_value(response: Response) -> str:
    """Return the value of the one cookie that the response sets."""
    (header,) = headers_named(response, "set-cookie")
    (morsel,) = SimpleCookie(header).values()
    return morsel.value


def body_of(code: str, message: str = "Authentication failed") -> bytes:
    """Return the body of a failure, as it is on the wire."""
    return json.dumps({"message": message, "error": code}, separators=(",", ":")).encode()


JSON = ("content-type", "application/json")
NO_STORE = ("cache-control", "no-store")
GRACE = ("daypass-grace", "30")
VARY = ("vary", "Origin, Sec-Fetch-Site")
CHALLENGE = ("www-authenticate", 'Bearer realm="daypass"')
CLEARS = ("clear-site-data", '"prefetchCache", "prerenderCache"')
CLEARED = ("set-cookie", "__Host-daypass=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict")
