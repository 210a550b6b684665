"""The scenarios that a client must pass, each a function that returns its result.

Each has a promise: the expected result. `daypass.testing.client_contract` runs them as tests, and
`daypass.testing.client_table` makes the table of docs/clients.md from them.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daypass.dpop import DPoP
from daypass.errors import StepUpRequired
from daypass.testing.client_subject import KINDS, Kind, Subject, outcome
from daypass.testing.loopback import serving
from daypass.testing.strict_server import StrictServer

CALLERS = 100
CONTENT = bytes(range(256)) * 1_024
TOO_LONG = CONTENT * 16
"""4 MiB: more than a client keeps of a stream."""

GRACE = 30.0
LIFETIME = 0.5
"""Lifetime of an access token in seconds, in scenarios that wait until it expires."""


@dataclass
class Stage:
    """The environment of one scenario: its own server, and a kind of client.

    Attributes:
        server: the server; its rules may be changed.
        url: the URL of the server.
        subject: the client's class.
        folder: for files.
        processes: how many processes share one file.
        rounds: how often each of them gets an expired token.
        slow: seconds that a slow refresh takes.
    """

    server: StrictServer
    url: str
    subject: type[Subject]
    folder: Path
    processes: int = 8
    rounds: int = 50
    slow: float = 6.0

    @contextmanager
    def user(self, *, kept: bool = False, logged_in: bool = True, bound: bool = False) -> Iterator[Subject]:
        """Open a logged-in client; ``kept``: with its session in a file; ``bound``: to a key, by DPoP."""
        make = self.subject.bound if bound else self.subject
        subject = make(self.url, self.file if kept else None)
        try:
            if logged_in:
                subject.login()
            yield subject
        finally:
            subject.close()

    @property
    def file(self) -> Path:
        """The file of the session."""
        return self.folder / "session.json"

    def refreshes(self) -> str:
        """Return how many refreshes there were, and what was wrong with them."""
        wrong = [name for name in ("reused", "revoked", "unknown") if self.server.counts[name]]
        return (
            f"{_count(self.server.counts['refreshes'], 'refresh', 'refreshes')}{''.join(f', {each}' for each in wrong)}"
        )


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: for the table.
        promise: the expected result.
        play: runs it and returns its result.
        concerns: whether it applies to this kind of client.
    """

    name: str
    promise: str
    play: Callable[[Stage], str]
    concerns: Callable[[type[Subject]], bool]


SCENARIOS: list[Scenario] = []
"""Every scenario, in the order of the table."""


def _scenario(
    name: str, promise: str, concerns: Callable[[type[Subject]], bool] = lambda _: True
) -> Callable[[Callable[[Stage], str]], Callable[[Stage], str]]:
    def registered(play: Callable[[Stage], str]) -> Callable[[Stage], str]:
        SCENARIOS.append(Scenario(name, promise, play, concerns))
        return play

    return registered


@contextmanager
def stage(
    subject: type[Subject], folder: Path, processes: int = 8, rounds: int = 50, slow: float = 6.0
) -> Iterator[Stage]:
    """Open a server for one scenario."""
    server = StrictServer()
    with serving(server, wait=False) as url:
        yield Stage(server, url, subject, folder, processes, rounds, slow)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _answered(results: list[Any]) -> str:
    failures = sorted({type(each).__name__ if isinstance(each, Exception) else str(each) for each in results} - {"200"})
    return f"{results.count(200)} of {len(results)} answered{''.join(f', {each}' for each in failures)}"


def _after(seconds: float, call: Callable[[], Any]) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


@_scenario("100 callers at expiry", "100 of 100 answered, 1 refresh")
def at_expiry(stage: Stage) -> str:
    """A hundred requests at once have an expired token."""
    stage.server.expires_in = LIFETIME
    with stage.user() as user:
        stage.server.expires_in, stage.server.latency = 900, 0.05
        time.sleep(LIFETIME + 0.1)
        return f"{_answered(user.burst(CALLERS))}, {stage.refreshes()}"


@_scenario("100 callers at an early revocation", "100 of 100 answered, 1 refresh")
def at_revocation(stage: Stage) -> str:
    """A hundred requests at once send a token that was revoked before it expired."""
    with stage.user() as user:
        stage.server.latency = 0.05
        stage.server.revoke_access()
        return f"{_answered(user.burst(CALLERS))}, {stage.refreshes()}"


