"""AuthX in FastAPI, as its documentation has it: refresh tokens without state."""

from authx import AuthX, AuthXConfig
from fastapi import Depends, FastAPI

config = AuthXConfig(JWT_SECRET_KEY="s" * 32, JWT_TOKEN_LOCATION=["headers"])
auth = AuthX(config)
app = FastAPI()
auth.handle_errors(app)


@app.post("/login")
async def login():
    """Start a session."""
    return {"access": auth.create_access_token("1"), "refresh": auth.create_refresh_token("1")}


@app.post("/refresh")
async def refresh(payload=Depends(auth.refresh_token_required)):
    """Issue an access token."""
    return {"access": auth.create_access_token(payload.sub)}


@app.get("/me", dependencies=[Depends(auth.access_token_required)])
async def me():
    """Say who this is."""
    return {"user": "1"}
