"""The middleware that sends the response if a guard refuses a request inside a view."""

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from daypass.web.django.require import Refused


class AnswerRefusals:
    """Answers with `Refused.response` if a view raises `Refused`."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Pass the request on; Django awaits the result if ``get_response`` is async."""
        return self._get_response(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response to a refused request, None for every other error."""
        return error.response if isinstance(error, Refused) else None