@_scenario("server's clock an hour ahead, or behind", "2 of 2 answered, 0 refreshes")
def skewed(stage: Stage) -> str:
    """The tokens say how long they live, by a clock that differs from the client's."""
    stage.server.jwt, stage.server.says_lifetime = True, False
    results: list[Any] = []
    for skew in (3_600, -3_600):
        stage.server.skew = skew
        with stage.user() as user:
            results.append(user.request("GET", "/me"))
    return f"{_answered(results)}, {stage.refreshes()}"


@_scenario("lost answer, Daypass's rule", "1 of 1 answered, 2 refreshes")
def lost_answer(stage: Stage) -> str:
    """The response to a refresh is lost after the server has processed it; the server repeats it."""
    stage.server.grace = GRACE
    with stage.user() as user:
        stage.server.lose = 1
        stage.server.revoke_access()
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"


@_scenario(
    "lost answer, strict server", "1 refresh, told to try later; then that the session is over; then nothing is sent"
)
def lost_answer_strict(stage: Stage) -> str:
    """A strict server treats a retry as theft: the client retries only when a later request needs a token."""
    with stage.user() as user:
        stage.server.lose = 1
        stage.server.revoke_access()
        first, refreshes = user.burst(1)[0], stage.refreshes()
        time.sleep(0.3)
        second = user.burst(1)[0]
        seen = sum(stage.server.counts.values())
        third = user.burst(1)[0]
        later = "told to try later" if isinstance(first, user.unavailable) else repr(first)
        told = all(isinstance(each, user.session_over) for each in (second, third))
        silent = sum(stage.server.counts.values()) == seen
        over = "that the session is over" if told else f"{second!r}"
        return f"{refreshes}, {later}; then {over}; then {'nothing' if silent else 'more'} is sent"


@_scenario("slow strict server: a refresh takes 6 s", "1 of 1 answered, 1 refresh")
def slow_strict(stage: Stage) -> str:
    """A strict server gets the token once, and the whole deadline to respond."""
    with stage.user() as user:
        stage.server.latency = stage.slow
        stage.server.revoke_access()
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"


def _other_login(stage: Stage, *, kept: bool) -> str:
    """Refuse a POST, and have another user log in before its refresh ends."""
    with stage.user(kept=kept) as user, stage.user(kept=kept, logged_in=False) as other:
        gate = stage.server.gate = threading.Event()
        stage.server.revoke_access()
        results: list[Any] = []
        post = lambda: results.append(outcome(lambda: user.request("POST", "/upload", "bytes", CONTENT)))  # noqa: E731
        waiting = threading.Thread(target=post)
        waiting.start()
        stage.server.refreshing.wait(10)
        (other if kept else user).login()
        gate.set()
        waiting.join()
        told = "told that the session is over" if isinstance(results[0], user.session_over) else repr(results[0])
        after = user.request("GET", "/me")
        return f"{told}, {_count(len(stage.server.uploads), 'upload', 'uploads')}; then {_answered([after])}"


@_scenario("another user logs in during a POST", "told that the session is over, 1 upload; then 1 of 1 answered")
def another_user(stage: Stage) -> str:
    """A request that began as one user is not sent as another."""
    return _other_login(stage, kept=False)


@_scenario("another user logs in after a POST was sent again", "told that the session is over, 2 requests, 1 refresh")
def another_user_late(stage: Stage) -> str:
    """After a second 401 the other user's login counts too."""
    with stage.user() as user:
        gate = stage.server.never_gate = threading.Event()
        results: list[Any] = []
        post = lambda: results.append(outcome(lambda: user.request("POST", "/never", "bytes", CONTENT)))  # noqa: E731
        waiting = threading.Thread(target=post)
        waiting.start()
        deadline = time.monotonic() + 10
        while stage.server.counts["never"] < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        user.login()
        gate.set()
        waiting.join()
        told = "told that the session is over" if isinstance(results[0], user.session_over) else repr(results[0])
        return f"{told}, {_count(stage.server.counts['never'], 'request', 'requests')}, {stage.refreshes()}"


@_scenario("another user logs in during a redirect", "the other user's token was not sent; then 1 of 1 answered")
def another_user_redirected(stage: Stage) -> str:
    """A redirected request is sent as the user who began it, or not at all."""
    with stage.user() as user:
        gate = stage.server.hop_gate = threading.Event()
        stage.server.location = "/upload"
        post = lambda: outcome(lambda: user.request("POST", "/hop-same", "bytes", CONTENT))  # noqa: E731
        waiting = threading.Thread(target=post)
        waiting.start()
        deadline = time.monotonic() + 10
        while not stage.server.counts["hops"] and time.monotonic() < deadline:
            time.sleep(0.005)
        user.login()
        gate.set()
        waiting.join()
        sent = "not sent" if len(set(stage.server.authorizations)) == 1 else "sent"
        return f"the other user's token was {sent}; then {_answered([user.request('GET', '/me')])}"


