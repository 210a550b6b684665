"""Sessions that are bound to a key of the browser, at the endpoints: what the owner gets, and what thieves try."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from daypass import AsyncDaypass, ConfigurationError, DeviceBound, Event, User
from daypass.duration import MINUTE, SECOND
from daypass.testing import Clock
from daypass.web import Application
from daypass.web.clients import Client
from daypass.web.dbsc import REFRESH, REGISTER
from daypass.web.starlette import auth_routes, oauth_routes, well_known_routes

from ..dpop.wrong_proofs import wrong_proofs
from ..web.failing import AsyncFailing
from .browser import DeviceBrowser

BASE = "https://api.example.com"
SECRET = b"a secret that all nodes share, of 32 bytes"
USERS = {"7": User("7", username="ann"), "8": User("8", username="ben")}
NAMES = {user.username: user for user in USERS.values()}
REFRESH_COOKIE, ACCESS_COOKIE = "__Host-daypass", "__Host-daypass-access"


class Served:
    """One node of an application, and what its issuer told."""

    def __init__(
        self,
        clock: Clock | None = None,
        store: AsyncFailing | None = None,
        *,
        clients: Sequence[Client] = (),
        base: str = BASE,
        allow_insecure: bool = False,
        **options: Any,
    ) -> None:
        self.events: list[Event] = []
        self.clock, self.store = clock or Clock(), store or AsyncFailing()
        arguments: dict[str, Any] = {
            "issuer": BASE,
            "secret": SECRET,
            "load_user": USERS.get,
            "authenticate": lambda name, password: NAMES.get(name) if password == "correct" else None,
            "on_event": self.events.append,
            "clock": self.clock,
            "device_bound": True,
        }
        self.issuer = AsyncDaypass(self.store, **(arguments | options))
        self.application = Application(self.issuer, clients=clients, allow_insecure=allow_insecure)
        routes = [Mount("/auth", routes=auth_routes(self.application)), *well_known_routes(self.application)]
        if clients:
            routes.append(Mount("/oauth", routes=oauth_routes(self.application)))
        self.client = TestClient(Starlette(routes=routes), base_url=base)

    def browser(self, **arguments: Any) -> DeviceBrowser:
        return DeviceBrowser(self.client, clock=lambda: self.clock() / SECOND, **arguments)

    def node(self, **options: Any) -> "Served":
        """Return another node on the same store."""
        return Served(self.clock, self.store, **options)

    @property
    def codes(self) -> list[str]:
        return [str(event.code) for event in self.events]


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    asyncio.run(made.issuer.close())


@pytest.fixture
def later(served: Served) -> Callable[[], None]:
    """Return what lets an access token expire."""
    return lambda: served.clock.advance(16 * MINUTE)


def bound(served: Served, **arguments: Any) -> DeviceBrowser:
    """Return a browser with a session that is bound."""
    browser = served.browser(**arguments)
    browser.log_in()
    served.clock.advance(61 * SECOND)
    assert 200 == browser.post("/auth/refresh").status_code
    assert "bound" in served.codes
    return browser


@pytest.mark.parametrize(
    ("key", "algorithm"), [(ECKey.generate_key("P-256"), "ES256"), (RSAKey.generate_key(2048), "RS256")]
)
def test_a_bound_session_goes_on(served: Served, later: Callable[[], None], key: Any, algorithm: str) -> None:
    """The browser registers, proves its key before requests that lack the bound cookie, and the session goes on."""
    browser = served.browser(key=key, algorithm=algorithm)
    answer = browser.log_in()
    assert browser.registered is not None
    first = answer.json()["accessToken"]
    tokens = {first}
    for _ in range(4):
        later()
        browser.log.clear()
        answer = browser.post("/auth/refresh")
        assert [("/auth" + REFRESH, 200), ("/auth/refresh", 200)] == browser.log[-2:]
        tokens.add(answer.json()["accessToken"])
        assert answer.json()["accessToken"] == browser.jar()[ACCESS_COOKIE]
        assert 14 * 60 < answer.json()["expiresIn"] <= 15 * 60
    assert 5 == len(tokens)
    assert ["started", "rotated", "bound", "rotated", "rotated", "rotated"] == served.codes
    bearing = {"authorization": f"Bearer {answer.json()['accessToken']}"}
    (session,) = browser.get("/auth/sessions", headers=bearing).json()["sessions"]
    assert session["bound"] is True


def test_one_round_trip_by_a_challenge_in_advance(served: Served) -> None:
    """Each answer has the challenge of the next proof; when it is too old, the browser is given another one."""
    browser = bound(served)
    for minutes, expected in ((16, [200]), (40, [403, 200])):
        served.clock.advance(minutes * MINUTE)
        browser.log.clear()
        browser.post("/auth/refresh")
        assert expected == [status for path, status in browser.log if path.endswith(REFRESH)]


def test_a_refresh_within_the_life_of_the_token_signs_nothing(served: Served) -> None:
    """Reloading a page often costs no signature, of which browsers make few: it gets the same access token."""
    browser = bound(served)
    signatures = browser.signatures
    answers = {browser.post("/auth/refresh").json()["accessToken"] for _ in range(10)}
    assert (1, signatures) == (len(answers), browser.signatures)
    served.clock.advance(14 * MINUTE)  # a client refreshes before the token expires
    answer = browser.post("/auth/refresh").json()
    assert answer["accessToken"] not in answers
    assert (signatures + 1, 15 * 60) == (browser.signatures, answer["expiresIn"])


def test_a_copied_jar_gets_no_new_token(served: Served, later: Callable[[], None]) -> None:
    """A thief with the whole jar has the access token in it until that expires, and disturbs nobody."""
    browser = bound(served)
    thief = browser.copied()
    stolen = thief.jar()[ACCESS_COOKIE]
    answer = thief.post("/auth/refresh")
    assert (200, stolen) == (answer.status_code, answer.json()["accessToken"])
    assert "set-cookie" not in answer.headers
    thief.forget("-access")
    refused = thief.post("/auth/refresh")
    assert (401, "invalid_grant") == (refused.status_code, refused.json()["error"])
    assert "set-cookie" not in refused.headers
    later()
    for _ in range(5):
        for lies, status in (({}, 401), (browser.skips, 503)):
            assert status == thief.post("/auth/refresh", headers=lies).status_code
        assert 204 == thief.copied().post("/auth/logout").status_code
        assert 200 == browser.post("/auth/refresh").status_code
        later()
    assert not {"reused", "suspected", "ended", "logged_out"} & set(served.codes)


def test_a_thief_cannot_bind_the_session_to_a_key_of_his_own(served: Served) -> None:
    """Only the login's own response has a challenge for its session; without it nobody registers a key."""
    owner = served.browser()
    owner.registers = False
    owner.log_in()
    thief = owner.copied()
    own = served.browser()
    own.registers = False
    own.log_in("ben")
    for asked in (
        own.asked,
        {**owner.asked, "challenge": own.asked["challenge"]},
        {**owner.asked, "challenge": owner.asked["challenge"][:-1]},
        {**owner.asked, "challenge": ""},
        {**own.asked, "said": owner.asked["said"]},
    ):
        thief.asked = asked
        for is_led in (False, True):
            if is_led and asked is own.asked:
                continue  # then it is his own session that he registers
            refused = thief.register(is_led=is_led)
            assert (403, "device_not_registered") == (refused.status_code, refused.json()["error"])
    served.clock.advance(5 * MINUTE + 1)
    thief.asked = owner.asked
    assert 403 == thief.register().status_code
    assert "bound" not in served.codes
    assert 200 == owner.post("/auth/refresh").status_code


