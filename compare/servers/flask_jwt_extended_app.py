"""Flask-JWT-Extended, as its documentation has it: refresh tokens without state."""

from flask import Flask, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = "s" * 32
JWTManager(app)


@app.post("/login")
def login():
    """Start a session."""
    return jsonify(access=create_access_token("1"), refresh=create_refresh_token("1"))


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    """Issue an access token."""
    return jsonify(access=create_access_token(get_jwt_identity()))


@app.get("/me")
@jwt_required()
def me():
    """Say who this is."""
    return jsonify(user=get_jwt_identity())
