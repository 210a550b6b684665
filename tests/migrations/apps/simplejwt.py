"""djangorestframework-simplejwt."""

import json
from datetime import timedelta
from typing import Any

from tests.migrations.apps import ISSUER, SECRET, node, serve_wsgi
from tests.migrations.apps.django_setup import set_up, user_named

NODE = node()
BLACKLIST = (NODE.folder / "blacklist").exists()
set_up(
    NODE,
    apps=("rest_framework", *(("rest_framework_simplejwt.token_blacklist",) if BLACKLIST else ())),
    SIMPLE_JWT={
        "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
        "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": BLACKLIST,
    },
)

from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken, TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.tokens import RefreshToken


def pair(user: Any) -> dict[str, str]:
    token = RefreshToken.for_user(user)
    return {"access": str(token.access_token), "refresh": str(token)}


def login(request: Any) -> JsonResponse:
    return JsonResponse(pair(user_named(json.loads(request.body)["user"])))


def old_refresh(text: str) -> tuple[int, dict[str, Any]]:
    serializer = TokenRefreshSerializer(data={"refresh": text})
    try:
        serializer.is_valid(raise_exception=True)
    except (TokenError, InvalidToken, AuthenticationFailed) as error:
        return 401, {"error": str(error)}
    return 200, serializer.validated_data


def old_me(request: Any) -> JsonResponse:
    try:
        user, _ = JWTAuthentication().authenticate(request)
    except (TokenError, InvalidToken, AuthenticationFailed) as error:
        return JsonResponse({"error": str(error)}, status=401)
    return JsonResponse({"user": str(user.pk)})


def pair_of(subject: str) -> dict[str, str]:
    return pair(get_user_model().objects.get(pk=subject))


if NODE.mode == "old":
    me, refreshed = old_me, old_refresh
else:
    from daypass import Daypass, User
    from daypass.migrate import simplejwt
    from daypass.web.django import bearer
    from tests.migrations.apps import moving

    auth = Daypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=User, migrate=simplejwt())

    @bearer(auth)
    def me(request: Any) -> JsonResponse:
        return JsonResponse({"user": request.daypass_token.subject})

    def refreshed(text: str) -> tuple[int, dict[str, Any]]:
        return moving.refresh(NODE.mode, auth, text, old_refresh, pair_of)


def refresh(request: Any) -> JsonResponse:
    status, body = refreshed(json.loads(request.body)["refresh"])
    return JsonResponse(body, status=status)


urlpatterns = [path("login", login), path("refresh", refresh), path("me", me)]

if __name__ == "__main__":
    serve_wsgi(get_wsgi_application(), NODE.port)