def test_a_login_that_another_site_led_to_is_bound(served: Served, later: Callable[[], None]) -> None:
    """A browser then registers without cookies, as after a link in a mail or a provider's redirect: it gets no cookie.

    So its next request proves the key, and that binds the session.
    """
    browser = served.browser()
    browser.registers = False
    browser.log_in()
    answer = browser.register(is_led=True)
    assert (200, False) == (answer.status_code, "set-cookie" in answer.headers)
    browser.log.clear()
    assert 200 == browser.post("/auth/refresh").status_code
    assert [("/auth" + REFRESH, 200), ("/auth/refresh", 200)] == browser.log
    assert "bound" in served.codes
    later()
    assert 200 == browser.post("/auth/refresh").status_code


def test_a_challenge_alone_gets_no_token(served: Served) -> None:
    """A script that has read the header of a login's response, and no cookie, gets no token and binds nothing."""
    owner = served.browser()
    owner.registers = False
    owner.log_in()
    thief = served.browser()
    thief.asked = owner.asked
    for answer in (thief.register(), thief.prove(), thief.post("/auth/refresh")):
        assert "set-cookie" not in answer.headers
        assert "accessToken" not in answer.text
    assert "bound" not in served.codes
    assert 200 == owner.register().status_code
    served.clock.advance(61 * SECOND)
    assert 200 == owner.post("/auth/refresh").status_code
    assert "bound" in served.codes


