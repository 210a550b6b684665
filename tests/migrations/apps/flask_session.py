"""Flask's signed session cookie, with Flask-Login."""

from typing import Any

from flask import Flask, jsonify, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user

from tests.migrations.apps import ISSUER, SECRET, node, serve_wsgi

NODE = node()
app = Flask(__name__)
app.secret_key = "an old secret key"
manager = LoginManager(app)


class Member(UserMixin):
    """A user of Flask-Login."""

    def __init__(self, name: str) -> None:
        self.id = name


manager.user_loader(Member)


@app.post("/login")
def login() -> dict[str, str]:
    session.permanent = True
    login_user(Member(request.json["user"]))
    return {}


if NODE.mode == "old":

    @app.get("/me")
    def me() -> tuple[dict[str, str], int]:
        return ({"user": current_user.id}, 200) if current_user.is_authenticated else ({}, 401)

else:
    from daypass import Daypass, User
    from daypass.migrate import flask_session
    from daypass.web.flask import current_login
    from daypass.web.wsgi_pages import Pages

    auth = Daypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=User, migrate=flask_session(app))
    app.wsgi_app = Pages(app.wsgi_app, auth)

    @app.get("/me")
    def me() -> Any:
        token = current_login.token
        return jsonify(user=token.subject) if token else (jsonify(), 401)


if __name__ == "__main__":
    serve_wsgi(app, NODE.port)
