"""The pure parts: what an answer means, when to refresh, and how a request goes, with no socket and no clock."""

import base64
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from daypass.client.first_party import (
    cookie_to_keep_back,
    is_rejection,
    judge_refresh,
    read_grant,
    refresh_cookie,
    session_message,
)
from daypass.client.flow import Plan, Refresh, Send, State, plan, request_flow, token_flow
from daypass.client.messages import Answer, Cookie, Grant, Message, Refreshed, Rejected, Stale, Unavailable
from daypass.client.parsing import jwt_lifetime, refreshing_can_help
from daypass.client.timing import Timing, backoff, pause_after, retry_pause, silence_after
from daypass.client.tokens import Tokens, refreshed, tokens_from
from daypass.errors import ConfigurationError, LoginRequired, RefreshUnavailable

TIMING = Timing()


def held(version: int = 1, lifetime: int | None = 900_000, now: int = 0) -> Tokens:
    return replace(tokens_from(Grant("access", lifetime, "refresh"), "login", now, 0.0, TIMING), version=version)


def after_refresh(version: int = 2, lifetime: int | None = 900_000, now: int = 0) -> Tokens:
    grant = Grant("access", lifetime, "refresh")
    return replace(refreshed(held(), grant, now, now, 0.0, TIMING), version=version)


def answer(status: int = 200, **body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def jwt(**claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("body", "lifetime"),
    [
        ({"accessToken": "a", "expiresIn": 5}, 5_000),
        ({"accessToken": "a", "expiresIn": 0.5}, 500),
        ({"accessToken": "a"}, None),
        ({"accessToken": "a", "expiresIn": True}, None),
        ({"accessToken": "a", "expiresIn": -3}, None),
        ({"accessToken": "a", "expiresIn": 10**400}, 315_360_000_000),
        ({"accessToken": jwt(iat=1_000, exp=1_060)}, 60_000),
        ({"accessToken": jwt(iat=1_000, exp=1_060), "expiresIn": 5}, 5_000),
        ({"accessToken": jwt(exp=1_060)}, None),
        ({"accessToken": jwt(iat="x", exp=[])}, None),
        ({"accessToken": "a.%%%.c"}, None),
        ({"accessToken": "a.ÿ.c".encode().hex()}, None),
    ],
)
def test_the_lifetime_is_what_the_answer_says_or_the_token(body: dict[str, Any], lifetime: int | None) -> None:
    """`expiresIn`, else the JWT's own `exp - iat`, else it is not known; nonsense is as good as nothing."""
    grant = read_grant(answer(**body))
    assert grant is not None
    assert lifetime == grant.lifetime


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b"\xff", b'{"accessToken": 1}', b'{"accessToken": "a\\r\\nb: c"}', b"[" * 9_999],
)
def test_a_body_that_makes_no_sense_grants_nothing(body: bytes) -> None:
    """Garbage with a 200 is an outage and no logout; a token that is no token cannot smuggle in a header."""
    assert read_grant(Answer(200, body)) is None
    assert isinstance(judge_refresh(Answer(200, body)), Unavailable)


