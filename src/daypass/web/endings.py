"""Informs other services of ended sessions: ``GET /endings``, as server-sent events that a service follows. Pure.

A response has all new events and then ends; the service asks again at once, with ``Last-Event-ID``. If nothing is new,
an async application waits for a while before it answers. So a service learns of an ending within a second, no stream
stays open, and nothing is missed whichever node answers. A threaded application would need a thread for each waiting
service, so it answers at once, and ``retry`` says when to ask again.
"""

from daypass.duration import SECOND
from daypass.ending_log import EndingLog, Page
from daypass.errors import StoreError
from daypass.event import Event, EventCode
from daypass.flow import Flow
from daypass.flows import Call, Flows
from daypass.security_event import write_event
from daypass.steps import Emit, Keys, KnownEndings, WaitFor
from daypass.web import cookies
from daypass.web.bearer import REALM, unavailable
from daypass.web.clients import Client, ClientRejected, Clients, TwoMethods
from daypass.web.cookies import CookiePolicy
from daypass.web.limits import Limiter, TooMany
from daypass.web.message import BadRequest, Request, Response, failure

LONGEST_WAIT = 20 * SECOND
"""How long a request waits: shorter than the time-outs of most proxies."""

ASK_AGAIN = SECOND // 2
"""When a service asks a threaded application again."""

MOST_EVENTS = 250
"""In one response, of some 700 bytes each."""


class EndingsEndpoint:
    """The endpoint of one issuer.

    Args:
        flows: the flows of the issuer.
        policy: whether plain HTTP is accepted.
        clients: the registered clients; those that may introspect are accepted.
        limiter: counts clients that fail to authenticate, if anybody does.
        waits: whether a request may wait for the next ending.
    """

    def __init__(
        self, flows: Flows, policy: CookiePolicy, clients: Clients, limiter: Limiter | None, *, waits: bool
    ) -> None:
        self._flows = flows
        self._policy = policy
        self._clients = clients
        self._limiter = limiter
        self._waits = waits

    def answer(self, request: Request, call: Call) -> Flow[Response]:
        """Answer ``GET /endings``: 200 with the events after ``Last-Event-ID``; otherwise 401 or 403."""
        try:
            cookies.require_secure_transport(request, self._policy)
            client = yield from self._client(request, call)
            log = yield from KnownEndings()
            page = yield from self._new(log, request.headers.get("last-event-id"))
            return (yield from self._events(page, client, call))
        except BadRequest as error:
            return error.response
        except TooMany as error:
            return failure(429, "too_many_requests", "Try again later").with_headers(error.retry_after)
        except (ClientRejected, TwoMethods):
            yield from Emit(Event(EventCode.REJECTED, call.now, reason="invalid_client"))
            refused = failure(401, "invalid_client", "The client is unknown, or its secret is wrong or missing")
            return refused.with_headers(("www-authenticate", f'Basic realm="{REALM}", charset="UTF-8"'))
        except StoreError as error:
            yield from Emit(Event(EventCode.UNAVAILABLE, call.now, reason=str(error)))
            return unavailable(error)

    def _client(self, request: Request, call: Call) -> Flow[Client]:
        try:
            client = yield from self._clients.authenticate(request, {})
        except ClientRejected:
            if self._limiter is not None:
                yield from self._limiter.stranger(request, call.now)
            raise
        if not client.introspects:
            raise BadRequest(
                403, "unauthorized_client", "This client may not follow endings: register it to introspect"
            )
        return client

    def _new(self, log: EndingLog, cursor: str | None) -> Flow[Page]:
        """Return the new events, at once or when there are some; a service that begins gets its cursor at once."""
        noted = log.next()
        page = log.read(cursor, MOST_EVENTS)
        if page.endings or not self._waits or cursor is None:
            return page
        yield from WaitFor(noted, LONGEST_WAIT)
        return log.read(cursor, MOST_EVENTS)

    def _events(self, page: Page, client: Client, call: Call) -> Flow[Response]:
        ring = yield from Keys()
        key, issuer = ring.signing_key(call.now), self._flows.names.issuer
        retry = 0 if self._waits or not page.whole else ASK_AGAIN
        lines = [f"retry: {retry}"]
        for number, ending in enumerate(page.endings):
            event = write_event(key, issuer, client.id, ending, call.now, f"{call.jti}{number}")
            lines += ["event: session-revoked", f"data: {event}", ""]
        lines += [f"id: {page.cursor}", "", ""]
        headers = (("content-type", "text/event-stream"), ("cache-control", "no-store"))
        return Response(200, headers, "\n".join(lines).encode())
