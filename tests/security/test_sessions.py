"""Sessions under attack: their secrets, their ends, and what a third party may do with them (ASVS 5.0 chapter 7)."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from daypass import Daypass, TokenMalformed, TokenRejected, User
from daypass.flow import Flow
from daypass.keys import KeyRing
from daypass.refresh_token import SECRET_SIZE, decode
from daypass.steps import Keys

from ..web.live import LOGIN
from ..web.world import ALICE, BOB, CHALLENGE, Asked, access_token, body_of, cookie_value, json_of

USER = User("user-1", "ada", "ada@example.com")
USED = [USER.subject.encode(), b"ada"]


def issuer(**arguments: object) -> Daypass:
    return Daypass(
        "memory:",
        issuer="https://issuer.example",
        secret=32 * "s",
        load_user=lambda _: USER,
        **arguments,  # type: ignore[arg-type]  # whatever a test wants to say
    )


def test_a_session_is_named_by_128_bits_of_the_systems_randomness() -> None:
    """Each login draws 16 bytes, and eight for its branch, from the operating system: no part of one is in another."""
    with issuer() as auth:
        ring = auth.run(_ring())
        tokens = [decode(str(auth.start(USER).refresh_token), ring.refresh_keys) for _ in range(2_000)]
    assert SECRET_SIZE * 8 == 128
    assert all(len(token.secret) == SECRET_SIZE for token in tokens)
    for part in ("secret", "branch", "parent", "session_id"):
        assert 2_000 == len({getattr(token, part) for token in tokens})
    ones = [sum(token.secret[index // 8] >> index % 8 & 1 for token in tokens) for index in range(128)]
    assert all(780 < count < 1_220 for count in ones)  # ten standard deviations: no bit is fixed


def test_nothing_of_a_user_is_in_a_refresh_token() -> None:
    """It is bytes that mean nothing outside the issuer: neither name, address nor subject can be read from it."""
    with issuer() as auth:
        ring = auth.run(_ring())
        token = decode(str(auth.start(USER).refresh_token), ring.refresh_keys)
        raw = token.secret + token.branch + token.parent
        assert [] == [word for word in USED if word in raw]


def test_a_login_makes_a_new_session_and_new_tokens_each_time() -> None:
    """A second login, with or without the old cookie, gets a new session, a new secret and new tokens."""
    asked = Asked()
    pairs = [asked.login(), asked.login(), asked.login(cookie=asked.login()[1])]
    assert 6 == len({*itertools.chain.from_iterable(pairs)})
    sessions = {json_of(asked.ask("GET", "/me", token=access))["sessionId"] for access, _ in pairs}
    assert 3 == len(sessions)


ENDINGS: dict[str, Callable[[Asked, str, str], object]] = {
    "logout": lambda asked, _, cookie: asked.ask("POST", "/logout", cookie=cookie),
    "one": lambda asked, access, _: asked.ask("DELETE", f"/sessions/{_current(asked, access)}", token=access),
    "all": lambda asked, access, _: asked.ask("DELETE", "/sessions", token=access),
    "operator": lambda asked, *_: asked.auth.end_all(ALICE.subject),
    "gone": lambda asked, _, cookie: (asked.people.pop(ALICE.subject), asked.ask("POST", "/refresh", cookie=cookie)),
    "idle": lambda asked, *_: asked.clock.advance(asked.auth.policy.idle_ttl),
    "reuse": lambda asked, _, cookie: _reuse(asked, cookie),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_what_has_ended_opens_nothing_at_any_door(ending: Callable[[Asked, str, str], object]) -> None:
    """However a session ends: its tokens, all that it ever had, open no endpoint, and no time brings them back."""
    asked = Asked()
    access, cookie = asked.login()
    answer = asked.ask("POST", "/refresh", cookie=cookie)
    everything = [(access, cookie), (access_token(answer), cookie_value(answer))]
    ending(asked, *everything[-1])
    asked.people[ALICE.subject] = ALICE
    for _ in range(2):
        for opened, refreshed in everything:
            assert not asked.lives(refreshed)
            for method, path in (("GET", "/me"), ("GET", "/sessions"), ("DELETE", "/sessions")):
                assert 401 == asked.ask(method, path, token=opened).status
        asked.end_grace()
    assert asked.lives(asked.login()[1])


def test_ending_one_session_touches_no_other() -> None:
    """The same user's other devices and other users' sessions are not affected."""
    asked = Asked()
    (access, _), (_, other), (_, bobs) = asked.login(), asked.login(), asked.login(BOB)
    asked.ask("DELETE", f"/sessions/{_current(asked, access)}", token=access)
    assert asked.lives(other)
    assert asked.lives(bobs)


def test_all_other_sessions_can_be_ended() -> None:
    """After a change of password an application ends all of a user's sessions but the one it was made in, or all."""
    asked = Asked()
    (access, kept), (_, other), (_, bobs) = asked.login(), asked.login(), asked.login(BOB)
    assert 1 == asked.auth.end_all(ALICE.subject, keep=_current(asked, access))
    assert [True, False, True] == [asked.lives(each) for each in (kept, other, bobs)]
    assert 1 == asked.auth.end_all(ALICE.subject)
    assert [False, True] == [asked.lives(each) for each in (kept, bobs)]


