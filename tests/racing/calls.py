"""What presenters do at an issuer, and what comes of it, as data that goes through a pipe.

Each call has its own time, by which nodes whose clocks differ are played, and its events are its own: both are kept in
the context of the thread or task that makes the call.
"""

import random
import time
import traceback
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daypass import AsyncDaypass, Daypass, DaypassError, DPoP, Event, EventCode, Session, Tokens, User
from daypass.flow import Flow
from daypass.keys import MasterSecret
from daypass.policy import Policy
from daypass.store_steps import Find, StoreStep, Swap
from daypass.stores import AsyncStore, Store

SECRET = "a secret for presenters that race"
KEYS = (MasterSecret.of(SECRET).refresh_key,)
START = 1_800_000_000_000
W = 30_000
POLICY = Policy.of(access_ttl="15m", idle_ttl="2h", absolute_ttl="5h", grace_period=W / 1000)

NOW: ContextVar[int] = ContextVar("NOW", default=START)
TOLD: ContextVar[list[Event]] = ContextVar("TOLD")


def note(event: Event) -> None:
    """Keep an event with the call that it is of."""
    TOLD.get().append(event)


class Users:
    """The application's users, as files in a folder, so that all processes have the same.

    Attributes:
        far: whether it takes a moment to load one, now and then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.far = False

    def load(self, subject: str) -> User | None:
        """Return the user."""
        if self.far:
            time.sleep(random.choice((0, 0, 0.0002)))
        try:
            text = self._folder.joinpath(subject).read_text()
        except FileNotFoundError:
            return None
        return User(subject, disabled=text == "disabled")

    def set(self, subject: str, state: str) -> None:
        """Make a user ``here``, ``disabled`` or ``gone``, at one stroke."""
        path = self._folder / subject
        if state == "gone":
            path.unlink(missing_ok=True)
        else:
            whole = path.with_name(f"{subject}.new")
            whole.write_text(state)
            whole.rename(path)


@dataclass(frozen=True)
class Node:
    """An issuer and its application."""

    auth: Any
    users: Users


def issuer(kind: type[Daypass] | type[AsyncDaypass], store: Store | AsyncStore, users: Users, listener: Any) -> Node:
    """Return a node over ``store``."""
    policy = {name: f"{getattr(POLICY, name)}ms" for name in ("access_ttl", "idle_ttl", "absolute_ttl", "grace_period")}
    auth = kind(
        store,  # type: ignore[arg-type]  # the caller gives a store of the same kind, sync or async
        issuer="https://issuer.example",
        secret=SECRET,
        algorithm="HS256",
        load_user=users.load,
        on_event=listener,
        dpop=DPoP(replay_cache="store"),
        clock=NOW.get,
        **policy,  # type: ignore[arg-type]  # mypy takes them for any of the arguments
    )
    return Node(auth, users)


# ---- calls


@dataclass(frozen=True)
class Call:
    """Something that is asked of the issuer of a node, at a time by its clock."""

    at: int
    node: int

    def ask(self, node: Node) -> Any:
        """Return the answer, or the awaitable of it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Start(Call):
    subject: str

    def ask(self, node: Node) -> Any:
        return node.auth.start(User(self.subject))


@dataclass(frozen=True)
class Refresh(Call):
    token: str

    def ask(self, node: Node) -> Any:
        return node.auth.refresh(self.token)


@dataclass(frozen=True)
class Logout(Call):
    token: str

    def ask(self, node: Node) -> Any:
        return node.auth.logout(self.token)


@dataclass(frozen=True)
class EndSession(Call):
    subject: str
    session_id: str

    def ask(self, node: Node) -> Any:
        return node.auth.end_session(self.subject, self.session_id)


@dataclass(frozen=True)
class EndAll(Call):
    subject: str
    keep: str | None = None

    def ask(self, node: Node) -> Any:
        return node.auth.end_all(self.subject, keep=self.keep)


@dataclass(frozen=True)
class SetUser(Call):
    subject: str
    state: str

    def ask(self, node: Node) -> Any:
        node.users.set(self.subject, self.state)


@dataclass(frozen=True)
class RollBack(Call):
    """The database loses its last writes: it goes back from ``old`` to ``new``, if ``old`` is what it has."""

    old: Session
    new: Session

    def ask(self, node: Node) -> Any:
        return node.auth.run(_asking(Swap(self.old, self.new)))


@dataclass(frozen=True)
class Look(Call):
    session_id: str

    def ask(self, node: Node) -> Any:
        return node.auth.run(_asking(Find(self.session_id)))


@dataclass(frozen=True)
class ListSessions(Call):
    subject: str

    def ask(self, node: Node) -> Any:
        return node.auth.sessions(self.subject)


@dataclass(frozen=True)
class Verify(Call):
    access_token: str

    def ask(self, node: Node) -> Any:
        return node.auth.verify(self.access_token)


@dataclass(frozen=True)
class Prove(Call):
    """A request with a DPoP proof."""

    proof: str
    url: str

    def ask(self, node: Node) -> Any:
        return node.auth.run(node.auth.dpop.accept(self.proof, "POST", self.url, self.at))


def _asking(step: StoreStep[Any]) -> Flow[Any]:
    return (yield from step)


# ---- what comes of them


@dataclass(frozen=True)
class Given:
    """What a call was given: the tokens, whether they replace the client's, and the session as it was then."""

    refresh_token: str
    replaces: bool
    session: Session
    access_token: str = field(default="", compare=False)


@dataclass(frozen=True)
class Outcome:
    """The answer of a call, or the kind of its error; and the events that were emitted meanwhile.

    Attributes:
        answer: of the call, or the kind of the error.
        told: the events.
        error: everything that the error shows.
    """

    answer: Any
    told: tuple[Event, ...] = ()
    error: str = field(default="", compare=False)

    @property
    def codes(self) -> list[str]:
        """The events' codes."""
        return [str(event.code) for event in self.told]


def answered(call: Call, answer: object, told: list[Event]) -> Outcome:
    """Return the outcome of a call."""
    error = ""
    if isinstance(answer, DaypassError):
        error = "".join(traceback.format_exception(answer)) + repr(vars(answer)) + repr(answer)
        answer = type(answer)
    elif isinstance(answer, Tokens):
        answer = Given(answer.refresh_token, answer.replaces, answer.session, answer.access_token)
    elif isinstance(call, Prove):
        answer = "accepted"
    elif isinstance(call, Verify):
        answer = getattr(answer, "session_id", None)
    if isinstance(call, EndAll):  # a store ends them in no particular order
        told = sorted(told, key=lambda event: str(event.session_id))
    told = [event for event in told if event.code is not EventCode.SUSPECTED]  # of many presenters, for a good reason
    return Outcome(answer, tuple(told), error)
