"""Log lines of the service as JSON, one object a line, with the id of the request that they belong to."""

import json
import logging
import re
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["text", "json"]

request_id: ContextVar[str | None] = ContextVar("daypass_request_id", default=None)
"""The id of the request that is answered now."""

trace_ids: ContextVar[tuple[str, str] | None] = ContextVar("daypass_trace_ids", default=None)
"""The trace and the span of that request, if traces are on."""

_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON: ``at``, ``level``, ``logger``, ``message``, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            fields["request_id"] = current
        if (traced := trace_ids.get()) is not None:
            fields["trace_id"], fields["span_id"] = traced
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def configure(form: Format) -> None:
    """Write all logs as JSON to standard error, and each request at INFO; ``text`` leaves logging as it is."""
    if form == "text":
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("daypass.requests").setLevel(logging.INFO)


def new_request_id(given: str | None) -> str:
    """Return the id that a proxy gave a request, if it looks valid; otherwise a new one."""
    return given if given is not None and _GIVEN.fullmatch(given) else secrets.token_hex(8)
