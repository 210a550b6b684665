"""The OAuth endpoints asked without a network, in either colour, and the clients that ask."""

import asyncio
import json
import random
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import quote_plus, urlencode

from daypass import AsyncDaypass, Daypass, Event, Tokens, User
from daypass.duration import Duration
from daypass.flow import Flow
from daypass.session import Device
from daypass.session_options import SessionOptions
from daypass.steps import Verify
from daypass.testing import Clock
from daypass.web import Application
from daypass.web.clients import Client, Registry
from daypass.web.message import Request, Response
from daypass.web.options import Options

from ..web.world import ALICE, BOB, HOST, ISSUER, SECRET

FORM = "application/x-www-form-urlencoded"
NO_STORE = [("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")]

_DRAWN = random.Random(1).randbytes
"""The same secrets in every process: tests are named by them."""

READER, READER_SECRET = Client.register("Reader", client_id="reader", entropy=_DRAWN, scope="read write")
WRITER, WRITER_SECRET = Client.register("Writer", client_id="writer", entropy=_DRAWN)
SERVICE, SERVICE_SECRET = Client.register("A service", client_id="service", entropy=_DRAWN, introspects=True)
APP, _ = Client.register("An app", client_id="app", public=True)
OWN, _ = Client.register("First party", client_id="daypass", public=True)
CLIENTS = (READER, WRITER, SERVICE, APP, OWN)
SECRETS = {"reader": READER_SECRET, "writer": WRITER_SECRET, "service": SERVICE_SECRET}


_DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
"""What an ``error_description`` may be made of (RFC 6749 §5.2)."""


def basic(client_id: str, secret: str) -> str:
    """Return the ``Authorization`` header of RFC 6749 §2.3.1."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


class World:
    """An issuer and its OAuth endpoints; ask them with `ask`, as a client with `asks`."""

    def __init__(
        self,
        *,
        colour: type[Daypass | AsyncDaypass] = Daypass,
        store: Any = "memory:",
        issuer: str = ISSUER,
        clients: Registry = CLIENTS,
        options: Options | None = None,
        **lifetimes: Duration,
    ) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.people: dict[str, User] = {user.subject: user for user in (ALICE, BOB)}
        self.auth = colour(
            store,
            issuer=issuer,
            secret=SECRET,
            load_user=lambda subject: self.people.get(subject),
            on_event=self.events.append,
            clock=self.clock,
            **lifetimes,  # type: ignore[arg-type]  # spans, and nothing else, are handed through
        )
        site = Application(self.auth, clients=clients, **(options or {}))
        self.routes = {route.path: route for route in (*site.oauth_routes, *site.well_known_routes)}

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow, whichever the colour."""
        if isinstance(self.auth, Daypass):
            return self.auth.run(flow)
        return asyncio.run(self.auth.run(flow))

    def start(
        self,
        client_id: str | None = "reader",
        scope: str | None = None,
        user: User = ALICE,
        **options: Unpack[SessionOptions],
    ) -> Tokens:
        """Start a session, as the application does once it knows whose it is."""
        tokens = self.run(self.auth.flows.start(user, Device(), self.auth.new_call(), client_id, scope, options))
        assert isinstance(tokens, Tokens)
        return tokens

    def ask(
        self,
        path: str,
        body: bytes | str = b"",
        *,
        method: str = "POST",
        scheme: str = "https",
        headers: Mapping[str, str] | None = None,
        address: str = "192.0.2.7",
    ) -> Response:
        """Return the answer to these very bytes."""
        sent = {"content-type": FORM, **(headers or {})}
        raw = body.encode() if isinstance(body, str) else body
        request = Request(scheme, HOST, sent, raw, address, method=method)
        response = self.run(self.routes[path].answer(request, self.auth.new_call()))
        assert isinstance(response, Response)
        return response

    def asks(self, client_id: str, path: str, *, authorization: str | None = None, **form: str) -> Response:
        """Return the answer to a client that shows who it is as it should."""
        if authorization is None and client_id in SECRETS:
            authorization = basic(client_id, SECRETS[client_id] or "")
        if authorization is None:
            form["client_id"] = client_id
        return self.ask(path, urlencode(form), headers={"authorization": authorization} if authorization else {})

    def refreshes(self, client_id: str, refresh_token: str, **form: str) -> Response:
        """Return the answer to a refresh."""
        return self.asks(client_id, "/token", grant_type="refresh_token", refresh_token=refresh_token, **form)

    def end_grace(self) -> None:
        self.clock.advance(self.auth.policy.grace_period + 1)

    def session_ids(self, user: User = ALICE) -> list[str]:
        """Return the ids of the user's live sessions."""
        found = self.run(self.auth.flows.sessions(user.subject, self.auth.new_call()))
        return [session.id for session in found]

    def verify(self, access_token: str) -> Any:
        """Return what an access token says."""
        return self.run(iter(Verify(access_token)))


def error_of(response: Response) -> tuple[int, str]:
    """Return status and code of an error; it has the shape of RFC 6749 §5.2, and must not be cached."""
    content = json.loads(response.body)
    assert {"error", "error_description"} == set(content)
    assert _DESCRIPTION.fullmatch(content["error_description"])
    assert set(NO_STORE) <= set(response.headers)
    return response.status, content["error"]
