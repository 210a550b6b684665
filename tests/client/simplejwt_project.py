"""A Django project with djangorestframework-simplejwt, in one file: rotation, blacklist, one user; prints its URL."""

import sys
from datetime import timedelta
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main(database: str, seconds: float) -> None:
    settings.configure(
        SECRET_KEY="a-key-that-is-long-enough-for-hs256-of-the-test",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="urls_of_the_project",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "rest_framework",
            "rest_framework_simplejwt.token_blacklist",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
        },
        SIMPLE_JWT={
            "ACCESS_TOKEN_LIFETIME": timedelta(seconds=seconds),
            "ROTATE_REFRESH_TOKENS": True,
            "BLACKLIST_AFTER_ROTATION": True,
        },
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model
    from django.core.wsgi import get_wsgi_application

    users: Any = get_user_model().objects
    users.create_user("ada", password="correct horse")
    sys.modules["urls_of_the_project"] = _urls()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), server_class=_Threads, handler_class=_Quiet)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def _urls() -> Any:
    from types import ModuleType

    from django.urls import path
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.views import APIView
    from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView

    class Me(APIView):  # type: ignore[misc]  # REST framework has no types
        permission_classes = (IsAuthenticated,)

        def get(self, request: Any) -> Response:
            return Response({"user": request.user.get_username()})

    urls: Any = ModuleType("urls_of_the_project")
    urls.urlpatterns = [
        path("api/token/", TokenObtainPairView.as_view()),
        path("api/token/refresh/", TokenRefreshView.as_view()),
        path("api/token/blacklist/", TokenBlacklistView.as_view()),
        path("api/me/", Me.as_view()),
    ]
    return urls


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
