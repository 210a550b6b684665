"""One request of the user's on its way through whatever expires meanwhile: `daypass.client.flow`, performed.

An adapter asks it what to send, tells it what came back, and is told whether to send the same request once more. It
knows no HTTP library.
"""

from collections.abc import Generator, Sequence
from typing import TypeAlias

from daypass.client.body import Body
from daypass.client.courier import Courier
from daypass.client.events import EventKind
from daypass.client.flow import Refresh, Send, State, Step, request_flow
from daypass.client.parsing import refreshing_can_help
from daypass.client.session import ClientSession
from daypass.client.tokens import Tokens

_Flow: TypeAlias = Generator[Step, State, None]


class Passage:
    """One request's way through.

    Args:
        session: what is held.
        courier: where refreshes are launched.
        body: the request's.
    """

    __slots__ = ("_body", "_courier", "_flow", "_held", "_session", "_set_out_at")

    def __init__(self, session: ClientSession, courier: Courier, body: Body) -> None:
        self._session = session
        self._courier = courier
        self._body = body
        self._flow: _Flow | None = None
        self._held: Tokens | None = None
        self._set_out_at = 0

    def set_out(self) -> str:
        """Return the ``Authorization`` to send the request with, after a refresh where one has to come first.

        Raises:
            LoginRequired: there is no session, or it was found to be over.
            RefreshUnavailable: the access token is dead, and could not be replaced now.
        """
        return self._young() or self._sent(self._advance(None)) or ""

    async def set_out_async(self) -> str:
        """The twin of `set_out`, and raises the same."""
        return self._young() or self._sent(await self._advance_async(None)) or ""

    def refused(self, status: int, authorization: object, challenges: Sequence[str]) -> bool:
        """Tell whether an answer of an own origin refuses the very token that was sent, and a newer one may mend that.

        Args:
            status: of the answer.
            authorization: what the request that it answers was sent with: a redirect may have taken it off.
            challenges: the answer's ``WWW-Authenticate`` headers.
        """
        return (
            status == 401
            and self._held is not None
            and authorization == self._held.authorization
            and refreshing_can_help(challenges)
        )

    def mend(self) -> str | None:
        """After a refusal, return the ``Authorization`` to send the same request with again; ``None``: let it be.

        The body has been made ready for it. Give the connection of the refused answer back before: the refresh may
        need it.

        Raises:
            LoginRequired: the session was found to be over.
            RefreshUnavailable: the access token was refused, and could not be replaced now.
        """
        return self._again(self._advance(self._unauthorized()))

    async def mend_async(self) -> str | None:
        """The twin of `mend`, and raises the same."""
        return self._again(await self._advance_async(self._unauthorized()))

    def arrive(self) -> None:
        """Let go of what was kept for sending it again."""
        self._body.forget()

    def _young(self) -> str | None:
        """Return the ``Authorization`` where the token is young: then the flow has but to send, and is not begun."""
        session = self._session
        held = session.held
        if held is None:
            return None
        now = session.clock()
        if held.ahead_at is not None and now >= held.ahead_at:
            return None
        self._held, self._set_out_at = held, now
        return held.authorization

    def _begun(self) -> _Flow:
        """Return the flow, at its first step; one that was not begun for a young token is taken to where that is."""
        if self._flow is None:
            standing = self._session.standing(repeatable=self._body.sure)
            if self._held is not None:
                standing = State(self._held, self._set_out_at, self._body.sure)
            self._flow = request_flow(standing, self._session.timing)
            if self._held is not None:
                next(self._flow)
        return self._flow

    def _unauthorized(self) -> State:
        self._session.tell(EventKind.UNAUTHORIZED)
        return self._session.standing(repeatable=self._body.repeatable)

    def _again(self, step: Send | None) -> str | None:
        if step is None or not self._body.rewind():
            return None
        self._session.tell(EventKind.REPLAYED)
        return self._sent(step)

    def _sent(self, step: Send | None) -> str | None:
        if step is None:
            return None
        self._held = step.held
        return step.held.authorization

    def _advance(self, reply: State | None) -> Send | None:
        """Take the flow to its next `Send`, through the refreshes before it; ``None`` at its end."""
        session, flow, launch = self._session, self._begun(), self._courier.launch
        try:
            step = next(flow) if reply is None else flow.send(reply)
            while isinstance(step, Refresh):
                step = flow.send(session.wait(session.refresh(step.version, launch)))
        except StopIteration:
            return None
        if step.refresh_behind:
            session.refresh_behind(step.held.version, launch)
        return step

    async def _advance_async(self, reply: State | None) -> Send | None:
        """The twin of `_advance`."""
        session, flow, launch = self._session, self._begun(), self._courier.launch_async
        try:
            step = next(flow) if reply is None else flow.send(reply)
            while isinstance(step, Refresh):
                step = flow.send(await session.wait_async(session.refresh(step.version, launch)))
        except StopIteration:
            return None
        if step.refresh_behind:
            session.refresh_behind(step.held.version, launch)
        return step
