"""One request of the user's, until its answer is the caller's: `daypass.client.flow`, carried out.

This is the one place where a request is sent again. An adapter asks `Replay.start` for the ``Authorization`` to send,
sends, and gives the answer to `Replay.finish`, which returns the answer for the caller.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from daypass.client.body import Body
from daypass.client.events import EventKind
from daypass.client.flow import Refresh, Send, State, request_flow
from daypass.client.parsing import refreshing_can_help, step_up_in
from daypass.client.refresher import PendingRefresh, Refresher
from daypass.client.session import ClientSession
from daypass.client.tokens import Tokens
from daypass.drive import arun, run
from daypass.errors import StepUpRequired

R = TypeVar("R")

ShouldRefresh: TypeAlias = Callable[[int, Sequence[str]], bool]
"""Called with a status of 400 or more and the ``WWW-Authenticate`` headers; tells whether a newer token may help."""


class ReplayContext(NamedTuple):
    """What all requests of one `SessionAuth` share.

    Attributes:
        session: whose token they carry.
        refresher: of the session.
        should_refresh: which answers refuse the token.
    """

    session: ClientSession
    refresher: Refresher
    should_refresh: ShouldRefresh


class Seen(NamedTuple):
    """What an adapter sees of an answer.

    Attributes:
        status: the HTTP status.
        authorization: what the request that it answers was sent with; a redirect may have taken it off.
        challenges: the ``WWW-Authenticate`` headers, apart.
    """

    status: int
    authorization: object
    challenges: Sequence[str]


class Wait(NamedTuple):
    """Wait for this refresh; with ``None``, only for the session as it is now."""

    pending: PendingRefresh | None


class Drain(NamedTuple):
    """Read the answer to its end, so that its connection is free: the refresh may need it."""

    response: Any


class Resend(NamedTuple):
    """Send the request that ``response`` answers again, with this ``Authorization``; reply with the new answer."""

    response: Any
    authorization: str


def is_unauthorized(status: int, challenges: Sequence[str]) -> bool:
    """Tell whether an answer is a 401 that a newer token may help against."""
    return status == 401 and refreshing_can_help(challenges)


class Replay(ABC, Generic[R]):
    """One request, and whatever has to happen around it.

    Args:
        context: of the auth that sends it: `SessionAuth.context`.
        body: the request's.
    """

    __slots__ = (
        "_body",
        "_flow",
        "_refresher",
        "_sent_at",
        "_session",
        "_settled",
        "_should_refresh",
        "_step_up",
        "_tokens",
    )

    def __init__(self, context: ReplayContext, body: Body) -> None:
        self._session, self._refresher, self._should_refresh = context
        self._body = body
        self._flow: Generator[Any, State, None] | None = None
        self._tokens: Tokens | None = None
        self._sent_at = 0
        self._settled = False
        self._step_up: StepUpRequired | None = None

    @property
    def login_id(self) -> str | None:
        """The login whose token the request was sent with last."""
        return None if self._tokens is None else self._tokens.login_id

    @abstractmethod
    def seen(self, response: R) -> Seen | None:
        """Return what is seen of an answer with a status of 400 or more; ``None``: it is not an own origin's."""

    def start(self) -> str:
        """Return the ``Authorization`` to send the request with, after a refresh where one has to come first; blocks.

        Raises:
            LoginRequired: nobody is logged in, or the session was found to have ended.
            RefreshUnavailable: the access token has expired, and could not be replaced now.
        """
        return self._young() or run(self._first(blocks=True), self._wait)

    async def start_async(self) -> str:
        """The twin of `start`, and raises the same."""
        first = self._young()
        if first is not None:
            return first
        return await arun(self._first(blocks=False), self._wait_async)

    def finish(self, response: R, drain: Callable[[R], object], resend: Callable[[R, str], R]) -> R:
        """Return the answer for the caller, after a refresh and a second sending where the first was refused; blocks.

        Args:
            response: the answer.
            drain: reads an answer to its end.
            resend: sends the request that an answer is to again, with an ``Authorization``, and returns the new answer.

        Raises:
            LoginRequired: the session was found to have ended, or another user has logged in meanwhile.
            StepUpRequired: the server asks for a newer or stronger login.
            RefreshUnavailable: the access token was refused, and could not be replaced now.
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
        """The twin of `finish`, and raises the same."""

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
        """Yield what to do about an answer: `Drain`, `Wait`, `Resend`; return the answer for the caller.

        `finish` carries this out.
        """
        while self._is_refused(response):
            yield Drain(response)
            self._session.reporter.emit(EventKind.UNAUTHORIZED)
            state = yield from self._state(repeatable=self._body.repeatable)
            step = yield from self._advance(state, blocks=blocks)
            if step is None or not self._body.rewind():
                self._settled = True
                break
            self._session.reporter.emit(EventKind.REPLAYED)
            response = yield Resend(response, self._sent(step))
        if self._step_up is not None:
            yield Drain(response)
            raise self._step_up
        return response

    def done(self) -> None:
        """Let go of what was kept to send the request again."""
        self._body.forget()

    def _wait(self, step: Any) -> State:
        return self._refresher.wait(step.pending)

    async def _wait_async(self, step: Any) -> State:
        return await self._refresher.wait_async(step.pending)

    def _is_refused(self, response: R) -> bool:
        """Tell whether an answer refuses the very token that was sent, and a newer one may help."""
        if self._settled or self._tokens is None or (seen := self.seen(response)) is None:
            return False
        status, authorization, challenges = seen
        if status < 400 or authorization != self._tokens.authorization:
            return False
        if status == 401:
            self._step_up = step_up_in(challenges)
        return self._should_refresh(status, challenges)

    def _young(self) -> str | None:
        """Return the ``Authorization`` if the token is young: then the flow would only send, and is not begun."""
        session = self._session
        tokens = session.tokens
        if tokens is None:
            return None
        now = session.clock()
        if tokens.ahead_at is not None and now >= tokens.ahead_at:
            return None
        self._tokens, self._sent_at = tokens, now
        return tokens.authorization

    def _first(self, *, blocks: bool) -> Generator[Any, State, str]:
        step = yield from self._advance(None, blocks=blocks)
        return "" if step is None else self._sent(step)

    def _sent(self, step: Send) -> str:
        self._tokens = step.tokens
        return step.tokens.authorization

    def _state(self, *, repeatable: bool) -> Generator[Wait, State, State]:
        """Return the session as it is now; if the storage has to be read, an event loop goes on meanwhile."""
        state = (yield Wait(None)) if self._session.needs_look else self._session.state()
        return state._replace(repeatable=repeatable)

    def _begun(self) -> Generator[Any, State, Generator[Any, State, None]]:
        """Return the flow, at its first step; one that was not begun for a young token is taken to where that is."""
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
        """Take the flow to its next `Send`, through the refreshes before it; return ``None`` at its end."""
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
