"""The views of both, as their documentation has them."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")

import django

django.setup()

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response
from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView


@api_view(["GET"])
def me(request):
    """Say who this is, by simplejwt's access token."""
    return Response({"user": str(request.user.pk)})


@api_view(["GET"])
@authentication_classes([OAuth2Authentication])
def oauth_me(request):
    """Say who this is, by django-oauth-toolkit's access token."""
    return Response({"user": str(request.user.pk)})


urlpatterns = [
    path("login", TokenObtainPairView.as_view()),
    path("refresh", TokenRefreshView.as_view()),
    path("logout", TokenBlacklistView.as_view()),
    path("me", me),
    path("oauth-me", oauth_me),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


def prepare() -> None:
    """Make the database, a user and an OAuth client."""
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("ann", password="x")
    Application.objects.create(
        name="app", client_id="app", client_secret="", client_type="public", authorization_grant_type="password"
    )


app = get_wsgi_application()

if __name__ == "__main__":
    prepare()