GATEWAY = b"<html><center>nginx</center></html>"


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(400, error="invalid_grant"), Rejected),
        (answer(400, error="invalid_token"), Rejected),
        (answer(400, error="invalid_request"), Unavailable),
        (answer(400, error=["invalid_grant"]), Unavailable),
        (answer(400), Unavailable),
        (Answer(400), Unavailable),
        (Answer(400, GATEWAY), Unavailable),
        (answer(401, error="invalid_grant"), Rejected),
        (answer(401, message="no"), Rejected),
        (answer(401), Rejected),
        (Answer(401), Rejected),
        (Answer(401, b"\r\n"), Rejected),
        (Answer(401, b"{}", challenges=['Bearer realm="x"']), Rejected),
        (Answer(401, b"{}", challenges=['Basic realm="x"', "Bearer"]), Rejected),
        (Answer(401, b"{}", challenges=['Basic realm="x"']), Unavailable),
        (Answer(401, challenges=['Basic realm="a, Bearer b"']), Unavailable),
        (Answer(401, challenges=["Negotiate"]), Unavailable),
        (Answer(401, GATEWAY), Unavailable),
        (Answer(401, b"[]"), Unavailable),
        (Answer(401, b"Unauthorized"), Unavailable),
        (answer(403, error="invalid_grant"), Unavailable),
        (answer(409, error="x"), Stale),
    ]
    + [(answer(status, error="x"), Unavailable) for status in (302, 404, 408, 425, 429, 500, 502, 503, 504)],
)
def test_only_a_definite_rejection_is_one(given: Answer, outcome: type[Any]) -> None:
    """The issuer's own 400 or 401 ends the session, 409 says there is a newer token, and all else decides nothing."""
    assert outcome is type(judge_refresh(given))
    assert (outcome is Rejected) == is_rejection(given)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), (" 7 ", 7.0), ("999999", 300.0), ("-1", None), ("soon", None), ("²", None)]
)
def test_retry_after_is_read_in_seconds_and_bounded(text: str, seconds: float | None) -> None:
    """A server may ask for a pause of up to five minutes; a value that is not a number of seconds is ignored."""
    expected = Unavailable("the refresh was answered with 503", seconds, unused=True)
    assert expected == judge_refresh(Answer(503, retry_after=text))


@pytest.mark.parametrize(
    ("text", "date", "expected"),
    [
        ("Mon, 01 Jan 2024 00:01:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT", 60.0),
        ("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:01:00 GMT", 0.0),
        ("Mon, 01 Jan 2034 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT", 300.0),
        ("Mon, 01 Jan 2024 00:01:00 GMT", None, None),
        ("Mon, 01 Jan 2024 00:01:00 GMT", "today", None),
    ],
)
def test_retry_after_as_a_date_is_counted_from_the_answers_own(
    text: str, date: str | None, expected: float | None
) -> None:
    """From the server's `Date`, so this machine's clock plays no part; bounded; without one it says nothing."""
    answer = Answer(503, retry_after=text, date=date)
    assert Unavailable("the refresh was answered with 503", expected, unused=True) == judge_refresh(answer)


def test_a_jwts_expiry_is_counted_from_the_answers_date() -> None:
    """Where it says no `iat`; one that says both is counted from that."""
    date = "Thu, 01 Jan 1970 00:16:40 GMT"
    assert 60_000 == jwt_lifetime(jwt(exp=1_060), date)
    assert 50_000 == jwt_lifetime(jwt(exp=1_060, iat=1_010), date)
    assert jwt_lifetime(jwt(exp=900), date) is None


@pytest.mark.parametrize(
    ("headers", "cookie"),
    [
        (["daypass=v1; HttpOnly; Path=/", "lang=en"], Cookie("daypass", "v1")),
        (["__Host-daypass=v1; Secure; HttpOnly", "sid=x; HttpOnly"], Cookie("__Host-daypass", "v1")),
        (["refresh=v1; httponly"], Cookie("refresh", "v1")),
        (["a=1; HttpOnly", "b=2; HttpOnly"], None),
        (["lang=en"], None),
        (["daypass=; Max-Age=0"], None),
        (["daypass=v1; Max-Age=0; HttpOnly"], None),
        ([], None),
    ],
)
def test_the_refresh_cookie_is_found_among_others(headers: list[str], cookie: Cookie | None) -> None:
    """By its name, or as the only ``HttpOnly`` one; a cookie that is being deleted does not count."""
    assert cookie == refresh_cookie(headers)


def test_a_named_cookie_is_the_one() -> None:
    """Where the user names the cookie, no other is taken for it."""
    assert Cookie("b", "2") == refresh_cookie(["a=1; HttpOnly", "b=2"], "b")
    assert refresh_cookie(["daypass=1; HttpOnly"], "b") is None


LOGIN = Message("login", {"password": "x"})
REFRESH_BY_COOKIE = session_message("refresh", None, Cookie("sid", "1"))


