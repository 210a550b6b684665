"""What becomes of one request, response by response, without a socket; the same for sync and async clients."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx2
import pytest

from daypass.client.events import ClientEvent
from daypass.client.httpx import DaypassAuth
from daypass.client.parsing import jwt_claims
from daypass.client.timing import Timing
from daypass.errors import StepUpRequired

EXPIRED = 'Bearer error="invalid_token"'
NONCE = 'DPoP error="use_dpop_nonce"'
STEP_UP = 'Bearer error="insufficient_user_authentication", max_age="60", acr_values="high higher"'
URL = "https://app.example/orders"


class Script:
    """An issuer, and an application that gives one status, with its challenge or `Location`, after another."""

    def __init__(self, *answers: tuple[int, str], expires_in: int = 900) -> None:
        self.answers, self.expires_in = list(answers), expires_in
        self.tokens = 0
        self.requests: list[tuple[str | None, bytes]] = []
        self.nonces: list[str | None] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/auth/"):
            self.tokens += 1
            kind = "DPoP" if "dpop" in request.headers else "Bearer"
            token = {"accessToken": f"a{self.tokens}", "refreshToken": "r", "tokenType": kind}
            return httpx2.Response(200, json=token | {"expiresIn": self.expires_in})
        self.requests.append((request.headers.get("authorization"), request.content))
        self.nonces.append(jwt_claims(request.headers.get("dpop", "")).get("nonce"))
        status, text = self.answers.pop(0)
        name = "location" if status == 307 else "www-authenticate"
        nonce = {"dpop-nonce": f"n{len(self.nonces)}"} if text == NONCE else {}
        return httpx2.Response(status, headers=({name: text} if text else {}) | nonce)


Post = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def post(request: pytest.FixtureRequest) -> Post:
    """Give what logs in, sends one POST, and returns its response."""

    def send(script: Script, **options: Any) -> Any:
        later = count(step=100).__next__  # a token is not new any more when it is refused
        auth = DaypassAuth("https://app.example/auth", clock=later, timing=Timing(fresh=0), **options)
        transport = httpx2.MockTransport(script)
        if request.param == "sync":
            with httpx2.Client(transport=transport, follow_redirects=True) as client:
                auth.login(client, email="ada", password="right")
                return client.post(URL, content=b"order")

        async def scenario() -> Any:
            async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
                await auth.alogin(client, email="ada", password="right")
                return await client.post(URL, content=b"order")

        return asyncio.run(scenario())

    return send


FIRST, SECOND = ("Bearer a1", b"order"), ("Bearer a2", b"order")


def test_step_up_is_asked_for_at_once(post: Post) -> None:
    """No refresh can help: the request is not sent again, and the error says what the server wants."""
    script = Script((401, STEP_UP))
    with pytest.raises(StepUpRequired) as caught:
        post(script)

    assert (60, ("high", "higher")) == (caught.value.max_age, caught.value.acr_values)
    assert [FIRST] == script.requests
    assert 1 == script.tokens


def test_step_up_is_asked_for_after_a_refresh(post: Post) -> None:
    """The token had expired, and the login is too old as well."""
    script = Script((401, EXPIRED), (401, STEP_UP))
    with pytest.raises(StepUpRequired):
        post(script)

    assert [FIRST, SECOND] == script.requests


def test_request_that_succeeded_the_second_time_raises_nothing(post: Post) -> None:
    """Where a function has every 401 refreshed, what the first response asked for no longer matters."""
    script = Script((401, STEP_UP), (200, ""))

    assert 200 == post(script, should_refresh=lambda status, _: status == 401).status_code
    assert [FIRST, SECOND] == script.requests


@pytest.mark.parametrize("challenge", [STEP_UP, EXPIRED])
@pytest.mark.parametrize("status", [400, 403])
def test_only_a_401_refuses_the_token(post: Post, status: int, challenge: str) -> None:
    """Any other status is the caller's, whatever its challenge says."""
    script = Script((status, challenge))

    assert status == post(script).status_code
    assert [FIRST] == script.requests


def test_statuses_below_400_refuse_no_token(post: Post) -> None:
    """A function that says which responses do is not asked about them."""
    judged: list[int] = []

    def judge(status: int, _: Any) -> bool:
        judged.append(status)
        return True

    assert 399 == post(Script((400, ""), (399, "")), should_refresh=judge).status_code
    assert [400] == judged


def test_events_say_that_a_request_was_sent_again(post: Post) -> None:
    """The refusal, the refresh, and the second request; nothing more for a second refusal."""
    events: list[ClientEvent] = []
    script = Script((401, EXPIRED), (401, EXPIRED))

    assert 401 == post(script, on_event=events.append).status_code
    assert ["logged_in", "unauthorized", "refreshing", "refreshed", "replayed", "unauthorized"] == [
        event.kind for event in events
    ]


def test_expired_token_is_refreshed_before_the_request(post: Post) -> None:
    """The request is sent once, with the new token; a token that is young is used as it is."""
    script = Script((200, ""), expires_in=0.05)  # type: ignore[arg-type]  # less than one step of the clock
    assert 200 == post(script).status_code
    assert [SECOND] == script.requests

    young = Script((200, ""))
    assert 200 == post(young).status_code
    assert ([FIRST], 1) == (young.requests, young.tokens)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([(401, NONCE), (200, "")], 200),
        ([(401, NONCE), (401, NONCE)], 401),
        ([(400, NONCE)], 400),
        ([(403, NONCE)], 403),
    ],
    ids=["accepted", "refused again", "400", "403"],
)
def test_proof_without_a_nonce_is_made_once_more(post: Post, answers: list[tuple[int, str]], status: int) -> None:
    """With the nonce, the same token and no refresh; only after a 401, and only once."""
    script = Script(*answers)

    assert status == post(script, dpop=True).status_code
    assert [("DPoP a1", b"order")] * len(answers) == script.requests
    assert [None, "n1"][: len(answers)] == script.nonces
    assert 1 == script.tokens


def test_token_that_expired_behind_a_missing_nonce_is_refreshed(post: Post) -> None:
    """The second response counts like a first one."""
    script = Script((401, NONCE), (401, EXPIRED), (200, ""))

    assert 200 == post(script, dpop=True).status_code
    assert ["DPoP a1", "DPoP a1", "DPoP a2"] == [sent for sent, _ in script.requests]


def test_request_that_came_back_from_another_origin_is_not_proven(post: Post) -> None:
    """It no longer has the token, and does not get it again by a request for a nonce."""
    script = Script((307, "https://stranger.example/"), (307, URL), (401, NONCE))

    assert 401 == post(script, dpop=True).status_code
    assert ["DPoP a1", None, None] == [sent for sent, _ in script.requests]