@_scenario(
    "another user logs in elsewhere, on one file",
    "told that the session is over, 1 upload; then 1 of 1 answered",
    lambda subject: subject.keeps,
)
def another_user_elsewhere(stage: Stage) -> str:
    """The same if the other user logged in in another process."""
    return _other_login(stage, kept=True)


@_scenario(
    "resume from a stored token that was revoked", "100 of 100 answered, 1 refresh", lambda subject: subject.keeps
)
def resumed(stage: Stage) -> str:
    """The token in the file was revoked, although by its age it has not expired."""
    with stage.user(kept=True):
        pass
    stage.server.revoke_access()
    stage.server.latency = 0.05
    with stage.user(kept=True, logged_in=False) as user:
        return f"{_answered(user.burst(CALLERS))}, {stage.refreshes()}"


@_scenario("401 that asks for a stronger login", "StepUpRequired, 1 request, 0 refreshes")
def step_up(stage: Stage) -> str:
    """RFC 9470: a newer token would not help."""
    with stage.user() as user:
        try:
            told = str(user.request("POST", "/step-up", "bytes", b"order"))
        except StepUpRequired as error:
            told = type(error).__name__ if error.acr_values == ("mfa",) else repr(error.acr_values)
        requests = _count(stage.server.counts["step-ups"], "request", "requests")
        return f"{told}, {requests}, {stage.refreshes()}"


@_scenario("caller cancelled, or out of time", "1 of 1 answered, 1 refresh")
def cancelled(stage: Stage) -> str:
    """The caller who started the refresh gives up during it; the next caller gets its token."""
    with stage.user() as user:
        stage.server.latency = 0.3
        stage.server.revoke_access()
        user.leave("/me", 0.1)
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"


@_scenario("two clients, two threads or event loops", "100 of 100 answered, 1 refresh")
def two_clients(stage: Stage) -> str:
    """Two clients with one session, each with half of the callers."""
    with stage.user() as user:
        other = user.twin()
        stage.server.latency = 0.05
        stage.server.revoke_access()
        results: list[Any] = []
        halves = [threading.Thread(target=lambda each=each: results.extend(each.burst(50))) for each in (user, other)]
        for half in halves:
            half.start()
        for half in halves:
            half.join()
        other.close()
        return f"{_answered(results)}, {stage.refreshes()}"


