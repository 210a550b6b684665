"""The API behind next_app, nuxt_app and sveltekit_app: run it with uvicorn api:app.

It has POST /auth/login, /auth/refresh and all the rest, and two routes for users. Browsers do not reach it: the server
that renders the pages passes /auth on to it, and asks the rest for its pages.
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI

from daypass import AccessToken, AsyncDaypass, User
from daypass.web.fastapi import auth_router, bearer, current_user

ANN = User("1", username="ann", email="ann@example.com")
BEN = User("2", username="ben", email="ben@example.com")
PEOPLE = {"1": ANN, "2": BEN}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database


def check_password(name: str, password: str) -> User | None:
    """Return whose name (or address) and password these are."""
    user = next((user for user in PEOPLE.values() if name in (user.username, user.email)), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass(
    "sqlite:///app.db",
    issuer="https://app.example.com",
    load_user=PEOPLE.get,
    access_ttl=os.environ.get("ACCESS_TTL", "10m"),
    grace_period=os.environ.get("GRACE_PERIOD", "30s"),
)
app = FastAPI(title="Notes")
# Lax, because pages are rendered on the server: a link from another site finds the user logged in
app.include_router(auth_router(auth, authenticate=check_password, same_site="Lax"), prefix="/auth")


@app.get("/api/notes")
async def notes(token: Annotated[AccessToken, Depends(bearer(auth))]) -> dict[str, list[str]]:
    """Return the user's notes."""
    return {"notes": [f"{token.username}: buy milk", f"{token.username}: water the plants"]}


@app.get("/api/profile")
async def profile(user: Annotated[User, Depends(current_user(auth))]) -> dict[str, str | None]:
    """Return the user, as the database has them now."""
    return {"name": user.username, "email": user.email}
