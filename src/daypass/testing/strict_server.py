"""A strict rotating server for tests of clients: each refresh token can be used once, and a reuse ends the session.

It is an ASGI application, and can simulate problems: slow, losing responses after it has processed the request, down,
with a wrong clock, revoking early. It counts the requests. `daypass.testing.loopback` serves it on a real socket.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode

from daypass import cookie_names
from daypass.dpop import DPoP
from daypass.errors import NonceRequired, ProofRejected
from daypass.proof import Proof
from daypass.session import BEARER, DPOP

COOKIE = cookie_names.DEFAULT
"""The refresh cookie's name."""

PASSWORD = "correct horse"  # noqa: S105 - of nobody
"""The only valid password."""


@dataclass
class Line:
    """One session's refresh tokens, oldest first; the last has never been used."""

    tokens: list[str]
    rotated_at: float = 0.0
    revoked: bool = False
    key_thumbprint: str | None = None


@dataclass
class StrictServer:
    """A strict server: refresh tokens can be used once, and a reuse revokes the session.

    With `grace` it follows Daypass's rule in that time: the same token again gets the same successor, the successor is
    held, an older one is stale. Without it, every second use is a reuse. You may change every attribute at any time.

    Attributes:
        grace: seconds; 0 is strict.
        says_grace: whether its responses have ``Daypass-Grace``, as Daypass's do.
        expires_in: lifetime of an access token in seconds; ``None``: valid until revoked, without a lifetime in the
            response.
        says_lifetime: whether ``expiresIn`` is in the responses.
        jwt: whether access tokens are JWT with their lifetime.
        skew: seconds that this server's clock is ahead of the client's, in the JWT and in the ``Date`` header.
        latency: seconds that a refresh takes.
        statuses: the statuses of the next refreshes, which are then not processed; 200 lets one through.
        retry_after: the ``Retry-After`` of those.
        lose: how many responses to refreshes are lost after processing.
        gate: a refresh waits for this event after processing.
        never_gate: from the second on, a request to ``/never`` waits here.
        hop_gate: a request to ``/hop-same`` waits here.
        sets_cookie: whether the refresh token is in a cookie even where the body was asked for.
        proxy_cookie: an extra ``Set-Cookie`` with every grant.
        dpop: what it requires of DPoP proofs; each session is then bound to the key of its login.
        withholds: how many refreshes return only an access token.
        refuses_with: the status of a request without a live access token.
        location: where ``/hop`` and ``/hop-same`` redirect to.
        client: the id and the secret of a confidential OAuth client; without one, clients are public.
        prefers_form: whether the response to a refresh is a form unless JSON is asked for, as with GitHub.
        rejects_with: the status for ``invalid_grant``; some providers use 200.
        refuses_logout: whether the response to a logout is 503.
        refuses: the ``error`` of every response of the token endpoint.
        metadata_at: the path of the metadata.
        metadata_status: the status of its response.
        forms: the forms sent to the OAuth endpoints, each field with all its values.
        counts: what was seen: ``logins``, ``refreshes`` and what became of them (``rotated``, ``held``, ``repeated``,
            ``stale``, ``reused``, ``revoked``, ``unknown``), ``cut`` (the client went away before its request was
            read, so nothing was looked at), ``logouts``, ``ended``, ``admitted``, ``unauthorized``, ``hops``,
            ``never``, ``discoveries``, ``step-ups``; and refused proofs: ``invalid_dpop_proof``, ``use_dpop_nonce``.
        uploads: the hash and the length of each body sent to ``/upload``.
        live: the valid access tokens.
        lines: the sessions.
        authorizations: the header of each request that was not about a session.
        cookies: the ``Cookie`` headers, by path.
        refreshing: set as soon as a refresh has come.
        presented: the refresh tokens, in the order of their coming.
    """

    grace: float = 0.0
    says_grace: bool = True
    expires_in: float | None = 900
    says_lifetime: bool = True
    jwt: bool = False
    skew: float = 0.0
    latency: float = 0.0
    statuses: list[int] = field(default_factory=list)
    retry_after: str | None = None
    lose: int = 0
    gate: threading.Event | None = None
    never_gate: threading.Event | None = None
    hop_gate: threading.Event | None = None
    sets_cookie: bool = False
    proxy_cookie: str | None = None
    dpop: DPoP | None = None
    withholds: int = 0
    refuses_with: int = 401
    location: str = "/me"
    client: tuple[str, str] | None = None
    prefers_form: bool = False
    rejects_with: int | None = None
    refuses_logout: bool = False
    refuses: str | None = None
    metadata_at: str = "/.well-known/oauth-authorization-server"
    metadata_status: int = 200
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    uploads: list[tuple[str, int]] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    authorizations: list[str | None] = field(default_factory=list)
    cookies: dict[str, list[str | None]] = field(default_factory=dict)
    refreshing: threading.Event = field(default_factory=threading.Event)
    presented: list[str] = field(default_factory=list)
    _deaths: dict[str, float] = field(default_factory=dict)

    def revoke_access(self) -> None:
        """Make every access token dead, early."""
        self.live.clear()

    def end_sessions(self) -> None:
        """End every session, as an operator would: access tokens and refresh tokens are dead."""
        self.live.clear()
        for line in self.lines.values():
            line.revoked = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; called by an ASGI server."""
        try:
            await self._answer(Exchange(scope, receive, send), scope["path"])
        except ConnectionResetError:
            self.counts["cut"] += 1

    async def _answer(self, exchange: Exchange, path: str) -> None:
        self.cookies.setdefault(path, []).append(exchange.header("cookie"))
        if path.startswith("/auth/"):
            await getattr(self, path.removeprefix("/auth/"))(exchange)
        elif path.startswith("/oauth/"):
            await getattr(self, path.removeprefix("/oauth/"))(exchange)
        elif path == self.metadata_at:
            await self.metadata(exchange)
        elif path.startswith("/.well-known/"):
            await exchange.answer(404, None)
        else:
            self.authorizations.append(exchange.header("authorization"))
            await getattr(self, path.removeprefix("/").replace("-", "_"))(exchange)

    async def login(self, exchange: Exchange) -> None:
        """Answer ``POST /auth/login``."""
        self.counts["logins"] += 1
        body = json.loads(await exchange.read())
        if body["password"] != PASSWORD:
            await exchange.answer(401, {"error": "invalid_credentials"})
            return
        proof = await self._proof(exchange, 400)
        if self.dpop is not None and proof is None:
            return
        sid = secrets.token_hex(4)
        line = self.lines[sid] = Line([secrets.token_hex()], key_thumbprint=None if proof is None else proof.thumbprint)
        await self._grant(exchange, sid, line.tokens[-1], in_body=body.get("tokenDelivery") == "body")

    async def refresh(self, exchange: Exchange) -> None:
        """Answer ``POST /auth/refresh``: the rule."""
        token, in_body = await self._presented(exchange)
        _, line = self._line_of(token)
        if not await self._is_proven(exchange, 400, None if line is None else line.key_thumbprint):
            return
        granted = await self._judge(exchange, token, refused=401)
        if granted is not None:
            await self._grant(exchange, *granted, in_body=in_body)

    async def token(self, exchange: Exchange) -> None:
        """Answer ``POST /oauth/token``: the same rule, for OAuth clients (RFC 6749 §6); and client credentials."""
        form = await self._form(exchange)
        if form is None:
            return
        granted: tuple[str, str | None] | None
        if self.refuses is not None:
            await exchange.answer(400, {"error": self.refuses})
        elif form.get("grant_type") == "client_credentials":
            await exchange.answer(200, self._tokens("service", None), self._headers())
        elif form.get("grant_type") != "refresh_token":
            await exchange.answer(400, {"error": "unsupported_grant_type"})
        elif (granted := await self._judge(exchange, form.get("refresh_token", ""), refused=400)) is not None:
            await exchange.answer(200, self._tokens(*granted), self._headers())

    def _tokens(self, sid: str, refresh_token: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {"access_token": self._access_token(sid), "token_type": "bearer"}
        body |= {"expires_in": self.expires_in} if self.expires_in is not None and self.says_lifetime else {}
        return body | ({"refresh_token": refresh_token} if refresh_token is not None else {})

    async def revoke(self, exchange: Exchange) -> None:
        """Answer ``POST /oauth/revoke`` (RFC 7009)."""
        form = await self._form(exchange)
        if form is not None:
            self._end(form.get("token", ""))
            await exchange.answer(200, None)

    async def metadata(self, exchange: Exchange) -> None:
        """Answer the discovery (RFC 8414 §3)."""
        self.counts["discoveries"] += 1
        here = f"http://{exchange.header('host')}"
        body = {"issuer": here, "token_endpoint": f"{here}/oauth/token", "revocation_endpoint": f"{here}/oauth/revoke"}
        await exchange.answer(
            self.metadata_status, body | {"token_endpoint_auth_methods_supported": ["client_secret_post", "none"]}
        )

    async def _form(self, exchange: Exchange) -> dict[str, str] | None:
        """Return the form of an authenticated OAuth client; ``None`` if it was refused."""
        self.forms.append(parse_qs((await exchange.read()).decode()))
        form = {name: values[0] for name, values in self.forms[-1].items()}
        basic = exchange.header("authorization")
        pair = tuple(base64.b64decode(basic[6:]).decode().split(":")) if basic else None
        told = pair or (form.get("client_id"), form.get("client_secret"))
        if self.client is None or tuple(unquote_plus(part or "") for part in told) == self.client:
            self.counts["clients by basic" if pair else "clients by form"] += 1
            return form
        await exchange.answer(401, {"error": "invalid_client"}, [("www-authenticate", "Basic")])
        return None

    async def _judge(self, exchange: Exchange, token: str, refused: int) -> tuple[str, str | None] | None:
        """Return the session and the next refresh token (``None``: keep the one you have), or send an error."""
        self.counts["refreshes"] += 1
        self.presented.append(token)
        self.refreshing.set()
        await asyncio.sleep(self.latency)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            await exchange.answer(status, {"error": "x"}, [("retry-after", self.retry_after), *self._headers()])
            return None
        sid, line = self._line_of(token)
        verdict = "unknown" if line is None else self._verdict(line, token)
        self.counts[verdict] += 1
        if verdict == "rotated" and self.withholds and line is not None:
            self.withholds -= 1
            line.tokens.pop()
            return sid, None
        if self.gate is not None:
            await asyncio.to_thread(self.gate.wait, 5)
        if self.lose:
            self.lose -= 1
            await exchange.hang_up()
        elif line is None or verdict in ("reused", "revoked"):
            await exchange.answer(self.rejects_with or refused, {"error": "invalid_grant"})
        elif verdict == "stale":
            await exchange.answer(409, {"error": "token_stale"})
        else:
            return sid, token if verdict == "held" else line.tokens[-1]
        return None

    async def logout(self, exchange: Exchange) -> None:
        """Answer ``POST /auth/logout``."""
        self.counts["logouts"] += 1
        if self.refuses_logout:
            await exchange.answer(503, None)
            return
        token, _ = await self._presented(exchange)
        self._end(token)
        await exchange.answer(204, None)

    async def me(self, exchange: Exchange) -> None:
        """Answer anything to ``/me``: 200 with a live access token, else 401."""
        await exchange.read()
        if await self._admitted(exchange):
            await exchange.answer(200, {"user": "ada", "method": exchange.method})

    async def upload(self, exchange: Exchange) -> None:
        """Answer ``/upload`` with the hash of the body, which is noted before the token is looked at."""
        body = await exchange.read()
        self.uploads.append((hashlib.sha256(body).hexdigest(), len(body)))
        if await self._admitted(exchange):
            await exchange.answer(200, {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)})

    async def early(self, exchange: Exchange) -> None:
        """Send the 401 of an upload before the body has been read."""
        if await self._admitted(exchange):
            await self.upload(exchange)

    async def never(self, exchange: Exchange) -> None:
        """Answer ``/never``: always 401, whatever the token."""
        self.counts["never"] += 1
        if self.never_gate is not None and self.counts["never"] > 1:
            await asyncio.to_thread(self.never_gate.wait, 10)
        await exchange.answer(401, {}, [("www-authenticate", 'Bearer realm="x", error="invalid_token"')])

    async def basic(self, exchange: Exchange) -> None:
        """Answer ``/basic``: a 401 that asks for another scheme."""
        await exchange.answer(401, {}, [("www-authenticate", 'Basic realm="a, Bearer b"')])

    async def scope(self, exchange: Exchange) -> None:
        """Answer ``/scope``: a 401 that a newer token does not fix (RFC 6750 §3.1)."""
        await exchange.answer(401, {}, [("www-authenticate", 'Bearer error="insufficient_scope", scope="admin"')])

    async def step_up(self, exchange: Exchange) -> None:
        """Answer ``/step-up``: a 401 that asks for another login (RFC 9470 §3)."""
        self.counts["step-ups"] += 1
        await exchange.read()
        challenge = 'Bearer error="insufficient_user_authentication", acr_values="mfa"'
        await exchange.answer(401, {}, [("www-authenticate", challenge)])

    async def hop(self, exchange: Exchange) -> None:
        """Answer ``/hop``: done, and see `location` (303)."""
        self.counts["hops"] += 1
        await exchange.read()
        await exchange.answer(303, None, [("location", self.location)])

    async def hop_same(self, exchange: Exchange) -> None:
        """Answer ``/hop-same``: the same again at `location` (307)."""
        self.counts["hops"] += 1
        await exchange.read()
        if self.hop_gate is not None:
            await asyncio.to_thread(self.hop_gate.wait, 10)
        await exchange.answer(307, None, [("location", self.location)])

    async def _admitted(self, exchange: Exchange) -> bool:
        scheme, _, token = (exchange.header("authorization") or "").partition(" ")
        wanted = BEARER if self.dpop is None else DPOP
        if scheme == wanted and token in self.live and time.monotonic() < self._deaths[token]:
            line = self.lines.get(self.live[token])  # none for a token of a client, or of a test
            if not await self._is_proven(exchange, 401, line.key_thumbprint if line else None, token):
                return False
            self.counts["admitted"] += 1
            return True
        self.counts["unauthorized"] += 1
        await exchange.answer(self.refuses_with, {}, [("www-authenticate", f'{wanted} error="invalid_token"')])
        return False

    async def _is_proven(
        self, exchange: Exchange, status: int, key_thumbprint: str | None, token: str | None = None
    ) -> bool:
        """Return whether a request needs no proof or has it; if not, it was answered."""
        return self.dpop is None or await self._proof(exchange, status, key_thumbprint, token) is not None

    async def _proof(
        self, exchange: Exchange, status: int, key_thumbprint: str | None = None, token: str | None = None
    ) -> Proof | None:
        """Return the proof of a request; ``None`` without DPoP, or if the request was refused."""
        if self.dpop is None:
            return None
        text, url = exchange.header("dpop") or "", f"http://{exchange.header('host')}{exchange.path}"
        bound: dict[str, Any] = {"access_token": token, "key_thumbprint": key_thumbprint}
        try:
            return self.dpop.check(text, exchange.method, url, int(time.time() * 1000), **bound)
        except ProofRejected as error:
            self.counts[error.code] += 1
            nonce = error.nonce if isinstance(error, NonceRequired) else None
            challenge = f'{DPOP} error="{error.code}"' if status == 401 else None
            await exchange.answer(
                status, {"error": error.code}, [("dpop-nonce", nonce), ("www-authenticate", challenge)]
            )
            return None

    async def _presented(self, exchange: Exchange) -> tuple[str, bool]:
        body = await exchange.read()
        if body:
            return json.loads(body)["refreshToken"], True
        cookies = dict(pair.split("=", 1) for pair in (exchange.header("cookie") or "a=b").split("; "))
        return cookies.get(COOKIE, ""), False

    def _line_of(self, token: str) -> tuple[str, Line | None]:
        for sid, line in self.lines.items():
            if token in line.tokens:
                return sid, line
        return "", None

    def _verdict(self, line: Line, token: str) -> str:
        if line.revoked:
            return "revoked"
        age = len(line.tokens) - 1 - line.tokens.index(token)
        within = time.monotonic() - line.rotated_at < self.grace
        if age == 0 and within:
            return "held"
        if age == 0:
            line.tokens.append(secrets.token_hex())
            line.rotated_at = time.monotonic()
            return "rotated"
        if within:
            return "repeated" if age == 1 else "stale"
        line.revoked = True
        return "reused"

    async def _grant(self, exchange: Exchange, sid: str, refresh_token: str | None, *, in_body: bool) -> None:
        body: dict[str, Any] = {
            "accessToken": self._access_token(sid),
            "tokenType": BEARER if self.dpop is None else DPOP,
        }
        if self.expires_in is not None and self.says_lifetime:
            body["expiresIn"] = self.expires_in
        proxys = ("set-cookie", self.proxy_cookie)
        if self.prefers_form and "application/json" not in (exchange.header("accept") or ""):
            await exchange.answer(200, urlencode(body))
        elif refresh_token is None:
            await exchange.answer(200, body, [proxys, *self._headers()])
        elif in_body and not self.sets_cookie:
            await exchange.answer(200, body | {"refreshToken": refresh_token}, [proxys, *self._headers()])
        else:
            cookie = f"{COOKIE}={refresh_token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000"
            await exchange.answer(
                200, body, [("set-cookie", cookie), ("set-cookie", "lang=en; Path=/"), proxys, *self._headers()]
            )

    def _access_token(self, sid: str) -> str:
        lifetime = 10**9 if self.expires_in is None else self.expires_in
        text = secrets.token_hex()
        if self.jwt:
            now = time.time() + self.skew
            claims = json.dumps({"exp": now + lifetime, "jti": text}).encode()
            text = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"
        self.live[text] = sid
        self._deaths[text] = time.monotonic() + lifetime
        return text

    def _end(self, refresh_token: str) -> None:
        sid, line = self._line_of(refresh_token)
        if line:
            line.revoked = True
            self.counts["ended"] += 1
            self.live = {token: owner for token, owner in self.live.items() if owner != sid}

    def _headers(self) -> list[tuple[str, str | None]]:
        says = self.says_grace and self.grace
        return [
            ("date", formatdate(time.time() + self.skew, usegmt=True)),
            ("daypass-grace", str(int(self.grace)) if says else None),
        ]


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.method = scope["method"]
        self.path = scope["path"]
        self._headers = scope["headers"]
        self._receive = receive
        self._send = send

    def header(self, name: str) -> str | None:
        """Return a header, its name in lower case."""
        return next((value.decode() for key, value in self._headers if key == name.encode()), None)

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionResetError: the client went away before it sent it.
        """
        chunks = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went away before it sent the whole body")
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def answer(self, status: int, body: Any, headers: Sequence[tuple[str, str | None]] = ()) -> None:
        """Send a JSON response, with these headers if they have a value."""
        content = b"" if body is None else json.dumps(body).encode()
        pairs = [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]
        pairs += [(name.encode(), value.encode()) for name, value in headers if value]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})
        await self._send({"type": "http.response.body", "body": content})

    async def hang_up(self) -> None:
        """Begin a response and close the connection in the middle of it."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
        await self._send({"type": "http.response.body", "body": b"{", "more_body": True})
