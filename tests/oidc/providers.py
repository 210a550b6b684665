"""OpenID Connect providers on loopback: oidc-provider on Node, and one that lies as a test wants."""

import base64
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from ..browser import npm

HERE = Path(__file__).parent / "provider"
CLIENT = "daypass-service"
SECRET = "the client's secret: ~%+&/"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def node_provider(client: Mapping[str, Any], users: Mapping[str, Any]) -> Iterator[str]:
    """Run oidc-provider; yield its issuer."""
    port = free_port()
    told = json.dumps({"port": port, "client": client, "users": users})
    environment = os.environ | {"NODE_ENV": "test"}
    with subprocess.Popen(
        [npm.NODE, "server.mjs", told], cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "ready\n" in process.stdout
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


KEY, OTHER = new_key("first"), new_key("second")


@dataclass
class Lies:
    """What a `LyingProvider` does otherwise than an honest one: by default nothing.

    Attributes:
        claims: other claims of its ID tokens; None removes one.
        key: what it signs with.
        header: other header members of its ID tokens.
        published: the keys in its JWK Set.
        metadata: other metadata.
        token: makes the token response, from an honest one: a status and a body.
        delay: seconds before it answers at the token endpoint.
        userinfo: what its userinfo endpoint answers.
    """

    claims: dict[str, Any] = field(default_factory=dict)
    key: Key = field(default_factory=lambda: KEY)
    header: dict[str, Any] = field(default_factory=dict)
    published: list[Key] = field(default_factory=lambda: [KEY])
    metadata: dict[str, Any] = field(default_factory=dict)
    token: Callable[[dict[str, Any]], tuple[int, bytes]] = field(
        default=lambda answer: (200, json.dumps(answer).encode())
    )
    delay: float = 0
    userinfo: dict[str, Any] = field(default_factory=dict)


class LyingProvider(ThreadingHTTPServer):
    """A provider that logs in every visitor, once per code, and lies as `lies` says."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lies = Lies()
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.authorizations: list[str | None] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def honest_claims(self, **others: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "user-1", "iat": now, "exp": now + 300, "sid": "sid-1"}
        found = {**claims, **others}
        return {name: value for name, value in found.items() if value is not None}

    def signed(self, claims: Mapping[str, Any]) -> str:
        header = {"alg": "RS256", "kid": self.lies.key.kid, **self.lies.header}
        header = {name: value for name, value in header.items() if value is not None}
        if header["alg"] == "none":
            parts = (json.dumps(part).encode() for part in (header, claims))
            return "".join(base64.urlsafe_b64encode(part).decode().rstrip("=") + "." for part in parts)
        return jwt.encode(header, dict(claims), self.lies.key, algorithms=[header["alg"]])

    def logout_token(self, **others: Any) -> str:
        made = {"sub": None, "jti": os.urandom(8).hex(), "events": {EVENT: {}}, **others}
        return self.signed(self.honest_claims(**made))


class _Handler(BaseHTTPRequestHandler):
    server: LyingProvider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append(url.path)
        match url.path:
            case "/.well-known/openid-configuration":
                self._answer(200, json.dumps(self._metadata()).encode())
            case "/authorize":
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                code = os.urandom(8).hex()
                self.server.codes[code] = query
                back = urlencode({"code": code, "state": query["state"]})
                self._answer(303, b"", ("location", f"{query['redirect_uri']}?{back}"))
            case "/jwks":
                keys = [key.as_dict(private=False) for key in self.server.lies.published]
                self._answer(200, json.dumps({"keys": keys}).encode())
            case "/userinfo":
                assert "Bearer an-access-token" == self.headers["authorization"]
                self._answer(200, json.dumps(self.server.lies.userinfo).encode())
            case _:
                self._answer(404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.asked.append(self.path)
        self.server.forms.append(form)
        self.server.authorizations.append(self.headers["authorization"])
        lies, begun = self.server.lies, self.server.codes.pop(form["code"], None)
        time.sleep(lies.delay)
        if begun is None:
            self._answer(400, b'{"error": "invalid_grant", "error_description": "used"}')
            return
        claims = self.server.honest_claims(**{"nonce": begun["nonce"], **lies.claims})
        answer = {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.server.signed(claims)}
        self._answer(*lies.token(answer))

    def _metadata(self) -> dict[str, Any]:
        issuer = self.server.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "end_session_endpoint": f"{issuer}/logout",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.server.lies.metadata,
        }

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("content-length", str(len(body))), ("content-type", "application/json")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