@pytest.mark.parametrize(
    ("message", "given", "name", "expected"),
    [
        (LOGIN, answer(accessToken="a"), None, "proxy"),
        (LOGIN, answer(accessToken="a"), "sid", None),
        (LOGIN, answer(accessToken="a", refreshToken="r"), None, None),
        (LOGIN, answer(503), None, None),
        (session_message("refresh", "r", None), answer(accessToken="a"), None, None),
        (REFRESH_BY_COOKIE, answer(accessToken="a"), None, None),
        (REFRESH_BY_COOKIE, answer(503), "sid", None),
    ],
)
def test_a_proxys_cookie_stays_in_the_users_jar(
    message: Message, given: Answer, name: str | None, expected: str | None
) -> None:
    """Only the refresh cookie is kept out of it; a guess at which that is takes a login that brought nothing else."""
    beside = Answer(given.status, given.body, set_cookies=["proxy=1; HttpOnly"])
    kept_back = cookie_to_keep_back(message, beside, name)
    assert expected == (kept_back and kept_back.name)


def test_the_refresh_cookie_is_kept_back_by_its_name() -> None:
    """Once it is held, a new one of that name is recognised among others, whatever the status."""
    both = Answer(401, set_cookies=["sid=2; HttpOnly", "proxy=1; HttpOnly"])
    assert Cookie("sid", "2") == cookie_to_keep_back(REFRESH_BY_COOKIE, both, None)


@pytest.mark.parametrize(
    ("challenges", "helps"),
    [
        ([], True),
        (["Bearer"], True),
        (['Bearer realm="x", error="invalid_token"'], True),
        (["bearer"], True),
        (['Basic realm="x"'], False),
        (['Basic realm="x, Bearer y"'], False),
        (['Basic realm="x", Bearer realm="y"'], True),
        (['Basic realm="x"', "Bearer"], True),
        (["Negotiate"], False),
        (['Bearer error="insufficient_scope", scope="a"'], False),
        (["Bearer error=insufficient_scope"], False),
        (['Bearer error="insufficient_user_authentication", acr_values="mfa"'], False),
        (["Bearer error = invalid_token"], True),
    ],
)
def test_a_challenge_says_whether_refreshing_can_help(challenges: list[str], helps: bool) -> None:  # noqa: FBT001
    """It cannot for other schemes, a scope that is too narrow, or a login that is too old or weak (RFC 9470)."""
    assert helps == refreshing_can_help(challenges)


@pytest.mark.parametrize(
    ("now", "repeatable", "expected"),
    [
        (0, True, Plan.USE),
        (0, False, Plan.USE),
        (719_999, False, Plan.USE),
        (720_000, True, Plan.USE_AND_REFRESH),
        (720_000, False, Plan.REFRESH_FIRST),
        (899_999, True, Plan.USE_AND_REFRESH),
        (900_000, True, Plan.REFRESH_FIRST),
        (10**12, False, Plan.REFRESH_FIRST),
    ],
)
def test_the_plan_is_the_table_of_the_module(now: int, repeatable: bool, expected: Plan) -> None:  # noqa: FBT001
    """Young, close to expiry, expired; and what cannot be sent again waits for a new token earlier."""
    assert expected is plan(held(), now, repeatable=repeatable)


def test_a_token_of_unknown_lifetime_never_expires_by_the_clock() -> None:
    """It is used until it is refused."""
    assert Plan.USE is plan(held(lifetime=None), 10**12, repeatable=False)


@pytest.mark.parametrize("ahead", [-0.1, 1, 20])
def test_ahead_is_a_share_of_the_lifetime(ahead: float) -> None:
    """Of 1 or more each token would be refreshed at once, forever."""
    with pytest.raises(ConfigurationError, match=f"from 0 to below 1, not {ahead}"):
        Timing(ahead=ahead)


def test_jitter_spreads_the_refreshes_ahead_of_expiry() -> None:
    """Between four fifths and nine tenths of the lifetime, so that many clients do not come at once."""
    times = [tokens_from(Grant("a", 1_000), "login", 0, jitter, TIMING).ahead_at for jitter in (0.0, 0.5, 1.0)]
    assert times == [800, 850, 900]


def test_a_refresh_that_brings_no_refresh_token_keeps_the_old_one() -> None:
    """RFC 6749 §6: the server may leave it out, and then the one there is stays good."""
    first = held()
    second = refreshed(first, Grant("next"), 10, 10, 0.0, TIMING)
    assert (second.refresh_token, second.cookie) == ("refresh", None)


