"""Daypass in Flask, over real HTTP, and what a Flask developer may do with it."""

from typing import Any

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from daypass.web.flask import auth_blueprint, bearer, current_user, well_known_blueprint

from .live import told
from .live_wsgi import MountedInWsgi, SyncApplication
from .world import body_of


class TestFlask(MountedInWsgi):
    refusal = body_of
    makers = (auth_blueprint, well_known_blueprint, bearer, current_user)

    def mount(self, application: SyncApplication, prefix: str = "/auth", **options: Any) -> Flask:
        app = Flask(__name__)
        auth = application.auth
        app.register_blueprint(auth_blueprint(auth, authenticate=application.check, **options), url_prefix=prefix)
        app.register_blueprint(well_known_blueprint(auth))
        require = bearer(auth)

        @app.get("/profile")
        def profile() -> ResponseReturnValue:
            return jsonify(told(require()))

        return app
