"""Where tokens and secrets must not turn up: errors, databases, addresses (RFC 9700 §4.2, §4.3, §4.14)."""

import base64
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from daypass import ConfigurationError, Daypass, DaypassError, User
from daypass.access_token import AccessToken
from daypass.flow import Flow
from daypass.keys import KeyRing
from daypass.refresh_token import decode
from daypass.steps import Keys

from ..web.live import LOGIN
from ..web.world import Asked

USER = User("user-1", "ada")
SECRET = "a master secret that is long enough, and stands nowhere"


def issuer(store: str = "memory:", secret: str | None = SECRET) -> Daypass:
    return Daypass(store, issuer="https://issuer.example", secret=secret, load_user=lambda _: USER)


def ring() -> Flow[KeyRing]:
    return (yield from Keys())


def told(error: BaseException) -> Iterator[str]:
    """Yield everything that an error could show to code that logs, sends or stores it."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error.args)))
    yield "".join(traceback.format_exception(error)).replace(__file__, "")
    for other in (error.__cause__, error.__context__):
        if other is not None and not error.__suppress_context__:
            yield from told(other)


def test_no_error_holds_what_was_sent() -> None:
    """Whichever token is refused, for whatever reason: no part of the error contains it."""
    with issuer() as auth:
        tokens = auth.start(USER)
        refresh = str(tokens.refresh_token)
        auth.logout(refresh)
        sent = [
            tokens.access_token,
            refresh,
            refresh[:-1] + "_",
            "dpr_" + "x" * 76,
            tokens.access_token[:-8] + "AAAAAAAA",
        ]
        for text in sent:
            for call in (auth.verify, auth.refresh):
                with pytest.raises(DaypassError) as caught:
                    call(text)
                parts = [part for part in text.split(".") if len(part) > 8]
                assert [] == [part for part in parts for shown in told(caught.value) if part in shown]


def test_what_is_verified_shows_no_token() -> None:
    """An `AccessToken` in a log or a traceback is not the token: no part of the signed text can be read from it."""
    with issuer() as auth:
        text = auth.start(USER).access_token
        verified = auth.verify(text)
    assert isinstance(verified, AccessToken)
    assert [] == [part for part in text.split(".") if part in repr(verified) or part in str(verified.claims)]


def test_a_stolen_database_holds_no_token(tmp_path: Path) -> None:
    """Nothing in the files of a store opens anything: no token, no session's secret, no key in the clear."""
    with issuer(f"sqlite:///{tmp_path}/app.db") as auth:
        tokens = [auth.start(USER) for _ in range(3)]
        tokens.append(auth.refresh(str(tokens[0].refresh_token)))
        keys = auth.run(ring())
        refreshed = [str(each.refresh_token) for each in tokens]
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert bytes.fromhex(tokens[0].session.id) in files or tokens[0].session.id.encode() in files
    fields = [decode(text, keys.refresh_keys) for text in refreshed]
    secret = [field.secret for field in fields] + [key.mac_key for key in keys.refresh_keys]
    signing = keys.signing_key(0).key.as_dict(private=True)["d"]
    secret += [base64.urlsafe_b64decode(f"{signing}=="), SECRET.encode(), str(signing).encode()]
    secret += [text.encode() for text in refreshed] + [each.access_token.encode() for each in tokens]
    for each in secret:
        for spelling in (
            each,
            each.hex().encode(),
            base64.b64encode(each),
            base64.urlsafe_b64encode(each).rstrip(b"="),
        ):
            assert spelling not in files


def test_a_stolen_database_is_of_no_use_without_the_secret(tmp_path: Path) -> None:
    """Over a copy of the files, and with any other secret, an issuer reads no key: it issues nothing, opens nothing."""
    store = f"sqlite:///{tmp_path}/app.db"
    with issuer(store) as auth:
        tokens = auth.start(USER)
    with issuer(store, "the thief's own secret, which is long enough too") as thief:
        for call in (
            lambda: thief.start(USER),
            lambda: thief.refresh(str(tokens.refresh_token)),
            lambda: thief.verify(tokens.access_token),
        ):
            with pytest.raises(ConfigurationError):
                call()
    with issuer(store) as auth:
        assert auth.refresh(str(tokens.refresh_token)).access_token


def test_no_answer_sends_a_token_anywhere_else() -> None:
    """No endpoint redirects, and no token is in an address or in another header than the cookie's own."""
    asked = Asked()
    access, cookie = asked.login()
    for path, route in asked.routes.items():
        for method in route.methods:
            answer = asked.ask(
                method,
                path.replace("{session_id}", 32 * "0"),
                LOGIN,
                cookie=cookie,
                headers={"referer": f"https://x/{cookie}"},
            )
            assert not 300 <= answer.status < 400
            for name, value in answer.headers:
                assert name not in ("location", "refresh", "link", "content-location")
                assert access not in value
                assert name == "set-cookie" or "dpr_" not in value


def test_answers_with_tokens_are_stored_by_nobody() -> None:
    """Whatever answer holds a token or a user's data says ``no-store`` (RFC 6749 §5.1)."""
    asked = Asked()
    access, cookie = asked.login()
    for path in ("/login", "/refresh", "/logout"):
        assert ("cache-control", "no-store") in asked.ask("POST", path, LOGIN, cookie=cookie).headers
    for path in ("/me", "/sessions"):
        assert ("cache-control", "no-store") in asked.ask("GET", path, token=access).headers
