"""An API whose users stay logged in, in Starlette: run it with uvicorn app:app."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from daypass import AsyncDaypass, User
from daypass.web.starlette import auth_routes, bearer, current_user, well_known_routes

ANN = User("1", username="ann", email="ann@example.com", scope="read write")
BEN = User("2", username="ben", email="ben@example.com", scope="read")
PEOPLE = {"1": ANN, "2": BEN}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database


def check_password(name: str, password: str) -> User | None:
    """Return whose name (or address) and password these are."""
    user = next((user for user in PEOPLE.values() if name in (user.username, user.email)), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass("sqlite:///app.db", issuer="https://api.example.com", load_user=PEOPLE.get)
get_user = current_user(auth)
may_write = bearer(auth, scope="write")


async def profile(request: Request) -> JSONResponse:
    """Return the user, as the database has them now."""
    user = await get_user(request)
    return JSONResponse({"name": user.username, "email": user.email})


async def add(request: Request) -> JSONResponse:
    """Add a note; for those who may write."""
    token = await may_write(request)
    return JSONResponse({"added": request.query_params["text"], "by": token.username}, 201)


async def live(websocket: WebSocket) -> None:
    """Open a WebSocket for those who may write; others are refused before it is opened."""
    token = await may_write(websocket)
    await websocket.accept()
    await websocket.send_text(f"Hello, {token.username}!")
    await websocket.close()


app = Starlette(
    routes=[
        Mount("/auth", routes=auth_routes(auth, authenticate=check_password)),
        *well_known_routes(auth),
        Route("/profile", profile),
        Route("/notes", add, methods=["POST"]),
        WebSocketRoute("/live", live),
    ]
)
