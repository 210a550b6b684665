"""The fixtures for applications' tests, in pytest processes of their own, with each framework."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"^```text\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)

CONFTEST = """
import pytest
import app as application

@pytest.fixture
def daypass_auth():
    return application.auth

@pytest.fixture
def daypass_app():
    return application.app
"""

TESTS = """
import pytest
from daypass import TokenReused

def test_header({client}):
    assert {client}.get("/me").status_code == 200

def test_cookies({browser}, daypass_login):
    assert {browser}.get("/page").status_code == 200
    daypass_login.expire_access_token()
    assert {browser}.get("/page").status_code == 200
    daypass_login.end()
    assert {browser}.get("/page").status_code == 401

def test_thief({client}, daypass_login, daypass_clock):
    thief = daypass_login.steal()
    daypass_login.refresh()
    daypass_clock.move(31)
    daypass_login.refresh()
    daypass_clock.move("1h")
    with pytest.raises(TokenReused):
        thief.refresh()
    assert {client}.get("/me", headers=daypass_login.headers).status_code == 401
"""

FLASK = """
import flask
from daypass import Daypass, User
from daypass.web import Application
from daypass.web.flask import bearer, current_login
from daypass.web.wsgi_pages import Pages

auth = Application(Daypass("memory:", issuer="https://app.example", load_user=User), cookie_name="shop")
app = flask.Flask(__name__)
app.wsgi_app = Pages(app.wsgi_app, auth)

@app.get("/me")
@bearer(auth)
def me():
    return "me"

@app.get("/page")
def page():
    return ("page", 200) if current_login.token else ("nobody", 401)
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route
from daypass import AsyncDaypass, User
from daypass.web.asgi_pages import Pages
from daypass.web.starlette import bearer

async def load(subject):
    return User(subject)

auth = AsyncDaypass("sqlite:///app.db", issuer="https://app.example", load_user=load)
require = bearer(auth)

async def me(request):
    await require(request)
    return Response("me")

async def page(request):
    return Response("page", 200 if request.scope["daypass"].token else 401)

app = Starlette(routes=[Route("/me", me), Route("/page", page)], middleware=[Middleware(Pages, auth)])
"""

DJANGO = """
from django.conf import settings

settings.configure(ROOT_URLCONF="app", MIDDLEWARE=["app.pages"], ALLOWED_HOSTS=["*"], SECRET_KEY="x")
import django
django.setup()

from django.http import HttpResponse
from django.urls import path
from daypass import Daypass, User
from daypass.web.django import bearer
from daypass.web.django.pages import Pages

auth = Daypass("memory:", issuer="https://app.example", load_user=User)
pages = Pages(auth)
app = None

@bearer(auth)
def me(request):
    return HttpResponse("me")

def page(request):
    return HttpResponse("page", status=200 if request.daypass.token else 401)

urlpatterns = [path("me", me), path("page", page)]
"""


def run(folder: Path, files: dict[str, str]) -> str:
    """Run pytest in a folder with these files; return its output."""
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "daypass.pytest_plugin", "-W", "error", "--rootdir", "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("app", "client", "browser"),
    [
        (FLASK, "daypass_client", "daypass_browser"),
        (STARLETTE, "daypass_client", "daypass_browser"),
        (DJANGO, "daypass_django_client", "daypass_django_browser"),
    ],
    ids=["flask", "starlette", "django"],
)
def test_a_user_is_logged_in(app: str, client: str, browser: str, tmp_path: Path) -> None:
    """With the token and with cookies; sessions expire, are ended, and thieves are found out."""
    tests = TESTS.format(client=client, browser=browser)
    said = run(tmp_path, {"app.py": app, "conftest.py": CONFTEST, "test_app.py": tests})
    assert "3 passed" in said, said


def test_the_pages_examples_run(tmp_path: Path) -> None:
    """The files that docs/testing.md shows are a project whose tests pass."""
    files = dict(FILE.findall((ROOT / "docs" / "testing.md").read_text(encoding="utf-8")))
    assert {"app.py", "conftest.py", "test_app.py"} == files.keys()
    said = run(tmp_path, files)
    assert "6 passed" in said, said


def test_a_fixture_that_was_not_overridden_says_so(tmp_path: Path) -> None:
    """The error names the fixture and what to return from it."""
    said = run(tmp_path, {"test_app.py": "def test_it(daypass_login): pass"})
    assert "override the fixture daypass_auth in conftest.py: return your Daypass" in said


def test_the_plugin_loads_nothing_before_it_is_used() -> None:
    """Each pytest run of an environment that has Daypass pays for it."""
    script = (
        "import sys, daypass.pytest_plugin; print(sorted(name for name in sys.modules if name.startswith('daypass')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "['daypass', 'daypass.errors', 'daypass.pytest_plugin']" == done.stdout.strip()
