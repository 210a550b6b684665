"""A JSON API in Flask whose clients stay logged in: flask --app examples/flask_api/app.py run."""

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash

from daypass import Daypass, User
from daypass.web.flask import auth_blueprint, bearer, current_token, current_user, well_known_blueprint

ANN = User("1", "ann", "ann@example.com", scope="notes:read notes:write")
BOB = User("2", "bob", "bob@example.com", scope="notes:read")
PEOPLE = {user.subject: user for user in (ANN, BOB)}
PASSWORDS = {"ann@example.com": "correct horse", "bob@example.com": "battery staple"}  # yours are in a database
HASHES = {email: generate_password_hash(password) for email, password in PASSWORDS.items()}
NOBODY = generate_password_hash("")


def check_password(email: str, password: str) -> User | None:
    """Return the user with this address and password; it takes as long for an address that nobody has."""
    matches = check_password_hash(HASHES.get(email, NOBODY), password)
    return next((user for user in PEOPLE.values() if user.email == email), None) if matches else None


def create_app() -> Flask:
    """Return the application; FLASK_DATABASE, FLASK_ISSUER and FLASK_ACCESS_TTL say otherwise."""
    app = Flask(__name__)
    app.config.from_mapping(DATABASE="sqlite:///notes.db", ISSUER="http://localhost:5000", ACCESS_TTL="15m")
    app.config.from_prefixed_env()
    auth = Daypass(
        app.config["DATABASE"],
        issuer=app.config["ISSUER"],
        access_ttl=app.config["ACCESS_TTL"],
        load_user=PEOPLE.get,
        authenticate=check_password,
    )
    app.register_blueprint(auth_blueprint(auth), url_prefix="/auth")
    app.register_blueprint(well_known_blueprint(auth))
    notes: dict[str, list[str]] = {}

    @app.get("/notes")
    @bearer(auth, scope="notes:read")
    def read_notes() -> ResponseReturnValue:
        return {"notes": notes.get(current_token.subject, [])}

    @app.post("/notes")
    @bearer(auth, scope="notes:write")
    def write_note() -> ResponseReturnValue:
        notes.setdefault(current_token.subject, []).append(str(request.get_json()["text"]))
        return {"notes": notes[current_token.subject]}, 201

    require_user = current_user(auth)

    @app.get("/me")
    def me() -> ResponseReturnValue:
        user = require_user()
        return {"username": user.username, "email": user.email}

    return app
