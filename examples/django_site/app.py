"""A site in Django, rendered on the server, whose users stay logged in without JavaScript.

python app.py migrate && python app.py createsuperuser && python app.py runserver
"""

import hashlib
import os
import sys

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.management import execute_from_command_line
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_POST

from daypass import Daypass
from daypass.errors import CredentialsRejected
from daypass.web.django import users
from daypass.web.django.pages import Pages

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Files</title><p>{{ said }}</p>
{% if user.is_authenticated %}<p>Hello {{ user }}.</p>
<form method="post" action="/files" enctype="multipart/form-data">{% csrf_token %}
<input type="file" name="file"><button>Upload</button></form>
<form method="post" action="/logout">{% csrf_token %}<button>Log out</button></form>
{% else %}<form method="post" action="/login">{% csrf_token %}
<input name="username"><input name="password" type="password"><button>Log in</button></form>{% endif %}</html>"""

auth = Daypass(
    "sqlite:///sessions.db",
    issuer="http://localhost:8000",
    access_ttl=os.environ.get("ACCESS_TTL", "15m"),
    load_user=users.load_user,
    authenticate=users.authenticate,
)
pages = Pages(auth, user=True)
context = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
loader = ("django.template.loaders.locmem.Loader", {"page.html": PAGE})
settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "yours is not in the source"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", f"{__name__}.pages"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}},
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [loader], "context_processors": context},
        }
    ],
    LOGIN_URL="/",
)


def home(request):
    """Show the page, to whoever comes."""
    return render(request, "page.html")


@require_POST
def login(request):
    """Log the browser in."""
    try:
        request.daypass.log_in(auth.login(request.POST["username"], request.POST["password"]))
    except CredentialsRejected:
        return render(request, "page.html", {"said": "That is not right."}, status=403)
    return redirect("/")


@require_POST
@login_required
def upload(request):
    """Take a file."""
    found = hashlib.sha256(request.FILES["file"].read()).hexdigest()
    return render(request, "page.html", {"said": f"It came with the SHA-256 {found}."})


@require_POST
def logout(request):
    """Log the browser out, and end its session."""
    request.daypass.log_out()
    return redirect("/")


urlpatterns = [path("", home), path("login", login), path("files", upload), path("logout", logout)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
