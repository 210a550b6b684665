"""The client of idpyoidc, as it is, with its DPoP add-on: refreshes with its proof, and asks for a resource."""

import json
import sys

import requests
from idpyoidc.client.oauth2 import Client
from idpyoidc.client.oauth2.add_on.dpop import dpop_header

issuer, client_id, client_secret, refresh_token = sys.argv[1:]
ADD_ON = "idpyoidc.client.oauth2.add_on.dpop.add_support"
client = Client(
    config={
        "client_id": client_id,
        "client_secret": client_secret,
        "issuer": issuer,
        "redirect_uris": [f"{issuer}/callback"],
        "provider_info": {"issuer": issuer, "token_endpoint": f"{issuer}/oauth/token"},
        "add_ons": {
            "dpop": {
                "function": ADD_ON,
                "kwargs": {"dpop_signing_alg_values_supported": ["ES256"], "with_dpop_header": ["refresh_token"]},
            }
        },
    },
    services={"refresh_token": {"class": "idpyoidc.client.oauth2.refresh_access_token.RefreshAccessToken"}},
)
context = client.get_context()
state = context.cstate.create_key()
context.cstate.set(state, {"refresh_token": refresh_token, "iss": issuer})
service = client.get_service("refresh_token")
asked = service.get_request_parameters(request_args={"refresh_token": refresh_token}, state=state)
granted = requests.post(asked["url"], data=asked["body"], headers=asked["headers"], timeout=10).json()
token = granted.get("access_token", "")
headers = {"authorization": f"DPoP {token}"}
dpop_header(context, "", "GET", headers, token=token, endpoint_url=f"{issuer}/profile")
opened = requests.get(f"{issuer}/profile", headers=headers, timeout=10)
challenge = opened.headers.get("www-authenticate", "")
sys.stdout.write(json.dumps({"granted": granted.get("token_type", granted), "challenge": challenge}))
