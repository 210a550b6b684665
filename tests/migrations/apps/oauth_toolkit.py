"""django-oauth-toolkit: a public client whose tokens came by some grant, and which refreshes by the form of OAuth."""

import json
from datetime import timedelta
from typing import Any

from tests.migrations.apps import ISSUER, SECRET, node, serve_wsgi
from tests.migrations.apps.django_setup import set_up, user_named

NODE = node()
set_up(
    NODE,
    apps=("oauth2_provider",),
    OAUTH2_PROVIDER={
        "ROTATE_REFRESH_TOKEN": False,
        "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
        "REFRESH_TOKEN_EXPIRE_SECONDS": 14 * 86400,
        "SCOPES": {"read": "Read"},
        "PKCE_REQUIRED": False,
    },
    AUTHENTICATION_BACKENDS=["oauth2_provider.backends.OAuth2Backend", "django.contrib.auth.backends.ModelBackend"],
)

from django.contrib.auth import authenticate, get_user_model
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, QueryDict
from django.urls import path
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, RefreshToken
from oauth2_provider.views import TokenView
from oauthlib.common import generate_token

CLIENT = "phone"
OAUTH = Application.objects.get_or_create(
    client_id=CLIENT,
    defaults={"client_type": "public", "authorization_grant_type": "authorization-code", "client_secret": ""},
)[0]


def pair(user: Any) -> dict[str, str]:
    access = AccessToken.objects.create(
        user=user,
        token=generate_token(),
        application=OAUTH,
        expires=timezone.now() + timedelta(minutes=5),
        scope="read",
    )
    token = RefreshToken.objects.create(user=user, token=generate_token(), application=OAUTH, access_token=access)
    return {"access": access.token, "refresh": token.token}


def pair_of(subject: str) -> dict[str, str]:
    return pair(get_user_model().objects.get(pk=subject))


def login(request: Any) -> JsonResponse:
    return JsonResponse(pair(user_named(json.loads(request.body)["user"])))


def old_refresh(text: str) -> tuple[int, dict[str, Any]]:
    request = HttpRequest()
    request.method = "POST"
    request.META = {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
    }
    request.POST = QueryDict(mutable=True)
    request.POST.update({"grant_type": "refresh_token", "refresh_token": text, "client_id": CLIENT})
    request._body = request.POST.urlencode().encode()
    answer = TokenView.as_view()(request)
    body = json.loads(answer.content)
    if answer.status_code != 200:
        return 401, body
    return 200, {"access": body["access_token"], "refresh": body["refresh_token"]}


if NODE.mode == "old":
    refreshed = old_refresh

    def me(request: Any) -> JsonResponse:
        user = authenticate(request=request)
        return JsonResponse({"error": "no token"}, status=401) if user is None else JsonResponse({"user": str(user.pk)})

else:
    from daypass import Daypass, TokenRejected, User
    from daypass.migrate import oauth_toolkit, user_of
    from daypass.web.django import bearer

    auth = Daypass(NODE.store, issuer=ISSUER, secret=SECRET, load_user=User, migrate=oauth_toolkit())

    def refreshed(text: str) -> tuple[int, dict[str, Any]]:
        ours = text.startswith("dpr_")
        if NODE.mode == "back" and ours:
            user = user_of(auth, text, client_id=CLIENT)
            return (401, {"error": "gone"}) if user is None else (200, pair_of(user.subject))
        if NODE.mode != "move" and not ours:
            return old_refresh(text)
        try:
            tokens = auth.refresh(text, client_id=CLIENT)
        except TokenRejected as error:
            return error.status, {"error": error.code}
        return 200, {"access": tokens.access_token, "refresh": tokens.refresh_token}

    @bearer(auth)
    def me(request: Any) -> JsonResponse:
        return JsonResponse({"user": request.daypass_token.subject})


def refresh(request: Any) -> JsonResponse:
    status, body = refreshed(json.loads(request.body)["refresh"])
    return JsonResponse(body, status=status)


urlpatterns = [path("login", login), path("refresh", refresh), path("me", me)]

if __name__ == "__main__":
    serve_wsgi(get_wsgi_application(), NODE.port)
