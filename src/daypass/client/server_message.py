"""Reads a server's message about a refused request, to show it in Daypass's errors without secrets. Pure."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from daypass.client.messages import Answer
from daypass.client.parsing import json_object

LONGEST_QUOTE = 200
"""How many characters of a server's message are shown in Daypass's errors."""

SHARED = 8
"""A message may not have this many characters in common with a secret."""

_FORM = re.compile(r"[\w.%+*~=&-]+")
_CODE = re.compile(r"[\w .:-]{1,60}")
_TEXTS = ("message", "error_description", "detail", "error_message", "title", "error", "non_field_errors", "msg")


def fields_of(answer: Answer) -> dict[str, Any]:
    """Return the fields of a response in JSON or form encoding (GitHub's default); empty if it is neither."""
    found = json_object(answer.body)
    if found is not None:
        return found
    text = answer.body.decode("utf-8", "replace").strip()
    return dict(parse_qsl(text, keep_blank_values=True)) if _FORM.fullmatch(text) else {}


def said(answer: Answer, secrets: Iterable[str]) -> str:
    """Return a server's message for people, at most `LONGEST_QUOTE` characters; empty if it has nothing to show.

    Args:
        answer: the refusal.
        secrets: texts that were sent and must not be shown: a message that shares `SHARED` characters with one of
            them, or contains a shorter one, is left out.
    """
    body = fields_of(answer)
    texts = (_text(body.get(name)) for name in _TEXTS)
    text = _printable(next(filter(None, texts), ""))
    return "" if leaks(text, secrets) else text[:LONGEST_QUOTE]


def code_of(body: dict[str, Any], secrets: Iterable[str]) -> str | None:
    """Return the ``error`` of a response (HubSpot: ``status``), if it is a short code and contains no secret."""
    for name in ("error", "status"):
        code = body.get(name)
        if isinstance(code, str) and _CODE.fullmatch(code):
            return None if leaks(code, secrets) else code
    return None


def leaks(text: str, secrets: Iterable[str]) -> bool:
    """Return whether ``text`` contains a secret, or `SHARED` characters of it, ignoring case."""
    folded = text.casefold()
    return any(
        piece in folded
        for secret in map(str.casefold, map(_printable, secrets))
        for piece in {secret[at : at + SHARED] for at in range(max(1, len(secret) - SHARED + 1))} - {""}
    )


def _text(value: object) -> str:
    """Return a message as text; accepts a list (Django), FastAPI's ``[{"loc", "msg"}]`` and ``{"message"}``."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_text, value[:3])))
    if isinstance(value, dict):
        place = value.get("loc")
        where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
        found = _text(value.get("msg") or value.get("message"))
        return where + found if found else ""
    return ""


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