def test_a_cookie_does_not_replace_a_token_from_a_body() -> None:
    """A cookie in an answer without a refresh token is a proxy's: the current token is kept until another comes."""
    first = held()
    second = refreshed(first, Grant("next", cookie=Cookie("__cf_bm", "edge")), 10, 10, 0.0, TIMING)
    third = refreshed(second, Grant("last", None, "newer", Cookie("__cf_bm", "edge")), 20, 20, 0.0, TIMING)
    assert ("refresh", None) == (second.refresh_token, second.cookie)
    assert ("newer", None) == (third.refresh_token, third.cookie)


def test_a_cookie_is_kept_until_the_next_one() -> None:
    """A session with a cookie keeps it if a response has no new one, and uses the token if a response has one."""
    first = tokens_from(Grant("access", cookie=Cookie("sid", "1")), "login", 0, 0.0, TIMING)
    second = refreshed(first, Grant("next"), 10, 10, 0.0, TIMING)
    third = refreshed(second, Grant("next", cookie=Cookie("sid", "2")), 20, 20, 0.0, TIMING)
    fourth = refreshed(third, Grant("next", None, "token"), 30, 30, 0.0, TIMING)
    assert [Cookie("sid", "1"), Cookie("sid", "2"), None] == [each.cookie for each in (second, third, fourth)]
    assert "token" == fourth.refresh_token


def test_a_newer_token_is_adopted_without_a_refresh() -> None:
    """A 401 for a token that has been replaced since: the request goes again with the newer one, at once."""
    flow = request_flow(State(held(1), 5_000), TIMING)
    assert Send(held(1)) == next(flow)
    assert Send(held(2)) == flow.send(State(held(2), 6_000))
    with pytest.raises(StopIteration):
        flow.send(State(held(3), 7_000))


def test_a_newer_token_that_has_expired_too_is_refreshed_first() -> None:
    """Adopted from a sibling, it may be old: then it is refreshed, and not sent dead."""
    old = held(2, now=-900_000)
    flow = request_flow(State(held(1), 5_000), TIMING)
    next(flow)
    assert Refresh(2) == flow.send(State(old, 6_000))
    assert Send(held(3)) == flow.send(State(held(3), 6_100))


def test_token_that_a_refresh_just_brought_is_not_refreshed() -> None:
    """Its 401 goes to the caller; for a token that lives five seconds, "just" is half a second."""
    flow = request_flow(State(after_refresh(), 999), TIMING)
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(State(after_refresh(), 999))
    short = after_refresh(lifetime=5_000)
    flow = request_flow(State(short, 500), TIMING)
    next(flow)
    assert Refresh(2) == flow.send(State(short, 500))


def test_token_that_no_refresh_brought_is_worth_one_refresh() -> None:
    """One from a login, from `start` or out of a storage may be old: its 401 is not the caller's yet."""
    flow = request_flow(State(held(), 1), TIMING)
    next(flow)
    assert Refresh(1) == flow.send(State(held(), 1))


def test_token_that_expired_on_its_way_is_refreshed_after_its_401() -> None:
    """Age counts from sending: an answer 4 s late brings a 3 s token that is old, not fresh."""
    late = refreshed(held(), Grant("late", 3_000, "r"), 1_000, 5_000, 0.0, TIMING)
    assert (4_000, True) == (late.expires_at, late.expired(5_000))
    flow = request_flow(State(held(), 900_000), TIMING)
    assert Refresh(1) == next(flow)
    late = replace(late, version=2)
    assert Send(late) == flow.send(State(late, 5_000))
    assert Refresh(2) == flow.send(State(late, 5_001))


def test_request_is_never_sent_as_another_user() -> None:
    """After another login there is no replay, no refresh for the old request and no first sending: LoginRequired."""
    other = replace(held(2), login_id="another")
    flow = request_flow(State(held(1), 5_000), TIMING)
    next(flow)
    with pytest.raises(LoginRequired, match="another login"):
        flow.send(State(other, 6_000))
    flow = request_flow(State(held(1), 5_000), TIMING)
    next(flow)
    flow.send(State(held(1), 6_000))
    with pytest.raises(LoginRequired, match="another login"):
        flow.send(State(other, 6_100))
    flow = request_flow(State(held(1), 900_000), TIMING)
    assert Refresh(1) == next(flow)
    with pytest.raises(LoginRequired, match="another login"):
        flow.send(State(other, 900_100))


