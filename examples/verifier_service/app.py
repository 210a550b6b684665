"""Another service, for users who log in elsewhere: no database, no secret. Run it with uvicorn app:app.

It verifies the access tokens of the API in ../fastapi_api by the keys which that publishes.
"""

from typing import Annotated

from fastapi import Depends, FastAPI

from daypass import AccessToken, AsyncRemoteVerifier
from daypass.web.fastapi import REFUSALS, bearer

verifier = AsyncRemoteVerifier(
    "https://api.example.com",
    jwks_url="http://127.0.0.1:8000/.well-known/jwks.json",  # for this machine; else it is found from the issuer
)
app = FastAPI(title="Reports")


@app.get("/reports", responses=REFUSALS)
async def reports(token: Annotated[AccessToken, Depends(bearer(verifier, scope="read"))]) -> dict[str, str]:
    """Return what the user may read."""
    return {"for": token.subject}
