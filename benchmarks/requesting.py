"""What a request with a valid token costs the client over the bare client, without a network in between."""

import json

import httpx2
from measure import head, in_turns, row

from daypass.client.httpx import DaypassAuth


def answer(request: httpx2.Request) -> httpx2.Response:
    if request.url.path == "/auth/login":
        tokens = {"accessToken": "a.b.c", "tokenType": "Bearer", "expiresIn": 900, "refreshToken": "dpr_x"}
        return httpx2.Response(200, content=json.dumps(tokens))
    return OK


OK = httpx2.Response(200, content=b"ok")


def main() -> None:
    head("A client's request with a valid token (µs)")
    auth = DaypassAuth("https://api.example.com/auth")
    base = "https://api.example.com"
    bare = httpx2.Client(
        base_url=base, transport=httpx2.MockTransport(answer), headers={"Authorization": "Bearer a.b.c"}
    )
    ours = httpx2.Client(base_url=base, transport=httpx2.MockTransport(answer), auth=auth)
    with bare, ours:
        auth.login(ours, username="ann", password="x")
        figures = in_turns({"ours": lambda: ours.get("/me"), "bare": lambda: bare.get("/me")})
    extra = figures["ours"] - figures["bare"]
    row("httpx2.Client.get", f"{figures['ours']:.1f}", f"{figures['bare']:.1f}", f"+{extra:.1f} µs", "≤ 5 µs over it")


if __name__ == "__main__":
    main()
