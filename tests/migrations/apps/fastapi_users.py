"""fastapi-users, with its JWT or (if the folder has a file ``database``) its database strategy; by bearer transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi_users.authentication import JWTStrategy
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTable
from sqlalchemy import String
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.migrations.apps import ISSUER, SECRET, node, serve_asgi

NODE = node()
DATABASE = (NODE.folder / "database").exists()
LIFETIME = 14 * 86400


class Base(DeclarativeBase):
    """The tables."""


class AccessToken(SQLAlchemyBaseAccessTokenTable[str], Base):
    """The library's table of tokens; users are not in a table here."""

    user_id: Mapped[str] = mapped_column(String(64))


engine = create_async_engine(f"sqlite+aiosqlite:///{NODE.database}", connect_args={"timeout": 30})
sessions = async_sessionmaker(engine, expire_on_commit=False)
jwt_strategy: Any = JWTStrategy("an old secret key, long enough for HS256", LIFETIME)


class User:
    """What the library needs of a user."""

    def __init__(self, name: str) -> None:
        self.id = name


class Manager:
    """What the library needs of the manager of users."""

    def parse_id(self, value: Any) -> str:
        return str(value)

    async def get(self, name: str) -> User:
        return User(name)


async def issued(subject: str) -> dict[str, str]:
    if not DATABASE:
        token = await jwt_strategy.write_token(User(subject))
    else:
        async with sessions() as session:
            strategy: Any = DatabaseStrategy(SQLAlchemyAccessTokenDatabase(session, AccessToken), LIFETIME)
            token = await strategy.write_token(User(subject))
    return {"access": token, "refresh": token}


async def find(text: str) -> Any:
    async with sessions() as session:
        oldest = datetime.now(UTC) - timedelta(seconds=LIFETIME)
        return await SQLAlchemyAccessTokenDatabase(session, AccessToken).get_by_token(text, oldest)


async def old_user(text: str) -> User | None:
    if not DATABASE:
        user: User | None = await jwt_strategy.read_token(text, Manager())
        return user
    row = await find(text)
    return None if row is None else User(row.user_id)


async def old_refresh(text: str) -> tuple[int, dict[str, Any]]:
    """The library has no refresh: its token stays valid until it expires."""
    if await old_user(text) is None:
        return 401, {"error": "unknown"}
    return 200, {"access": text, "refresh": text}


@asynccontextmanager
async def tables(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=tables)


@app.post("/login")
async def login(user: str = Body(embed=True)) -> dict[str, str]:
    return await issued(user)


if NODE.mode == "old":
    refreshed = old_refresh

    @app.get("/me")
    async def me(request: Request) -> JSONResponse:
        user = await old_user(request.headers["authorization"].removeprefix("Bearer "))
        return JSONResponse({"error": "unknown"}, 401) if user is None else JSONResponse({"user": user.id})

else:
    from daypass import AccessToken as Token
    from daypass import AsyncDaypass
    from daypass import User as DaypassUser
    from daypass.migrate import fastapi_users_database, fastapi_users_jwt
    from daypass.web.fastapi import bearer
    from tests.migrations.apps import moving

    async def load(subject: str) -> DaypassUser:
        return DaypassUser(subject)

    old = fastapi_users_database(find, lifetime_seconds=LIFETIME) if DATABASE else fastapi_users_jwt(jwt_strategy)
    auth = AsyncDaypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=load, migrate=old)

    async def refreshed(text: str) -> tuple[int, dict[str, Any]]:
        return await moving.arefresh(NODE.mode, auth, text, old_refresh, issued)

    @app.get("/me")
    async def me(token: Token = Depends(bearer(auth))) -> dict[str, str]:
        return {"user": token.subject}


@app.post("/refresh")
async def refresh(refresh: str = Body(embed=True)) -> JSONResponse:
    status, body = await refreshed(refresh)
    return JSONResponse(body, status)


if __name__ == "__main__":
    serve_asgi(app, NODE.port)