def test_a_lost_registration_changes_nothing(served: Served, later: Callable[[], None]) -> None:
    """The session is bound by the first proof, so a browser that never got the response goes on as before."""
    browser = served.browser()
    browser.registers = False
    browser.log_in()
    assert 200 == browser.register().status_code
    browser.registered = None
    browser.forget("-access")
    for _ in range(3):
        later()
        assert 200 == browser.post("/auth/refresh").status_code
    assert ["started", "rotated", "rotated", "rotated"] == served.codes


def test_a_lost_response_to_a_proof_is_harmless(served: Served, later: Callable[[], None]) -> None:
    """The browser proves its key again for the same refresh token, and gets the same next one, or another later."""
    browser = bound(served)
    for pause in (0, MINUTE):
        later()
        kept = dict(browser.cookies)
        assert 200 == browser.prove().status_code
        served.clock.advance(pause)
        browser.cookies = kept
        assert 200 == browser.post("/auth/refresh").status_code
    assert {"repeated", "branched"} <= set(served.codes)
    later()
    assert 200 == browser.post("/auth/refresh").status_code


def test_a_wrong_proof_gets_a_challenge_and_changes_nothing(served: Served, later: Callable[[], None]) -> None:
    """403 with a challenge, never 401, which would end the browser's session; the owner goes on."""
    browser = bound(served)
    later()
    identifier, challenge, other = browser.identifier, browser.challenge or "", ECKey.generate_key("P-256")
    wrong = wrong_proofs("dbsc+jwt", {"jti": challenge}, browser.key) | {
        "no challenge": browser.sign(""),
        "challenge that is no text": browser.sign(7),  # type: ignore[arg-type]  # as a thief may write it
        "another key": browser.sign(challenge, other),
        "another key, which it names": browser.sign(challenge, other, jwk=other.as_dict(private=False)),
        "proof of DPoP": browser.sign(challenge, typ="dpop+jwt"),
    }
    for name, text in wrong.items():
        sent = {"sec-secure-session-id": identifier, "secure-session-response": text}
        answer = browser._send(
            "POST", "/auth" + REFRESH, {each: value.encode("latin-1") for each, value in sent.items()}
        )
        assert (403, "device_proof_missing") == (answer.status_code, answer.json()["error"]), name
        assert identifier in answer.headers["secure-session-challenge"]
        assert "set-cookie" not in answer.headers
    assert 200 == browser.post("/auth/refresh").status_code


