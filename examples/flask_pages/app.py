"""A site in Flask, rendered on the server, whose users stay logged in without JavaScript.

flask --app examples/flask_pages/app.py run
"""

import hashlib

from flask import Flask, redirect, render_template_string, request
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash

from daypass import Daypass, User
from daypass.web.flask import bearer, current_login, current_token
from daypass.web.wsgi_pages import Pages

ANN = User("1", "ann", "ann@example.com")
PASSWORD = generate_password_hash("correct horse")  # yours are in a database
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Files</title>
{% if token %}<p>Hello {{ token.username }}. {{ said }}</p>
<form method="post" action="/files" enctype="multipart/form-data"><input type="file" name="file">
<button>Upload</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
{% else %}<p>{{ said }}</p>
<form method="post" action="/login"><input name="email" type="email"><input name="password" type="password">
<button>Log in</button></form>{% endif %}</html>"""


def create_app() -> Flask:
    """Return the application; FLASK_DATABASE, FLASK_ISSUER and FLASK_ACCESS_TTL say otherwise."""
    app = Flask(__name__)
    app.config.from_mapping(DATABASE="sqlite:///files.db", ISSUER="http://localhost:5000", ACCESS_TTL="15m")
    app.config.from_prefixed_env()
    store, issuer, access_ttl = (app.config[name] for name in ("DATABASE", "ISSUER", "ACCESS_TTL"))
    auth = Daypass(store, issuer=issuer, access_ttl=access_ttl, load_user={ANN.subject: ANN}.get)
    app.wsgi_app = Pages(app.wsgi_app, auth)  # type: ignore[method-assign]  # as Flask's documentation has it
    require = bearer(auth)

    @app.get("/")
    def home() -> ResponseReturnValue:
        return render_template_string(PAGE, token=current_login.token, said="")

    @app.post("/login")
    def login() -> ResponseReturnValue:
        matches = check_password_hash(PASSWORD, request.form["password"])
        if request.form["email"] != ANN.email or not matches:
            return render_template_string(PAGE, said="That is not right."), 403
        current_login.log_in(auth.start(ANN))
        return redirect("/", 303)

    @app.post("/files")
    @require
    def upload() -> ResponseReturnValue:
        found = hashlib.sha256(request.files["file"].read()).hexdigest()
        return render_template_string(PAGE, token=current_token, said=f"It came with the SHA-256 {found}.")

    @app.post("/logout")
    def logout() -> ResponseReturnValue:
        current_login.log_out()
        return redirect("/", 303)

    @app.errorhandler(401)
    def unauthorized(_: Exception) -> ResponseReturnValue:
        return render_template_string(PAGE, said="Please log in."), 401

    return app
