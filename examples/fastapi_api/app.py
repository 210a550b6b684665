"""An API whose users stay logged in: run it with uvicorn app:app.

It has POST /auth/login, /auth/refresh and all the rest, and three routes of its own.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI

from daypass import AccessToken, AsyncDaypass, User
from daypass.web.fastapi import REFUSALS, auth_router, bearer, current_user, well_known_router

ANN = User("1", username="ann", email="ann@example.com", scope="read write")
BEN = User("2", username="ben", email="ben@example.com", scope="read")
PEOPLE = {"1": ANN, "2": BEN}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database


def check_password(name: str, password: str) -> User | None:
    """Return whose name (or address) and password these are."""
    user = next((user for user in PEOPLE.values() if name in (user.username, user.email)), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass("sqlite:///app.db", issuer="https://api.example.com", load_user=PEOPLE.get)
app = FastAPI(title="Notes")
app.include_router(auth_router(auth, authenticate=check_password), prefix="/auth")
app.include_router(well_known_router(auth))


@app.get("/hello")
async def hello(token: Annotated[AccessToken | None, Depends(bearer(auth, optional=True))]) -> str:
    """Greet everybody, and those who are logged in by their name."""
    return f"Hello, {token.username if token else 'stranger'}!"


@app.get("/profile", responses=REFUSALS)
async def profile(user: Annotated[User, Depends(current_user(auth))]) -> dict[str, str | None]:
    """Return the user, as the database has them now."""
    return {"name": user.username, "email": user.email}


notes = APIRouter(prefix="/notes", dependencies=[Depends(bearer(auth, scope="write"))], responses=REFUSALS)


@notes.post("", status_code=201)
async def add(text: str) -> dict[str, str]:
    """Add a note; the whole router is for those who may write."""
    return {"added": text}


app.include_router(notes)
