"""Flask-JWT-Extended."""

from datetime import timedelta
from typing import Any

from flask import Flask, Response, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    decode_token,
    get_jwt_identity,
    jwt_required,
)
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError

from tests.migrations.apps import ISSUER, SECRET, node, serve_wsgi

NODE = node()
app = Flask(__name__)
app.config.update(
    JWT_SECRET_KEY="an old secret key, long enough for HS256",
    JWT_REFRESH_TOKEN_EXPIRES=timedelta(days=30),
    JWT_ACCESS_TOKEN_EXPIRES=timedelta(minutes=5),
)
JWTManager(app)


def pair(subject: str) -> dict[str, str]:
    return {"access": create_access_token(subject), "refresh": create_refresh_token(subject)}


def old_refresh(text: str) -> tuple[int, dict[str, Any]]:
    try:
        claims = decode_token(text)
    except (JWTExtendedException, PyJWTError) as error:
        return 401, {"error": str(error)}
    return 200, pair(claims["sub"])


@app.post("/login")
def login() -> Response:
    return jsonify(pair(request.json["user"]))


if NODE.mode == "old":
    refreshed = old_refresh

    @app.get("/me")
    @jwt_required()
    def me() -> dict[str, str]:
        return {"user": get_jwt_identity()}

else:
    from daypass import Daypass, User
    from daypass.migrate import flask_jwt_extended
    from daypass.web.flask import bearer, current_token
    from tests.migrations.apps import moving

    auth = Daypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=User, migrate=flask_jwt_extended(app))

    def refreshed(text: str) -> tuple[int, dict[str, Any]]:
        return moving.refresh(NODE.mode, auth, text, old_refresh, pair)

    @app.get("/me")
    @bearer(auth)
    def me() -> dict[str, str]:
        return {"user": current_token.subject}


@app.post("/refresh")
def refresh() -> tuple[dict[str, Any], int]:
    status, body = refreshed(request.json["refresh"])
    return body, status


if __name__ == "__main__":
    serve_wsgi(app, NODE.port)
