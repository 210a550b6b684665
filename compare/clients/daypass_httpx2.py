"""Daypass's client with httpx2."""

import os

import httpx2
from loop import blocking

from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth

url = os.environ["URL"]
auth = DaypassAuth(url, strategy=OAuth(client_id="app", token_endpoint=f"{url}/oauth/token"))
auth.start(access_token=os.environ["ACCESS"], refresh_token=os.environ["REFRESH"])
client = httpx2.Client(base_url=url, auth=auth)
blocking(lambda: client.get("/me").status_code)
