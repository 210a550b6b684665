"""Authlib's async client for httpx2, as its documentation has it."""

import asyncio
import os

from authlib.integrations.httpx_client import AsyncOAuth2Client
from loop import awaiting

url = os.environ["URL"]
token = {
    "access_token": os.environ["ACCESS"],
    "refresh_token": os.environ["REFRESH"],
    "token_type": "Bearer",
    "expires_at": float(os.environ["EXPIRES_AT"]),
}


async def main() -> None:
    client = AsyncOAuth2Client(
        "app", token=token, token_endpoint=f"{url}/oauth/token", token_endpoint_auth_method="none"
    )

    async def ask() -> int:
        return (await client.get(f"{url}/me")).status_code

    await awaiting(ask)


asyncio.run(main())