def test_second_401_after_another_login_is_login_required() -> None:
    """The request was sent again in time, and refused again: its caller learns why, and does not get a bare 401."""
    for now, error in ((replace(held(3), login_id="another"), "another login"), (None, "ended")):
        flow = request_flow(State(held(1), 5_000), TIMING)
        next(flow)
        flow.send(State(held(1), 6_000))
        assert Send(held(2)) == flow.send(State(held(2), 6_100))
        with pytest.raises(LoginRequired, match=error):
            flow.send(State(now, 6_200, ended="by its owner"))


def test_token_flow_returns_a_token_that_is_good_for_long_enough() -> None:
    """A token that lives shorter is refreshed first, one that a refresh just brought is the best there is."""
    assert held() == ended(token_flow(State(held(), 0), 600_000, TIMING))
    flow = token_flow(State(held(), 0), 900_000, TIMING)
    assert Refresh(1) == next(flow)
    assert after_refresh() == ended(flow, State(after_refresh(), 10))
    assert after_refresh() == ended(token_flow(State(after_refresh(), 0), 900_000, TIMING))
    flow = token_flow(State(held(), 0), 900_000, TIMING)
    next(flow)
    with pytest.raises(RefreshUnavailable):
        flow.send(State(held(), 10, outcome=Unavailable("down")))


def ended(flow: Any, reply: Any = None) -> Any:
    """Return what a flow returns."""
    with pytest.raises(StopIteration) as end:
        flow.send(reply)
    return end.value.value


def test_a_body_that_cannot_be_sent_again_gets_a_refresh_and_the_401() -> None:
    """The flow ends after the refresh, whatever came of it short of the end of the session."""
    for after in (State(held(2), 6_100), State(held(1), 6_100, outcome=Unavailable("down"))):
        flow = request_flow(State(held(1), 5_000, repeatable=False), TIMING)
        next(flow)
        assert Refresh(1) == flow.send(State(held(1), 6_000, repeatable=False))
        with pytest.raises(StopIteration):
            flow.send(after)


def test_a_refusal_that_no_refresh_helps_is_raised() -> None:
    """If the session has ended: LoginRequired. If the token is refused and there is no other: RefreshUnavailable."""
    for after, error in (
        (State(None, 6_100, outcome=Rejected("no")), LoginRequired),
        (State(held(1), 6_100, outcome=Unavailable("down", 3.0)), RefreshUnavailable),
        (State(held(1), 6_100, outcome=Stale()), RefreshUnavailable),
    ):
        flow = request_flow(State(held(1), 5_000), TIMING)
        next(flow)
        flow.send(State(held(1), 6_000))
        with pytest.raises(error):
            flow.send(after)


SAFE, STRICT = 10_000, 0


def test_refresh_is_sent_again_within_its_deadline_to_a_server_that_repeats_safely() -> None:
    """Lost answers are requested again, a limited number of times; decided ones are not."""
    lost = Unavailable("lost")
    assert 100 == retry_pause(lost, 1, 1, 10_000, SAFE, 0.0, TIMING)
    assert 400 == retry_pause(lost, 2, 2, 10_000, SAFE, 1.0, TIMING)
    assert retry_pause(lost, 3, 3, 10_000, SAFE, 0.0, TIMING) is None
    assert retry_pause(lost, 1, 1, 90, SAFE, 0.0, TIMING) is None
    assert 2_000 == retry_pause(Unavailable("busy", 2.0), 1, 1, 10_000, SAFE, 0.0, TIMING)
    assert retry_pause(Unavailable("busy", 60.0), 1, 1, 10_000, SAFE, 0.0, TIMING) is None
    assert retry_pause(Stale(), 1, 1, 10_000, SAFE, 0.0, TIMING) is None
    assert retry_pause(Rejected("no"), 1, 1, 10_000, SAFE, 0.0, TIMING) is None