def test_another_clients_token_manages_no_sessions() -> None:
    """A third party's token works for its scope: it cannot list or end the user's sessions, and the answer says so."""
    asked = Asked()
    _, own = asked.login()
    third = asked.auth.start(ALICE, client_id="third-party", scope="read")
    refusal = body_of("insufficient_scope", "Another client's access token does not allow this")
    for method, path in (
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", f"/sessions/{third.session.id}"),
        ("DELETE", f"/sessions/{'0' * 32}"),
    ):
        answer = asked.ask(method, path, token=third.access_token)
        assert (403, refusal) == (answer.status, answer.body)
        assert ("www-authenticate", f'{CHALLENGE[1]}, error="insufficient_scope"') in answer.headers
        assert "set-cookie" not in dict(answer.headers)
    assert 200 == asked.ask("GET", "/me", token=third.access_token).status
    assert asked.lives(own)


def test_a_narrowed_token_of_our_own_manages_sessions() -> None:
    """A user whose session may do little, in our own client, ends the others; in another client the same token may not.

    Who hands a narrowed token on lets it be another client's.
    """
    asked = Asked()
    _, lost = asked.login()
    asked.people[ALICE.subject] = replace(ALICE, scope="read write")
    little = asked.auth.start(ALICE, scope="read")
    narrowed = asked.auth.refresh(asked.auth.start(asked.people[ALICE.subject]).refresh_token, scope="read")
    handed_on = asked.auth.start(ALICE, client_id="printer", scope="read")
    for tokens, status in ((handed_on, 403), (narrowed, 200), (little, 200)):
        assert "read" == asked.auth.verify(tokens.access_token).scope
        assert status == asked.ask("GET", "/sessions", token=tokens.access_token).status
    assert 403 == asked.ask("DELETE", "/sessions", token=handed_on.access_token).status
    assert asked.lives(lost)
    assert 204 == asked.ask("DELETE", f"/sessions/{narrowed.session.id}", token=little.access_token).status
    assert not asked.lives(narrowed.refresh_token)


def test_another_clients_refresh_token_is_refused() -> None:
    """The first-party endpoints neither refresh nor end a session that belongs to another client."""
    asked = Asked()
    third = str(asked.auth.start(ALICE, client_id="third-party").refresh_token)
    assert not asked.lives(third)
    assert 401 == asked.ask("POST", "/refresh", {"refreshToken": third}).status
    assert 204 == asked.ask("POST", "/logout", {"refreshToken": third}).status
    assert asked.auth.refresh(third, client_id="third-party").access_token


def test_a_guess_costs_no_question_and_hits_nothing() -> None:
    """A refresh token with any byte of it changed is refused before the store is asked, whichever byte it is."""
    asked = Asked()
    _, cookie = asked.login()
    for index in range(4, len(cookie)):
        forged = cookie[:index] + ("A" if cookie[index] != "A" else "B") + cookie[index + 1 :]
        with pytest.raises(TokenMalformed):
            asked.auth.refresh(forged)
    assert asked.lives(cookie)


def test_a_body_in_another_encoding_is_no_json() -> None:
    """A body in UTF-16 or UTF-32, which a proxy in front would read differently, is refused."""
    asked = Asked()
    kind = {"content-type": "application/json; charset=utf-16"}
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-32-be"):
        body = str(LOGIN).replace("'", '"').encode(encoding)
        assert 400 == asked.ask("POST", "/login", body=body, headers=kind).status
    assert [] == asked.tried
    body = b"\xef\xbb\xbf" + str(LOGIN).replace("'", '"').encode()
    assert 200 == asked.ask("POST", "/login", body=body, headers=kind).status


def test_time_alone_ends_a_session_of_everybody() -> None:
    """Idle and absolute ends come although the tokens are right, and no refresh moves the absolute one."""
    asked = Asked(idle_ttl="1h", absolute_ttl="3h")
    _, cookie = asked.login()
    for _ in range(4):
        asked.clock.advance(40 * 60_000)
        cookie = cookie_value(asked.ask("POST", "/refresh", cookie=cookie))
    asked.clock.advance(20 * 60_000)
    with pytest.raises(TokenRejected, match="expired"):
        asked.auth.refresh(cookie)
    _, cookie = asked.login()
    asked.clock.advance(60 * 60_000)
    assert not asked.lives(cookie)


def _ring() -> Flow[KeyRing]:
    return (yield from Keys())


def _current(asked: Asked, access: str) -> str:
    return str(json_of(asked.ask("GET", "/me", token=access))["sessionId"])


def _reuse(asked: Asked, cookie: str) -> None:
    """Let a thief and the owner both use the same token, a grace period apart, and twice."""
    asked.end_grace()
    cookies = [cookie_value(asked.ask("POST", "/refresh", cookie=cookie))]
    asked.end_grace()
    cookies.append(cookie_value(asked.ask("POST", "/refresh", cookie=cookies[0])))
    asked.end_grace()
    assert [False] * 3 == [asked.lives(each) for each in (cookie, *cookies)]