def test_a_wrong_registration_binds_nothing(served: Served, later: Callable[[], None]) -> None:
    """A weak key, a private one, a shared secret, no signature: 403, and the session goes on without a key."""
    browser = served.browser()
    browser.registers = False
    browser.log_in()
    for name, text in wrong_proofs("dbsc+jwt", {"jti": browser.asked["challenge"]}, browser.key).items():
        answer = browser._send("POST", "/auth" + REGISTER, {"secure-session-response": text.encode("latin-1")})
        assert (403, "device_not_registered") == (answer.status_code, answer.json()["error"]), name
        assert "set-cookie" not in answer.headers
    later()
    assert 200 == browser.post("/auth/refresh").status_code
    assert ["started", "rotated"] == served.codes


def test_a_header_that_is_there_twice_proves_nothing(served: Served, later: Callable[[], None]) -> None:
    """Two proofs get a challenge, and two sessions none; the owner goes on."""
    browser = bound(served)
    later()
    identifier, proof = browser.identifier, browser.sign(browser.challenge or "")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.jar().items())
    for sessions, proofs, expected in ((1, 2, (403, True)), (2, 1, (200, False)), (2, 2, (200, False))):
        headers = [("cookie", cookie)]
        headers += [("sec-secure-session-id", identifier)] * sessions + [("secure-session-response", proof)] * proofs
        answer = served.client.post("/auth" + REFRESH, headers=headers)
        assert expected == (answer.status_code, answer.json().get("continue", True))
        assert "set-cookie" not in answer.headers
    assert 200 == browser.post("/auth/refresh").status_code


def test_a_bound_session_is_bound_to_no_other_key(served: Served, later: Callable[[], None]) -> None:
    """Neither a second registration nor another user's key takes the place of the key."""
    browser = served.browser()
    browser.log_in()
    rival = browser.copied(ECKey.generate_key("P-256"))
    rival.asked = browser.asked
    assert 200 == rival.register().status_code  # before the first proof either is as good
    served.clock.advance(61 * SECOND)
    assert 200 == browser.post("/auth/refresh").status_code
    assert 403 == rival.register().status_code
    rival.cookies = dict(browser.cookies)
    assert False is rival.prove().json()["continue"]
    ben = served.browser()
    ben.log_in("ben")
    served.clock.advance(61 * SECOND)
    assert 200 == ben.post("/auth/refresh").status_code
    ben.cookies = dict(browser.cookies)
    assert False is ben.prove().json()["continue"]
    later()
    assert 200 == browser.post("/auth/refresh").status_code
    assert 2 == served.codes.count("bound")


def test_a_proof_is_accepted_once(served: Served, later: Callable[[], None]) -> None:
    """A proof that somebody has seen is worth nothing afterwards, nor is the challenge of another session."""
    browser = bound(served)
    later()
    identifier = browser.identifier
    sent = {"sec-secure-session-id": identifier, "secure-session-response": browser.sign(browser.challenge or "")}
    assert 200 == browser._send("POST", "/auth" + REFRESH, sent).status_code
    thief = browser.copied()
    assert 403 == thief._send("POST", "/auth" + REFRESH, sent).status_code
    other = served.browser()
    other.log_in("ben")
    sent["secure-session-response"] = browser.sign(other.challenge or "")
    assert 403 == browser._send("POST", "/auth" + REFRESH, sent).status_code


def test_a_key_alone_gets_nothing(served: Served) -> None:
    """A proof needs the session's refresh token beside it.

    A browser sends no cookies if a page of another site is the cause, so without one its registration stays. Only that
    of another session ends it, or that this one has ended.
    """
    browser = bound(served)
    other = served.browser()
    other.log_in("ben")
    for cookies, status, stays in (({}, 503, True), (other.cookies, 200, False)):
        lonely = browser.copied(key=browser.key)
        lonely.registered, lonely.cookies = browser.registered, dict(cookies)
        answer = lonely.prove()
        assert (status, stays) == (answer.status_code, lonely.registered is not None)
        assert "set-cookie" not in answer.headers
    assert 204 == browser.post("/auth/logout").status_code
    browser.prove()
    assert browser.registered is None