def test_strict_server_is_asked_again_only_if_the_token_had_no_effect() -> None:
    """A lost answer may have used up the token; a refused connection, a 429 and a 503 have not."""
    assert retry_pause(Unavailable("lost"), 1, 1, 10_000, STRICT, 0.0, TIMING) is None
    assert 100 == retry_pause(Unavailable("refused", unused=True), 1, 1, 10_000, STRICT, 0.0, TIMING)
    assert {True} == {judge_refresh(answer(status)).unused for status in (429, 503)}  # type: ignore[union-attr]  # each is unavailable
    assert {False} == {judge_refresh(answer(status)).unused for status in (500, 502, 504)}  # type: ignore[union-attr]  # the same


@pytest.mark.parametrize(
    ("header", "deadline"), [("30", 10_000), ("10", 10_000), ("9", 30_000), ("x", 30_000), (None, 30_000)]
)
def test_server_that_says_its_grace_period_gets_the_short_deadline(header: str | None, deadline: int) -> None:
    """`Daypass-Grace` at least as long as the deadline: quick retries. Without it, one attempt may take 30 s."""
    grant = read_grant(Answer(200, b'{"accessToken": "a"}', grace=header))
    assert grant is not None
    assert deadline == TIMING.deadline_for(grant.grace)
    assert deadline + 1_000 == TIMING.turn_for(grant.grace)
    lease = TIMING.lease_for(grant.grace)
    assert (True, True) == (deadline < lease, lease + silence_after(lease) < TIMING.turn_for(grant.grace, leased=True))
    assert {5} == {Timing(turn=5).turn_for(grant.grace, leased=leased) for leased in (False, True)}


def test_pause_after_failures_grows_up_to_a_bound() -> None:
    """One schedule for all attempts, whatever the jitter; a longer pause that the server asks for is respected."""
    lost = Unavailable("lost")
    assert [200, 400, 800, 30_000] == [pause_after(lost, n, 1.0, TIMING) for n in (1, 2, 3, 99)]
    for n in range(1, 12):
        assert pause_after(lost, n, 1.0, TIMING) <= pause_after(lost, n + 1, 0.0, TIMING) or n >= 8
    assert [1_000, 1_000, 1_600, 30_000] == [backoff(lost, n, 1.0, TIMING) for n in (1, 3, 4, 99)]
    assert 60_000 == backoff(Unavailable("busy", 60.0), 1, 1.0, TIMING)


def test_no_repr_shows_a_secret() -> None:
    """Whatever is printed in a log or a traceback holds no token and no cookie."""
    grant = Grant("SECRET", 1, "SECRET", Cookie("daypass", "SECRET"))
    things = [
        grant,
        Refreshed(grant),
        tokens_from(grant, "login", 0, 0.0, TIMING),
        Send(tokens_from(grant, "login", 0, 0.0, TIMING)),
        Answer(200, b"SECRET", None, ["SECRET"]),
        session_message("refresh", "SECRET", Cookie("daypass", "SECRET")),
    ]
    assert "SECRET" not in repr(things)


def test_the_pure_parts_load_no_http_library() -> None:
    """`daypass.client.flow` and the session can be used with any library, or none."""
    code = "import sys, daypass.client.flow, daypass.client.session; print([m for m in sys.modules if 'http' in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_without_a_library_the_error_says_what_to_install() -> None:
    """Neither httpx2 nor httpx is there: one plain error, with the command."""
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('httpx2', 'httpx'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from daypass.errors import ConfigurationError\n"
        "try:\n"
        "    import daypass.client.httpx\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "daypass[httpx]"' in shown.stdout


@pytest.mark.parametrize("missing", ["httpx2", "httpx"])
def test_one_library_is_enough(missing: str) -> None:
    """With only one of the two installed, the other is not needed."""
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from daypass.client.httpx import DaypassAuth\n"
        "print(DaypassAuth('https://a.example/auth'))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "<DaypassAuth https://a.example/auth logged out>"


def test_lease_is_longer_than_a_refresh() -> None:
    """The next holder of the turn sends the same token, so the refresh of the turn before must have ended."""
    with pytest.raises(ConfigurationError, match="invalid lease 30000: a refresh may take 30000 milliseconds"):
        Timing(lease=30_000)
    assert 6_000 == Timing(deadline=5_000, strict_deadline=5_000, lease=6_000).lease_for(0)
