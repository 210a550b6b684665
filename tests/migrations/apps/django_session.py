"""Sessions of django.contrib.auth in the database."""

import json
from typing import Any

from tests.migrations.apps import ISSUER, SECRET, node, serve_wsgi
from tests.migrations.apps.django_setup import set_up, user_named

NODE = node()
SESSIONS = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
PAGES = [] if NODE.mode == "old" else ["__main__.pages"]
set_up(NODE, MIDDLEWARE=[*SESSIONS, *PAGES])

from django.contrib import auth as django_auth
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path


def login(request: Any) -> JsonResponse:
    user = user_named(json.loads(request.body)["user"])
    django_auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return JsonResponse({})


if NODE.mode == "old":

    def me(request: Any) -> JsonResponse:
        user = request.user
        return JsonResponse({"user": user.username} if user.is_authenticated else {}, status=200 if user.pk else 401)

else:
    from daypass import Daypass, User
    from daypass.migrate import django_session
    from daypass.web.django.pages import Pages

    def load(subject: str) -> User:
        return User(subject, username=django_auth.get_user_model().objects.get(pk=subject).username)

    auth = Daypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=load, migrate=django_session())
    pages = Pages(auth)

    def me(request: Any) -> JsonResponse:
        token = request.daypass.token
        return JsonResponse({"user": token.username} if token else {}, status=200 if token else 401)


urlpatterns = [path("login", login), path("me", me)]

if __name__ == "__main__":
    serve_wsgi(get_wsgi_application(), NODE.port)
