"""An asynchronous JSON API in Django.

python app.py migrate && python app.py createsuperuser && uvicorn app:application
"""

import os
import sys

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import include, path

from daypass import AsyncDaypass
from daypass.web.django import auth_urls, bearer, current_user, users, well_known_urls

auth = AsyncDaypass(
    "sqlite:///sessions.db",
    issuer="http://localhost:8000",
    access_ttl=os.environ.get("ACCESS_TTL", "15m"),
    load_user=users.aload_user,
    authenticate=users.aauthenticate,
)
settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "yours is not in the source"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "api.db"}},
)


@bearer(auth)
async def who(request):
    """Tell what the access token says; this asks no database."""
    return JsonResponse({"username": request.daypass_token.username})


@current_user(auth)
async def me(request):
    """Tell what the database says of the user."""
    return JsonResponse({"username": request.daypass_user.username, "email": request.daypass_user.email})


application = get_asgi_application()
urlpatterns = [
    path("who", who),
    path("me", me),
    path("auth/", include(auth_urls(auth))),
    *well_known_urls(auth),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
