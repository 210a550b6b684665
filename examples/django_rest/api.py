"""The API: notes that everybody reads, and staff writes."""

from django.contrib.auth.models import User
from django.urls import include, path
from identity import auth
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

from daypass.web.django import auth_urls, well_known_urls
from daypass.web.django.rest_framework import HasScope

NOTES: list[dict[str, str]] = []  # yours are in a database


@api_view(["GET"])
@permission_classes([HasScope("read")])
def notes(request):  # noqa: ARG001 - as REST framework calls it
    """Show all notes."""
    return Response({"notes": NOTES})


@api_view(["POST"])
@permission_classes([HasScope("write")])
def write(request):
    """Write a note."""
    NOTES.append({"by": request.user.username, "text": request.data["text"]})
    return Response(NOTES[-1], status=201)


@api_view(["POST"])
def password(request):
    """Change one's password, which ends all of one's sessions."""
    user: User = request.user
    user.set_password(request.data["password"])
    user.save()
    return Response(status=204)


urlpatterns = [
    path("notes", notes),
    path("notes/new", write),
    path("password", password),
    path("auth/", include(auth_urls(auth))),
    *well_known_urls(auth),
]
