"""Test clients of the frameworks, logged in: each is the framework's own, with the user's token or cookies.

For pages, use ``cookies=True``: then the client has the cookies of a browser instead of an ``Authorization``.
"""

from typing import Any

from daypass.errors import ConfigurationError
from daypass.testing.logged_in import HOST, LoggedIn


def client_for(app: Any, login: LoggedIn, *, cookies: bool = False) -> Any:
    """Return a test client for a FastAPI, Starlette or Flask application, chosen by its type.

    Raises:
        ConfigurationError: it is of another framework.
    """
    names = {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(app).__mro__}
    if "starlette.Starlette" in names:
        return starlette_client(app, login, cookies=cookies)
    if "flask.Flask" in names:
        return flask_client(app, login, cookies=cookies)
    raise ConfigurationError(
        f"daypass_app is a {type(app).__name__}: return a FastAPI, Starlette or Flask application, "
        "or use daypass_django_client, or give login.headers to your own client"
    )


def starlette_client(app: Any, login: LoggedIn, *, cookies: bool = False) -> Any:
    """Return Starlette's ``TestClient`` for an application of Starlette or FastAPI."""
    from starlette.testclient import TestClient

    if cookies:
        return TestClient(app, base_url=f"https://{HOST}", cookies=login.cookies)
    return TestClient(app, base_url=f"https://{HOST}", headers=login.headers)


def flask_client(app: Any, login: LoggedIn, *, cookies: bool = False) -> Any:
    """Return Flask's test client."""
    from flask.testing import FlaskClient

    class Client(app.test_client_class or FlaskClient):  # type: ignore[misc]  # the application may have its own
        def open(self, *args: Any, **options: Any) -> Any:
            if args and isinstance(args[0], str):
                options.setdefault("base_url", f"https://{HOST}")
            return super().open(*args, **options)

    client = Client(app, app.response_class)
    if cookies:
        for name, value in login.cookies.items():
            client.set_cookie(name, value, domain=HOST)
    else:
        client.environ_base |= {"HTTP_AUTHORIZATION": login.headers["Authorization"]}
    return client


def django_client(login: LoggedIn, *, cookies: bool = False) -> Any:
    """Return Django's test client."""
    from django.test import Client

    class SecureClient(Client):
        def generic(self, *args: Any, **options: Any) -> Any:
            return super().generic(*args, **{**options, "secure": True})

    if not cookies:
        return SecureClient(headers=login.headers)
    client = SecureClient()
    for name, value in login.cookies.items():
        client.cookies[name] = value
    return client
