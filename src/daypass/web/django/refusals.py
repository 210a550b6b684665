"""The middleware that answers for a view whose request was refused in the middle of it."""

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from daypass.web.django.require import Refused


class AnswerRefusals:
    """Answers with `Refused.response` where a view lets that error through."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Hand the request on; what comes back is awaited by whoever handed on a coroutine function."""
        return self._get_response(request)

    def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response to a refused request, None for every other error."""
        return error.response if isinstance(error, Refused) else None