@pytest.mark.parametrize("registration", ["", "x", "a.b.c.d", 4000 * "x", 32 * "0" + ".Lax.e30.AA"])
def test_what_is_no_registration_ends(served: Served, registration: str) -> None:
    """A browser whose registration is not one of ours is told to end it."""
    answer = served.client.post("/auth" + REFRESH, headers={"sec-secure-session-id": registration})
    assert (200, False) == (answer.status_code, answer.json()["continue"])


def test_a_forged_registration_binds_nothing(served: Served) -> None:
    """Nobody binds an unbound session by a registration that this server did not make."""
    browser = served.browser()
    browser.registers = False
    browser.log_in()
    thief = browser.copied()
    thief.registered = {"credentials": [{"name": ACCESS_COOKIE}], "refresh_url": "/auth" + REFRESH}
    made = DeviceBound()
    (session,) = asyncio.run(served.issuer.sessions("7"))
    session_id = session.id
    own = made.register(
        thief.sign(
            made.registration_challenge(session_id, "Strict", served.clock(), b""), jwk=thief.key.as_dict(private=False)
        ),
        session_id,
        served.clock(),
    )
    thief.registered["session_identifier"] = own.text
    assert 200 == thief.prove().status_code
    assert thief.registered is None
    assert "bound" not in served.codes


def test_logout_ends_the_session_and_the_registration(served: Served) -> None:
    """The owner's logout ends the bound session; the browser is told at its next proof."""
    browser = bound(served)
    assert 204 == browser.post("/auth/logout").status_code
    assert "logged_out" == served.codes[-1]
    assert 401 == browser.post("/auth/refresh").status_code
    assert browser.registered is None


def test_a_login_replaces_a_bound_session(served: Served) -> None:
    """A new login in the same browser ends the bound session before it, and has a registration of its own."""
    browser = bound(served)
    first = browser.registered
    browser.log_in("ben")
    assert "logged_out" in served.codes
    assert browser.registered not in (None, first)
    served.clock.advance(61 * SECOND)
    assert 200 == browser.post("/auth/refresh").status_code


def test_an_outage_logs_nobody_out(served: Served, later: Callable[[], None]) -> None:
    """While the store is down the browser gets 503, says so in its requests, and goes on afterwards."""
    browser = bound(served)
    for _ in range(3):
        later()
        served.store.down = True
        assert 503 == browser.post("/auth/refresh").status_code
        assert "server_error" == browser.skipped
        served.store.down = False
        skipped = browser._send("POST", "/auth/refresh", browser.skips)
        assert (503, "device_proof_missing") == (skipped.status_code, skipped.json()["error"])
        assert 200 == browser.post("/auth/refresh").status_code


def test_any_node_takes_a_proof(served: Served, later: Callable[[], None]) -> None:
    """Login, registration, challenge and proof may each meet another node, also one with a newer secret."""
    browser = served.browser()
    browser.registers = False
    browser.log_in()
    nodes = [served.node(), served.node()]
    browser.client = nodes[0].client
    assert 200 == browser.register().status_code
    newer = served.node(secret=[b"a newer secret of at least 32 bytes!", SECRET])
    for node in (nodes[1], served, nodes[0], newer, newer):
        later()
        browser.client = node.client
        assert 200 == browser.post("/auth/refresh").status_code
    assert browser.registered is not None


def test_a_page_of_another_site_may_not_register_or_refresh(served: Served) -> None:
    """A browser says which site caused a request; others get 403, and nothing changes."""
    browser = bound(served)
    evil = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    for path in (REGISTER, REFRESH):
        identifier = browser.identifier
        sent = {"sec-secure-session-id": identifier, "secure-session-response": browser.sign(browser.challenge or "")}
        answer = browser._send("POST", "/auth" + path, sent | evil)
        assert (403, "cross_site_request") == (answer.status_code, answer.json()["error"])


