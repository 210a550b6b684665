"""The API behind the page: notes, live for everybody who looks at them. Run it with uvicorn app:app.

It has POST /auth/login, /auth/refresh and all the rest, hands out the npm package at /auth/daypass.tgz, and serves the
page when Vite has built it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

from fastapi import Body, Depends, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from daypass import AccessToken, AsyncDaypass, User
from daypass.web.fastapi import REFUSALS, auth_router, bearer

PEOPLE = {"1": User("1", username="ann"), "2": User("2", username="ben")}
PASSWORDS = {"1": "correct horse battery", "2": "correct horse battery"}  # yours are hashed, in your database
DIST = Path(__file__).with_name("dist")


def check_password(name: str, password: str) -> User | None:
    """Return whose name and password these are."""
    user = next((user for user in PEOPLE.values() if user.username == name), None)
    return user if user is not None and PASSWORDS[user.subject] == password else None


auth = AsyncDaypass("sqlite:///app.db", issuer="http://localhost:8000", load_user=PEOPLE.get)
require = bearer(auth)
Reader = Annotated[AccessToken, Depends(require)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run what Daypass does in the background."""
    async with auth:
        yield


app = FastAPI(title="Notes", lifespan=lifespan)
app.include_router(auth_router(auth, authenticate=check_password), prefix="/auth")

notes: list[dict[str, str | None]] = []
watching: set[WebSocket] = set()


@app.get("/api/notes", responses=REFUSALS)
async def read(_: Reader) -> list[dict[str, str | None]]:
    """Return all notes."""
    return notes


@app.post("/api/notes", status_code=201, responses=REFUSALS)
async def add(text: Annotated[str, Body(embed=True)], token: Reader) -> None:
    """Add a note."""
    notes.append({"by": token.username, "text": text})
    for each in list(watching):
        with suppress(WebSocketDisconnect):
            await each.send_text("changed")


@app.websocket("/api/changes")
async def changes(websocket: WebSocket) -> None:
    """Send a message whenever the notes have changed, until the session ends."""
    async with require.watch(websocket) as watched:
        watching.add(watched)
        try:
            async for _ in watched.iter_text():
                pass  # the page sends only its newer access tokens, which are read here
        finally:
            watching.discard(watched)


if DIST.exists():
    app.mount("/assets", StaticFiles(directory=DIST / "assets"))

    @app.get("/{path:path}", include_in_schema=False)
    async def page() -> FileResponse:
        """Return the page, whatever the path: it has its own router."""
        return FileResponse(DIST / "index.html", headers={"cache-control": "no-cache"})
