"""Advises what to add when a view reads a request attribute that no middleware or guard has set."""

from typing import Any

from django.http import HttpRequest


class _Missing:
    """An attribute of requests that raises an `AttributeError` with advice, until a request has one itself."""

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __get__(self, request: HttpRequest | None, _: object = None) -> Any:
        if request is None:
            return self
        raise AttributeError(self._advice)


_GUARD = "this view is not guarded: write @bearer(auth) above it, or @current_user(auth)"
_ADVICE = {
    "daypass": "request.daypass needs the middleware of daypass.web.django.pages: add your Pages(auth) to MIDDLEWARE",
    "daypass_token": f"request.daypass_token: {_GUARD}",
    "daypass_user": "request.daypass_user: this view gets no user: write @current_user(auth) above it",
}


def explain_missing() -> None:
    """Give Django's requests these attributes; a class attribute of its own stays as it is."""
    for name, advice in _ADVICE.items():
        if not hasattr(HttpRequest, name):
            setattr(HttpRequest, name, _Missing(advice))
