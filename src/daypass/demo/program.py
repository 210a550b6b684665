"""A program whose session is bound to a key, and a thief who has copied both of its tokens.

All of them send real requests to the service that runs this.
"""

import re
from collections.abc import Sequence
from typing import Any

import httpx2

from daypass.client.clock import wall_ms
from daypass.client.dpop import Proofs, new_key
from daypass.client.httpx import DaypassAuth
from daypass.client.tokens import Tokens
from daypass.demo.people import EMAIL, PASSWORD

_NOTES = "/api/notes"
_REFRESH = "/auth/refresh"
_ERROR = re.compile(r'\berror"?[=:] ?"(\w+)"')
"""The reason in a challenge or in a JSON body."""


async def steal_from_program(url: str) -> dict[str, Any]:
    """Let a program log in, and a thief try everything with its tokens; return each attempt and its answer.

    Args:
        url: the URL that ``/auth`` and ``/api`` are below.
    """
    seen: list[Tokens] = []
    auth = DaypassAuth(f"{url}/auth", dpop=True, on_tokens=seen.append)
    async with httpx2.AsyncClient(base_url=url) as program, httpx2.AsyncClient(base_url=url) as thief:
        await auth.alogin(program, email=EMAIL, password=PASSWORD, deviceName="A program with a key")
        attempts = [await _attempt(thief, *each) for each in _attempts(url, seen[-1])]
        await auth.atoken(good_for=60)  # a new access token: the refresh token still works, for its owner
        owner = (await program.get(_NOTES)).status_code
        await auth.alogout(program)
    return {"attempts": attempts, "owner": owner, "refreshed": len(seen) > 1}


def _attempts(url: str, stolen: Tokens) -> Sequence[tuple[str, str, dict[str, Any]]]:
    """Return what the thief tries: the method, the path, and the request."""
    own_key, proofs = new_key(), Proofs(wall_ms)
    body = {"refreshToken": stolen.refresh_token}
    token = stolen.access_token
    refresh = proofs.of(own_key, "POST", url + _REFRESH)
    notes = proofs.of(own_key, "GET", url + _NOTES, token)
    return [
        ("POST", _REFRESH, {"json": body}),
        ("POST", _REFRESH, {"json": body, "headers": {"DPoP": refresh}}),
        ("GET", _NOTES, {"headers": {"Authorization": f"Bearer {token}"}}),
        ("GET", _NOTES, {"headers": {"Authorization": f"DPoP {token}", "DPoP": notes}}),
    ]


async def _attempt(thief: httpx2.AsyncClient, method: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
    answer = await thief.request(method, path, **request)
    proof = "a proof by a key of its own" if "DPoP" in request.get("headers", {}) else "no proof"
    error = _ERROR.search(answer.headers.get("www-authenticate", answer.text))
    return {"path": path, "proof": proof, "status": answer.status_code, "error": error and error[1]}
