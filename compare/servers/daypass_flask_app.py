"""Daypass in Flask, with SQLite."""

import os

from flask import Flask

from daypass import Daypass, User
from daypass.web.flask import auth_blueprint

ANN = User("1", username="ann")
GRACE = int(os.environ["GRACE"])
auth = Daypass("sqlite:///daypass.db", issuer="http://127.0.0.1", load_user={"1": ANN}.get, grace_period=GRACE)
app = Flask(__name__)
app.register_blueprint(auth_blueprint(auth, authenticate=lambda *_: ANN, rate_limits=None), url_prefix="/auth")
