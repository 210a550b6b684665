"""Django: the tokens are in the project's own database, for all of its processes; a view says if it has to reconnect.

python django_site.py migrate
python django_site.py runserver
"""

import os
import sys
from functools import lru_cache

import httpx2
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

from daypass import LoginRequired, RefreshUnavailable, StoreError
from daypass.client.httpx import DaypassAuth
from daypass.client.oauth import OAuth
from daypass.client.storage.django import DjangoStorage

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_FILE"]}},
    INSTALLED_APPS=["daypass.client.storage.django"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["COOKIE_SECRET"],
)
BOOKS = OAuth(client_id=os.environ["BOOKS_CLIENT_ID"], token_endpoint=os.environ["BOOKS_TOKEN_URL"])


@lru_cache(1_000)
def auth_of(account: str) -> DaypassAuth:
    """Return what keeps an account's connection logged in; ``start`` puts the tokens of a login into it."""
    storage = DjangoStorage(f"books/{account}", secret=os.environ["DAYPASS_VAULT_SECRET"])
    return DaypassAuth(os.environ["BOOKS_URL"], strategy=BOOKS, storage=storage)


def profile(request: HttpRequest) -> JsonResponse:
    account = request.headers.get("x-tenant", "tenant-42")  # replace this by your user's
    try:
        with httpx2.Client(base_url=os.environ["BOOKS_URL"], auth=auth_of(account)) as books:
            return JsonResponse(books.get("/me").raise_for_status().json())
    except LoginRequired:
        return JsonResponse({"error": "connect your account again"}, status=409)
    except (RefreshUnavailable, StoreError) as error:
        headers = {"retry-after": str(round(getattr(error, "retry_after", None) or 1))}
        return JsonResponse({"error": "the service does not answer now"}, status=503, headers=headers)


urlpatterns = [path("profile", profile)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
