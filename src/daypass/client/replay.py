"""Carries out `daypass.client.flow` for one request of the user.

This is the only place where a request is sent again. An adapter gets the ``Authorization`` from `Replay.start`, sends
the request, and passes the response to `Replay.finish`, which returns the response for the caller.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from daypass.client.body import Body
from daypass.client.dpop import Proofs
from daypass.client.events import EventKind
from daypass.client.flow import Refresh, Send, State, request_flow
from daypass.client.parsing import asks_for_proof, refreshing_can_help, step_up_in
from daypass.client.refresher import PendingRefresh, Refresher
from daypass.client.session import ClientSession
from daypass.client.tokens import Tokens
from daypass.drive import arun, run
from daypass.errors import StepUpRequired

R = TypeVar("R")

ShouldRefresh: TypeAlias = Callable[[int, Sequence[str]], bool]
"""Takes a status of 400 or more and the ``WWW-Authenticate`` headers; returns whether a newer token may help."""


class ReplayContext(NamedTuple):
    """The objects that all requests of one `SessionAuth` share.

    Attributes:
        session: the session whose token they carry.
        refresher: refreshes the session.
        should_refresh: which responses refuse the token.
        proofs: makes the DPoP proofs of a session that is bound to a key.
    """

    session: ClientSession
    refresher: Refresher
    should_refresh: ShouldRefresh
    proofs: Proofs


class Seen(NamedTuple):
    """The parts of a response that `Replay` needs from an adapter.

    Attributes:
        status: the HTTP status.
        authorization: the ``Authorization`` of its request; a redirect may have removed it.
        challenges: a list of the ``WWW-Authenticate`` headers.
    """

    status: int
    authorization: object
    challenges: Sequence[str]


class Wait(NamedTuple):
    """Wait for this refresh; with ``None``, only read the session as it is now."""

    pending: PendingRefresh | None


class Drain(NamedTuple):
    """Read the response to its end to free its connection: the refresh may need it."""

    response: Any


class Resend(NamedTuple):
    """Send the request of ``response`` again, with this ``Authorization``; reply with the new response."""

    response: Any
    authorization: str


def is_unauthorized(status: int, challenges: Sequence[str]) -> bool:
    """Return whether a response is a 401 where a newer token may help."""
    return status == 401 and refreshing_can_help(challenges)


class Replay(ABC, Generic[R]):
    """One request, with the refreshes and the retry that it needs.

    Args:
        context: the `SessionAuth.context` of the auth that sends it.
        body: the request's body.
    """

    __slots__ = (
        "_body",
        "_flow",
        "_proofs",
        "_proven_at",
        "_proves_again",
        "_refresher",
        "_sent_at",
        "_session",
        "_settled",
        "_should_refresh",
        "_step_up",
        "_tokens",
    )

    def __init__(self, context: ReplayContext, body: Body) -> None:
        self._session, self._refresher, self._should_refresh, self._proofs = context
        self._body = body
        self._proven_at: str | None = None
        self._proves_again = True
        self._flow: Generator[Any, State, None] | None = None
        self._tokens: Tokens | None = None
        self._sent_at: int  # set with the first tokens
        self._settled = False
        self._step_up: StepUpRequired | None = None

    @property
    def authorization(self) -> str:
        """The ``Authorization`` that the request was last sent with; empty before."""
        return "" if self._tokens is None else self._tokens.authorization

    @property
    def proves(self) -> bool:
        """Whether the request is sent with a DPoP proof."""
        return self._tokens is not None and self._tokens.bound

    @property
    def login_id(self) -> str | None:
        """The login of the token that the request was last sent with."""
        return None if self._tokens is None else self._tokens.login_id

    def prove(self, headers: Any, method: str, url: object) -> None:
        """Put a new DPoP proof into the headers of a request, if its token is bound to a key.

        Call it each time before the request is sent, after a redirect too.

        Args:
            headers: the headers, a mapping that ignores case.
            method: the method of the request.
            url: its whole URL, as text or in the library's own type.
        """
        tokens = self._tokens
        if tokens is not None and (key := tokens.proof_key) is not None:
            self._proven_at = str(url)
            headers["DPoP"] = self._proofs.of(key, method, self._proven_at, tokens.access_token)

    def learn(self, headers: Any) -> None:
        """Keep the nonce for the next proof, if a response has one; call it with the headers of each response."""
        if self._proven_at is not None:
            self._proofs.learn(self._proven_at, headers.get("dpop-nonce"))

    @abstractmethod
    def seen(self, response: R) -> Seen | None:
        """Return the needed parts of a response with status 400 or more; ``None`` if it is not from an own origin."""

    def young(self) -> str | None:
        """Return the ``Authorization`` if the token is young, without the flow, which would only send.

        An async adapter asks this before `start_async`: it saves a coroutine for most requests.
        """
        tokens, now = self._session.tokens, self._session.clock()
        if tokens is None or tokens.due(now):
            return None
        self._tokens, self._sent_at = tokens, now
        return tokens.authorization

    def start(self) -> str:
        """Return the ``Authorization`` for the request, after a refresh if one is needed; blocks.

        Raises:
            LoginRequired: nobody is logged in, or the session has ended.
            RefreshUnavailable: the access token has expired and cannot be refreshed now.
        """
        return self.young() or run(self._first(blocks=True), self._wait)

    async def start_async(self) -> str:
        """Return the ``Authorization``; the async version of `start`, raises the same."""
        first = self.young()
        if first is not None:
            return first
        return await arun(self._first(blocks=False), self._wait_async)

    def finish(self, response: R, drain: Callable[[R], object], resend: Callable[[R, str], R]) -> R:
        """Return the response for the caller; if the token was refused, refresh and send the request again; blocks.

        Args:
            response: the first response.
            drain: reads a response to its end.
            resend: sends the request of a response again with an ``Authorization``, and returns the new response.

        Raises:
            LoginRequired: the session has ended, or another user has logged in meanwhile.
            StepUpRequired: the server asks for a newer or stronger login.
            RefreshUnavailable: the access token was refused and cannot be refreshed now.
        """

        def perform(step: Any) -> Any:
            match step:
                case Drain(refused):
                    return drain(refused)
                case Resend(refused, authorization):
                    return resend(refused, authorization)
                case _:
                    return self._refresher.wait(step.pending)

        return run(self.steps(response, blocks=True), perform)

    async def finish_async(
        self, response: R, drain: Callable[[R], Awaitable[object]], resend: Callable[[R, str], Awaitable[R]]
    ) -> R:
        """Return the response for the caller; the async version of `finish`, raises the same."""

        def perform(step: Any) -> Awaitable[Any]:
            match step:
                case Drain(refused):
                    return drain(refused)
                case Resend(refused, authorization):
                    return resend(refused, authorization)
                case _:
                    return self._refresher.wait_async(step.pending)

        return await arun(self.steps(response, blocks=False), perform)

    def steps(self, response: R, *, blocks: bool) -> Generator[Any, Any, R]:
        """Yield the steps for a response: `Drain`, `Wait`, `Resend`; return the response for the caller.

        `finish` performs these steps.
        """
        while (authorization := (yield from self._again(response, blocks=blocks))) is not None:
            response = yield Resend(response, authorization)
        if self._step_up is not None:
            yield Drain(response)
            raise self._step_up
        return response

    def done(self) -> None:
        """Drop the copy of the body that was kept to send the request again."""
        self._body.forget()

    def _wait(self, step: Any) -> State:
        return self._refresher.wait(step.pending)

    async def _wait_async(self, step: Any) -> State:
        return await self._refresher.wait_async(step.pending)

    def _again(self, response: R, *, blocks: bool) -> Generator[Any, Any, str | None]:
        """Return what to send the request again with, after a refresh if it needs one; None if it is not sent again."""
        if self._needs_other_proof(response):
            yield Drain(response)
            return self.authorization if self._body.rewind() else None
        if not self._is_refused(response):
            return None
        yield Drain(response)
        self._session.reporter.emit(EventKind.UNAUTHORIZED)
        state = yield from self._state(repeatable=self._body.repeatable)
        step = yield from self._advance(state, blocks=blocks)
        if step is None or not self._body.rewind():
            self._settled = True
            return None
        self._session.reporter.emit(EventKind.REPLAYED)
        self._step_up = None  # the first response no longer counts
        return self._sent(step)

    def _is_refused(self, response: R) -> bool:
        """Return whether a response refuses the token that was sent, and a newer one may help."""
        if self._settled or self._tokens is None or (seen := self.seen(response)) is None:
            return False
        status, authorization, challenges = seen
        if status < 400 or authorization != self._tokens.authorization:
            return False
        if status == 401:
            self._step_up = step_up_in(challenges)
        return self._should_refresh(status, challenges)

    def _needs_other_proof(self, response: R) -> bool:
        """Return whether a response refuses the DPoP proof, or asks for a nonce in it; True once for each request."""
        if not self._proves_again or self._proven_at is None or (seen := self.seen(response)) is None:
            return False
        status, authorization, challenges = seen
        if status != 401 or authorization != self.authorization or not asks_for_proof(challenges):
            return False
        self._proves_again = False
        return True

    def _first(self, *, blocks: bool) -> Generator[Any, State, str]:
        step = yield from self._advance(None, blocks=blocks)
        return "" if step is None else self._sent(step)

    def _sent(self, step: Send) -> str:
        self._tokens = step.tokens
        return step.tokens.authorization

    def _state(self, *, repeatable: bool) -> Generator[Wait, State, State]:
        """Return the session as it is now; reading the storage does not block the event loop."""
        state = yield Wait(None)
        return state._replace(repeatable=repeatable)

    def _begun(self) -> Generator[Any, State, Generator[Any, State, None]]:
        """Return the flow at its first `Send`; if it was skipped for a young token, start it and go to that step."""
        if self._flow is not None:
            return self._flow
        if self._tokens is None:
            state = yield from self._state(repeatable=self._body.sure)
            self._flow = request_flow(state, self._session.timing)
        else:
            self._flow = request_flow(State(self._tokens, self._sent_at, self._body.sure), self._session.timing)
            next(self._flow)
        return self._flow

    def _advance(self, reply: State | None, *, blocks: bool) -> Generator[Any, State, Send | None]:
        """Advance the flow to its next `Send`, through the refreshes before it; return ``None`` at its end."""
        flow = yield from self._begun()
        try:
            step = next(flow) if reply is None else flow.send(reply)
            while isinstance(step, Refresh):
                state = yield Wait(self._refresher.start(step.version, blocks=blocks))
                step = flow.send(state)
        except StopIteration:
            return None
        assert isinstance(step, Send)  # noqa: S101 - for the types: there is no third step
        if step.refresh_behind:
            self._refresher.start_behind(step.tokens.version, blocks=blocks)
        return step