def test_browsers_without_it_lose_nothing(served: Served, later: Callable[[], None]) -> None:
    """A browser that ignores the header has a session as before, and so has a client without cookies."""
    browser = served.browser()
    browser.registers = False
    assert "secure-session-registration" in browser.log_in().headers
    for _ in range(3):
        later()
        assert 200 == browser.post("/auth/refresh").status_code
    assert "secure-session-registration" not in served.browser().log_in(tokenDelivery="body").headers
    assert "secure-session-registration" not in served.browser().log_in(remember=False).headers
    off = served.node(device_bound=False)
    assert "secure-session-registration" not in off.browser().log_in().headers
    assert [404, 503] == [off.client.post("/auth" + path).status_code for path in (REGISTER, REFRESH)]


@pytest.mark.parametrize("why", ["plain HTTP", "fewer claims"])
def test_a_session_that_cannot_be_bound_is_warned_of(why: str, caplog: pytest.LogCaptureFixture) -> None:
    """The login succeeds, and the log says once why its session is not bound, and what to change."""
    claims = {"groups": "x" * 3000} if why == "fewer claims" else {}
    ann = User("7", username="ann", claims=claims)
    options: dict[str, Any] = {"load_user": {"7": ann}.get, "authenticate": lambda *_: ann}
    if why == "plain HTTP":
        served = Served(base=BASE.replace("https", "http"), allow_insecure=True, **options)
    else:
        served = Served(**options)
    for _ in range(2):
        assert "secure-session-registration" not in served.browser().log_in().headers
    assert [True] == ["not bound to a key" in text and why in text for text in caplog.messages]


def test_what_a_browser_keeps(served: Served) -> None:
    """The registration names the cookie as it is set, the refresh endpoint, and which paths need no proof."""
    device_bound = DeviceBound(exclude=["/assets"])
    node = served.node(device_bound=device_bound)
    browser = node.browser()
    browser.log_in()
    assert browser.registered is not None
    assert {"type": "exclude", "domain": "api.example.com", "path": "/assets"} in browser.registered["scope"][
        "scope_specification"
    ]
    (credential,) = browser.registered["credentials"]
    assert {
        "type": "cookie",
        "name": ACCESS_COOKIE,
        "attributes": "Path=/; HttpOnly; Secure; SameSite=Strict",
    } == credential
    assert ("/auth" + REFRESH, BASE, False) == (
        browser.registered["refresh_url"],
        browser.registered["scope"]["origin"],
        browser.registered["scope"]["include_site"],
    )


def test_the_path_of_a_mount_is_encoded(served: Served) -> None:
    """A mount below any path, such as that of a tenant, is named as browsers write it; nothing in it adds a header."""
    routes = [Mount("/{tenant}/auth", routes=auth_routes(served.application))]
    with TestClient(Starlette(routes=routes), base_url=BASE) as client:
        browser = DeviceBrowser(client, clock=lambda: served.clock() / SECOND)
        login = {"username": "ann", "password": "correct"}
        answer = browser.post("/a%22b%0D%0AX-Evil%3A%201%C3%A9/auth/login", json=login)
        assert answer.headers["secure-session-registration"].isascii()
        assert "/a%22b%0D%0AX-Evil:%201%C3%A9/auth/device/refresh" == browser.registered["refresh_url"]
        served.clock.advance(16 * MINUTE)
        assert 200 == browser.prove().status_code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device_bound": 1}, "invalid device_bound 1: write True"),
        ({"device_bound": True, "access_ttl": "1m"}, "needs an access_ttl of at least 2m"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    """A wrong argument is refused with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        AsyncDaypass("memory:", issuer=BASE, load_user=USERS.get, **arguments)


@pytest.mark.parametrize(
    "options",
    [{"path": "auth"}, {"exclude": "/assets"}, {"exclude": ['/a"b']}, {"algorithms": ["HS256"]}, {"algorithms": []}],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    """Nor does a wrong option of `DeviceBound` pass."""
    with pytest.raises(ConfigurationError, match="of DeviceBound"):
        DeviceBound(**options)