def _processes_of(subject: type[Subject]) -> Any:
    """Return what starts processes that share nothing with this one; where possible, with the subject's modules."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, subject.__module__, *subject.modules])
    return context


def _work(subject: type[Subject], url: str, file: Path, rounds: int, gate: Any, results: Any) -> None:
    user = subject(url, file)
    seen: list[Any] = []
    for _ in range(rounds):
        gate.wait(60)
        try:
            seen.append(user.request("GET", "/me"))
        except Exception as error:
            seen.append(type(error).__name__)
        gate.wait(60)
    user.close()
    results.put(seen)


@_scenario("8 processes × 50 on one file", "400 of 400 answered, 50 refreshes", lambda subject: subject.keeps)
def processes(stage: Stage) -> str:
    """Processes share a session by its file, and all get each expired token: one of them refreshes."""
    context = _processes_of(stage.subject)
    gate, results = context.Barrier(stage.processes + 1), context.Queue()
    with stage.user(kept=True):
        arguments = (stage.subject, stage.url, stage.file, stage.rounds, gate, results)
        workers = [context.Process(target=_work, args=arguments, daemon=True) for _ in range(stage.processes)]
        for worker in workers:
            worker.start()
        for _ in range(stage.rounds):
            stage.server.revoke_access()
            gate.wait(60)
            gate.wait(60)
        seen = [each for _ in workers for each in results.get(timeout=60)]
        for worker in workers:
            worker.join(60)
    return f"{_answered(seen)}, {stage.refreshes()}"


@_scenario(
    "forked in the middle of a refresh",
    "2 of 2 answered, 1 refresh",
    lambda subject: subject.keeps and hasattr(os, "fork"),
)
def forked(stage: Stage) -> str:
    """After a fork, parent and child share one session in a file."""
    with stage.user(kept=True) as user:
        stage.server.latency = 0.3
        stage.server.revoke_access()
        results: list[Any] = []
        parent = threading.Thread(target=lambda: results.extend(user.burst(1)))
        parent.start()
        stage.server.refreshing.wait(10)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if user.twin().request("GET", "/me") == 200 else 1)
            finally:
                os._exit(2)
        parent.join()
        results.append(200 if os.waitpid(child, 0)[1] == 0 else "the child failed")
        return f"{_answered(results)}, {stage.refreshes()}"


def _body(kind: Kind) -> None:
    @_scenario(f"body: {kind}", "answered, 2 uploads alike and whole", lambda subject: kind in subject.kinds)
    def body(stage: Stage) -> str:
        with stage.user() as user:
            stage.server.revoke_access()
            status = user.request("POST", "/upload", kind, CONTENT)
            return f"{'answered' if status == 200 else status}, {_uploads(stage.server, kind, CONTENT)}"


def _uploads(server: StrictServer, kind: Kind, content: bytes) -> str:
    alike = len(set(server.uploads)) == 1
    exact = {"none": b"", "json": b"", "form": b"", "multipart": b""}.get(kind, content)
    whole = (hashlib.sha256(exact).hexdigest(), len(exact)) in server.uploads or kind in ("json", "form", "multipart")
    size = max((size for _, size in server.uploads), default=0)
    whole = whole and (kind != "multipart" or size > len(content)) and (kind not in ("json", "form") or size > 0)
    told = f"{'alike' if alike else 'unlike'} and {'whole' if whole else 'not whole'}"
    return f"{_count(len(server.uploads), 'upload', 'uploads')} {told}"


for _kind in KINDS:
    _body(_kind)


@_scenario("body: a stream refused before it was read", "answered, 1 upload alike and whole")
def refused_unread(stage: Stage) -> str:
    """A server that responds without reading the body gets all of it the second time."""
    with stage.user() as user:
        stage.server.revoke_access()
        status = user.request("POST", "/early", "stream", CONTENT)
        return f"{'answered' if status == 200 else status}, {_uploads(stage.server, 'stream', CONTENT)}"


@_scenario("body: a stream too long to keep", "401, 1 upload alike and whole; then answered, 1 refresh")
def too_long(stage: Stage) -> str:
    """The body is sent once; the caller gets the 401, and the client refreshes."""
    with stage.user() as user:
        stage.server.revoke_access()
        first = user.request("POST", "/upload", "stream", TOO_LONG)
        told = f"{first}, {_uploads(stage.server, 'stream', TOO_LONG)}"
        second = user.request("GET", "/me")
        return f"{told}; then {'answered' if second == 200 else second}, {stage.refreshes()}"


@_scenario("503 while the token is dead", "told so, the session is kept; then answered")
def outage(stage: Stage) -> str:
    """The token has expired and the server is down; when the server is back, the session goes on."""
    with stage.user() as user:
        stage.server.statuses = [503] * 9
        stage.server.revoke_access()
        first = user.burst(1)[0]
        stage.server.statuses = []
        time.sleep(0.2)
        second = user.burst(1)[0]
        told = "told so" if isinstance(first, user.unavailable) else repr(first)
        return f"{told}, the session is {'kept; then answered' if second == 200 else f'lost: {second!r}'}"


@_scenario("503 while the token is good", "1 of 1 answered")
def outage_ahead(stage: Stage) -> str:
    """A refresh before expiry fails, and the callers do not notice."""
    stage.server.expires_in = 3.0
    with stage.user() as user:
        stage.server.statuses = [503] * 9
        time.sleep(2.75)  # it is refreshed in the last tenth of its life at the latest
        told = _answered([user.request("GET", "/me")])
        time.sleep(LIFETIME)  # the refresh goes on after its caller, and would go on after its client
        return told


@_scenario("dead refresh token", "50 of 50 told that the session is over, 1 refresh, 0 dead tokens sent after")
def dead(stage: Stage) -> str:
    """All waiting callers get the error, and the rejected token is not sent again."""
    with stage.user() as user:
        stage.server.latency = 0.1
        stage.server.end_sessions()
        results = user.burst(50)
        told = sum(isinstance(each, user.session_over) for each in results)
        # A session that is known to have ended does not count as an unknown or revoked one.
        refreshes = _count(stage.server.counts["refreshes"], "refresh", "refreshes")
        before = len(stage.server.authorizations)
        user.burst(1)
        sent = len(stage.server.authorizations) - before
        return f"{told} of 50 told that the session is over, {refreshes}, {sent} dead tokens sent after"


@_scenario("provider that answers JSON only if asked to", "1 of 1 answered, 1 refresh")
def json_if_asked(stage: Stage) -> str:
    """GitHub: without ``Accept: application/json`` the response to a refresh is a form."""
    stage.server.prefers_form = True
    with stage.user() as user:
        stage.server.revoke_access()
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"


@_scenario("provider that rejects with status 200", "10 of 10 told that the session is over, 1 refresh")
def rejected_with_200(stage: Stage) -> str:
    """GitHub, Slack and Zoho: the status is 200, and the body says that the refresh token is invalid."""
    stage.server.rejects_with = 200
    with stage.user() as user:
        stage.server.end_sessions()
        results = user.burst(10)
        told = sum(isinstance(each, user.session_over) for each in results)
        return f"{told} of {len(results)} told that the session is over, {stage.refreshes().split(',')[0]}"


@_scenario("redirect after a POST", "answered, the POST done once, 1 refresh")
def redirected(stage: Stage) -> str:
    """The target of a POST's redirect refuses the token: only that is requested again, not the POST."""
    with stage.user() as user:
        stage.server.revoke_access()
        status = user.request("POST", "/hop", "bytes", b"order")
        done = {1: "once"}.get(stage.server.counts["hops"], f"{stage.server.counts['hops']} times")
        return f"{'answered' if status == 200 else status}, the POST done {done}, {stage.refreshes()}"


