"""A view in Django and one in Django REST framework that another service guards."""

from typing import Any, ClassVar

from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from daypass.web.django import bearer
from daypass.web.django.rest_framework import HasAuthentication, HasScope, StatelessAuthentication

from .project import Wsgi

NEEDED: dict[str, dict[str, Any]] = {"me": {}, "write": {"scope": "write"}, "mfa": {"acr": "mfa"}}
"""The routes, and what their guards need."""


def in_django(auth: Any) -> Wsgi:
    """Return a project whose ``/me`` is guarded by ``bearer``."""

    def me(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"user": request.daypass_token.subject})  # type: ignore[attr-defined]  # the guard sets it

    return Wsgi([path(name, bearer(auth, **needed)(me)) for name, needed in NEEDED.items()])


def in_rest_framework(auth: Any) -> Wsgi:
    """Return a project whose ``/me`` is guarded by an authentication class."""

    class Me(APIView):
        authentication_classes: ClassVar = [type("Chosen", (StatelessAuthentication,), {"auth": auth})]
        permission_classes: ClassVar = [IsAuthenticated]

        def get(self, request: Any) -> Response:
            return Response({"user": request.user.pk})

    needed = {"me": IsAuthenticated, "write": HasScope("write"), "mfa": HasAuthentication(acr="mfa")}
    return Wsgi([path(name, Me.as_view(permission_classes=[each])) for name, each in needed.items()])
