"""A browser with Device Bound Session Credentials, as Chromium behaves on the wire, over any HTTP client.

Like the real one it registers after a login's response, and proves its key before a request if the bound cookie is
missing. Everything that it sends may be made wrong.
"""

import json
import re
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Self

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, Key

from daypass.proof import ALGORITHMS

_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS)
REGISTRATION = re.compile(
    r'\((?P<algorithms>[^)]*)\);path="(?P<path>[^"]*)";challenge="(?P<challenge>[^"]*)";authorization="(?P<said>[^"]*)"'
)
CHALLENGE = re.compile(r'"(?P<challenge>[^"]*)";id="(?P<id>[^"]*)"')


class DeviceBrowser:
    """One profile: a cookie jar, and the registration of a session with its key.

    Args:
        client: sends the requests; its own cookies are not used.
        key: the device's key; a new one on P-256 unless given.
        algorithm: how it signs.
        clock: seconds; decides when cookies expire.
        headers: sent with each request.
    """

    def __init__(
        self,
        client: httpx2.Client,
        key: Key | None = None,
        algorithm: str = "ES256",
        clock: Callable[[], float] = time.time,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.client, self.clock, self.headers = client, clock, headers or {}
        self.key, self.algorithm = key or ECKey.generate_key("P-256"), algorithm
        self.cookies: dict[str, tuple[str, float]] = {}
        self.registered: Any = None
        self.asked: Any = None
        self.challenge: str | None = None
        self.skipped: Any = None
        self.signatures = 0
        self.log: list[tuple[str, int]] = []
        self.registers = True

    # ---- what a user does

    def log_in(self, name: str = "ann", **body: Any) -> httpx2.Response:
        """Log in, and register as the response asks."""
        answer = self.post("/auth/login", json={"username": name, "password": "correct"} | body)
        assert 200 == answer.status_code, answer.text
        return answer

    def post(self, path: str, **sent: Any) -> httpx2.Response:
        return self.request("POST", path, **sent)

    def get(self, path: str, **sent: Any) -> httpx2.Response:
        return self.request("GET", path, **sent)

    def request(self, method: str, path: str, **sent: Any) -> httpx2.Response:
        """Send a request of a page; first prove the key, if the bound cookie is missing."""
        self.skipped = None
        if self.registered is not None and self.bound_cookie not in self.jar():
            self.prove()
        headers: dict[str, str] = dict(sent.pop("headers", {}))
        if self.skipped is not None:
            headers |= self.skips
        answer = self._send(method, path, headers, **sent)
        asked = REGISTRATION.fullmatch(answer.headers.get("secure-session-registration", ""))
        if asked is not None:
            self.asked = asked.groupdict()
            if self.registers:
                self.register(is_led=headers.get("sec-fetch-site") == "cross-site")
        return answer

    def jar(self) -> dict[str, str]:
        """Return the cookies that have not expired."""
        return {name: value for name, (value, until) in self.cookies.items() if until > self.clock()}

    def copied(self, key: Key | None = None) -> Self:
        """Return another profile with a copy of the cookies, and nothing else of this one."""
        thief = type(self)(self.client, key, clock=self.clock, headers=self.headers)
        thief.cookies = deepcopy(self.cookies)
        return thief

    def forget(self, *names: str) -> None:
        """Remove cookies whose names end so, as if they had expired."""
        self.cookies = {name: kept for name, kept in self.cookies.items() if not name.endswith(names)}

    # ---- what the browser does by itself

    def register(self, *, is_led: bool = False) -> httpx2.Response:
        """Register as the last login asked; without cookies if a page of another site has led to the login."""
        assert self.asked is not None, "no login has asked for a registration"
        proof = self.sign(self.asked["challenge"], said=self.asked["said"], jwk=self.key.as_dict(private=False))
        answer = self._send("POST", self.asked["path"], {"secure-session-response": proof}, bare=is_led)
        if 200 == answer.status_code:
            self.registered = answer.json()
            self._keep_challenge(answer)
        return answer

    @property
    def bound_cookie(self) -> str:
        """The name of the bound cookie."""
        return str(self.registered["credentials"][0]["name"])

    @property
    def identifier(self) -> str:
        """The identifier of the registered session."""
        return str(self.registered["session_identifier"])

    @property
    def skips(self) -> dict[str, str]:
        """The header of a request that is sent without a proof, because the browser could not get one."""
        return {"secure-session-skipped": f'{self.skipped or "unreachable"};session_identifier="{self.identifier}"'}

    def prove(self) -> httpx2.Response:
        """Refresh with a proof, by the challenge at hand or by one that is asked for."""
        answer = self._prove(self.challenge)
        if 403 == answer.status_code and "secure-session-challenge" in answer.headers:
            self._keep_challenge(answer)
            answer = self._prove(self.challenge)
        if 200 == answer.status_code and answer.json().get("continue") is not False:
            self._keep_challenge(answer)
        elif answer.status_code >= 500:
            self.skipped = "server_error"
        else:
            self.registered = None
        return answer

    def _prove(self, challenge: str | None) -> httpx2.Response:
        headers = {"sec-secure-session-id": self.identifier}
        if challenge is not None:
            headers["secure-session-response"] = self.sign(challenge)
        self.challenge = None
        return self._send("POST", self.registered["refresh_url"], headers)

    def sign(self, challenge: str, key: Key | None = None, said: str | None = None, **header: Any) -> str:
        """Return a proof for a challenge; ``header`` replaces what a good one has, None leaves it out.

        ``said`` is the authorization that a registration repeats.
        """
        self.signatures += 1
        head = {"typ": "dbsc+jwt", "alg": self.algorithm} | header
        head = {name: value for name, value in head.items() if value is not None}
        claims = {"jti": challenge} if said is None else {"jti": challenge, "authorization": said}
        return jws.serialize_compact(head, json.dumps(claims), key or self.key, registry=_REGISTRY)

    def _keep_challenge(self, answer: httpx2.Response) -> None:
        found = CHALLENGE.fullmatch(answer.headers.get("secure-session-challenge", ""))
        self.challenge = None if found is None else found["challenge"]

    def _send(
        self, method: str, path: str, headers: dict[str, Any], *, bare: bool = False, **sent: Any
    ) -> httpx2.Response:
        cookies = "" if bare else "; ".join(f"{name}={value}" for name, value in self.jar().items())
        headers = self.headers | headers | ({"cookie": cookies} if cookies else {})
        answer = self.client.request(method, path, headers=headers, **sent)
        self.client.cookies.clear()
        self.log.append((path, answer.status_code))
        for header in answer.headers.get_list("set-cookie"):
            self._store(header)
        return answer

    def _store(self, header: str) -> None:
        pair, *attributes = header.strip().split("; ")
        name, _, value = pair.partition("=")
        ages = [float(each.partition("=")[2]) for each in attributes if each.lower().startswith("max-age=")]
        self.cookies[name] = value, (self.clock() + ages[0] if ages else float("inf"))
