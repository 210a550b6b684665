"""An API whose users stay logged in, in Quart: run it with uvicorn app:app, or hypercorn app:app."""

from collections.abc import AsyncIterator

from quart import Quart, Response, request

from daypass import AsyncDaypass, User
from daypass.web import Application
from daypass.web.asgi import Refused, auth_app, bearer, current_user, dispatch, well_known_app

ANN = User("1", username="ann", email="ann@example.com", scope="read write")
BEN = User("2", username="ben", email="ben@example.com", scope="read")
PEOPLE = {"1": ANN, "2": BEN}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database


def check_password(name: str, password: str) -> User | None:
    """Return whose name (or address) and password these are."""
    user = next((user for user in PEOPLE.values() if name in (user.username, user.email)), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass("sqlite:///app.db", issuer="https://api.example.com", load_user=PEOPLE.get)
daypass = Application(auth, authenticate=check_password)
find_user = current_user(daypass)
may_write = bearer(daypass, scope="write")
app = Quart(__name__)
app.asgi_app = dispatch(well_known_app(app.asgi_app, daypass), {"/auth": auth_app(daypass)})


@app.while_serving
async def upkeep() -> AsyncIterator[None]:
    """Keep what goes on beside the requests going."""
    async with auth:
        yield


@app.errorhandler(Refused)
async def answer_refusal(refused: Refused) -> Response:
    """Answer a request that may not pass, as Daypass says."""
    response = refused.response
    return Response(response.body, response.status, dict(response.headers))


@app.get("/profile")
async def profile() -> dict[str, str | None]:
    """Return the user, as the database has them now."""
    user = await find_user(request.scope)
    return {"name": user.username, "email": user.email}


@app.post("/notes")
async def add() -> tuple[dict[str, str | None], int]:
    """Add a note; for those who may write."""
    token = await may_write(request.scope)
    return {"added": request.args["text"], "by": token.username}, 201
