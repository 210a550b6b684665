"""Daypass in FastAPI, as its documentation has it."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from daypass import AccessToken, AsyncDaypass, User
from daypass.web.fastapi import auth_router, bearer

ANN = User("1", username="ann")
GRACE = int(os.environ["GRACE"])
auth = AsyncDaypass("sqlite:///daypass.db", issuer="http://127.0.0.1", load_user={"1": ANN}.get, grace_period=GRACE)
app = FastAPI()
app.include_router(auth_router(auth, authenticate=lambda *_: ANN, rate_limits=None), prefix="/auth")


@app.get("/me")
async def me(token: Annotated[AccessToken, Depends(bearer(auth))]) -> dict[str, str]:
    """Say who this is."""
    return {"user": token.subject}
