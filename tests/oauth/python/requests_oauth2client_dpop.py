"""requests-oauth2client, as it is, with DPoP: refresh with a proof and a nonce, a resource, and what its thief gets."""

import json
import sys

import requests
from requests_oauth2client import DPoPKey, DPoPToken, OAuth2Client, OAuth2Error

issuer = sys.argv[1]
key = DPoPKey.generate()
public = json.dumps(dict(key.public_jwk))
begun = requests.post(f"{issuer}/begin", params={"client_id": "app", "scope": "read"}, data=public, timeout=10).json()
client = OAuth2Client(f"{issuer}/oauth/token", client_id="app", testing=True)
first = DPoPToken(begun["access_token"], refresh_token=begun["refresh_token"], _dpop_key=key)
newer = client.refresh_token(first)
opened = requests.get(f"{issuer}/profile", auth=newer, timeout=10)
stolen = DPoPToken(newer.access_token, refresh_token=newer.refresh_token, _dpop_key=DPoPKey.generate())
try:
    thief = str(client.refresh_token(stolen).token_type)
except OAuth2Error as error:
    thief = error.error
sys.stdout.write(json.dumps({"token_type": newer.token_type, "opened": opened.status_code, "thief": thief}))
