"""Django: a view that uses its user's connection, and says so if the account has to be connected again.

python django_site.py runserver
"""

import os
import sys

from connections import books
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

from daypass import LoginRequired, RefreshUnavailable

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["COOKIE_SECRET"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def account_of(request: HttpRequest) -> str:
    """Return whose account is used. Replace this by ``request.user``."""
    return request.headers.get("x-tenant", "tenant-42")


def profile(request: HttpRequest) -> JsonResponse:
    try:
        return JsonResponse(books(account_of(request)).get("/me").raise_for_status().json())
    except LoginRequired:
        return JsonResponse({"error": "connect your account again", "at": "/connect"}, status=409)
    except RefreshUnavailable as error:
        headers = {"retry-after": str(round(error.retry_after or 1))}
        return JsonResponse({"error": "the service does not answer now"}, status=503, headers=headers)


urlpatterns = [path("profile", profile)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