@_scenario("redirect to another origin", "401 from there, no token there, 0 refreshes")
def redirected_away(stage: Stage) -> str:
    """The token is not sent to the other origin."""
    stranger = StrictServer()
    with serving(stranger) as url, stage.user() as user:
        stage.server.location = f"{url}/me"
        status = user.request("GET", "/hop")
        leaked = "no" if stranger.authorizations == [None] else "a"
        return f"{status} from there, {leaked} token there, {stage.refreshes()}"


@_scenario("logout during a refresh", "told that the session is over, and it stays over")
def logout_in_flight(stage: Stage) -> str:
    """The refresh ends after the logout: its token is dropped."""
    with stage.user() as user:
        gate = stage.server.gate = threading.Event()
        stage.server.revoke_access()
        results: list[Any] = []
        waiting = threading.Thread(target=lambda: results.extend(user.burst(5)))
        waiting.start()
        stage.server.refreshing.wait(10)
        user.logout()
        gate.set()
        waiting.join()
        results += user.burst(1)
        over = all(isinstance(each, user.session_over) for each in results)
        return "told that the session is over, and it stays over" if over else repr(results)


def _proves(subject: type[Subject]) -> bool:
    return subject.proves


@contextmanager
def _bound(stage: Stage, *, kept: bool = False) -> Iterator[Subject]:
    """Open a client whose session is bound to a key, at a server that wants a nonce in each proof."""
    stage.server.dpop = DPoP(require_nonce=True)
    with stage.user(kept=kept, bound=True) as user:
        yield user


@_scenario("bound by DPoP: 100 callers at an early revocation", "100 of 100 answered, 1 refresh", _proves)
def bound_burst(stage: Stage) -> str:
    """Each request has a proof of its own, the second time too: the server accepts each only once."""
    with _bound(stage) as user:
        stage.server.latency = 0.05
        stage.server.revoke_access()
        return f"{_answered(user.burst(CALLERS))}, {stage.refreshes()}"


@_scenario(
    "bound by DPoP: the server asks for another nonce", "answered, 2 uploads alike and whole, 0 refreshes", _proves
)
def bound_nonce(stage: Stage) -> str:
    """The request is sent again, whole, with a new proof; the token is good, so nothing is refreshed."""
    with _bound(stage) as user:
        stage.server.dpop = DPoP(require_nonce=True)
        status = user.request("POST", "/upload", "stream", CONTENT)
        told = f"{'answered' if status == 200 else status}, {_uploads(stage.server, 'stream', CONTENT)}"
        return f"{told}, {stage.refreshes()}"


@_scenario("bound by DPoP: lost answer, Daypass's rule", "1 of 1 answered, 2 refreshes", _proves)
def bound_lost_answer(stage: Stage) -> str:
    """The refresh is sent again with a new proof, because the server accepts the first one only once."""
    stage.server.grace = GRACE
    with _bound(stage) as user:
        stage.server.lose = 1
        stage.server.revoke_access()
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"


@_scenario(
    "bound by DPoP: resumed from a file",
    "1 of 1 answered, 1 refresh",
    lambda subject: subject.proves and subject.keeps,
)
def bound_resumed(stage: Stage) -> str:
    """The key is kept with the tokens: the session goes on in another process."""
    with _bound(stage, kept=True):
        pass
    stage.server.revoke_access()
    with stage.user(kept=True, logged_in=False, bound=True) as user:
        return f"{_answered([user.request('GET', '/me')])}, {stage.refreshes()}"
