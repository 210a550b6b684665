"""The text of a session in a storage. Pure.

A storage with its own clock knows how long ago a record was written, and the record says how old its access token was
then. Without such a clock, the age of an access token is measured on the monotonic clock until the machine restarts, so
a wrong wall clock does not matter. After a restart, or if restarts cannot be detected, the wall clock is used; a token
that seems to come from the future counts as new.

A record names the server of its refresh token, so no client sends it to another server. Records of version 0.1 name
none: any client accepts them, and they get its server when they are written again.

If the session is bound to a key, the record has its private key, and whether the access token is bound too.

Instead of tokens, a record may say that the session has ended, and why, or that the newest tokens could not be written:
then the older ones are useless and are not kept.
"""

import json
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from daypass.client.messages import Cookie, Grant
from daypass.client.parsing import is_token, json_object
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens, tokens_from
from daypass.value import value

FORMAT = 1
_BEGINNING = '{"daypass": '


class Now(NamedTuple):
    """The time on both clocks.

    Attributes:
        monotonic: in milliseconds on the client's monotonic clock.
        wall: in milliseconds since the epoch.
        boot: changes with each restart of the machine; ``None`` if it is not known.
    """

    monotonic: int
    wall: int
    boot: str | None


class Ended(NamedTuple):
    """The session has ended, for this reason."""

    reason: str


class Behind(NamedTuple):
    """Another process has newer tokens, and could not write them, for this reason."""

    reason: str


@value(frozen=True, slots=True)
class Damaged:
    """The text is a record that was cut off or overwritten; a login may replace it."""


Record: TypeAlias = Tokens | Ended | Behind | Damaged


def write_record(record: Tokens | Ended | Behind, record_id: str, now: Now, server: str | None = None) -> str:
    """Return the text of a record; ``record_id`` is different each time it is written."""
    fields: dict[str, Any] = {"daypass": FORMAT, "id": record_id}
    if server is not None and not isinstance(record, Ended):
        fields["server"] = server
    match record:
        case Ended(reason):
            fields["ended"] = reason
        case Behind(reason):
            fields["behind"] = reason
        case tokens:
            fields |= _fields(tokens, now)
    return json.dumps(fields)


def record_id_of(text: str | None) -> str | None:
    """Return the id of a record; ``None`` if there is no id in it."""
    return _text_in(text, "id")


def server_of(text: str | None) -> str | None:
    """Return the server of a record's refresh token; ``None`` if the record does not say."""
    return _text_in(text, "server")


def _text_in(text: str | None, name: str) -> str | None:
    found = (json_object(text.encode("utf-8", "replace")) or {}).get(name) if text else None
    return found if isinstance(found, str) else None


def read_record(text: str, now: Now, jitter: float, timing: Timing, age: int | None = None) -> Record | None:
    """Return the content of a record at the time ``now``; ``None`` if the text is not a record.

    Args:
        text: the text of the record.
        now: the time on both clocks.
        jitter: 0 to 1.
        timing: the client's durations.
        age: milliseconds since the text was written, by a clock shared by all clients; ``None`` without one.
    """
    fields = json_object(text.encode("utf-8", "replace"))
    if fields is None:
        return Damaged() if text.startswith(_BEGINNING) or not text.strip("\0 \r\n\t") else None
    try:
        return _read(fields, now, jitter, timing, age)
    except (KeyError, TypeError, ValueError):
        return None


def _fields(tokens: Tokens, now: Now) -> dict[str, Any]:
    return {
        "login": tokens.login_id,
        "accessToken": tokens.access_token,
        "refreshToken": tokens.refresh_token,
        "cookie": tokens.cookie and [tokens.cookie.name, tokens.cookie.value],
        "lifetime": tokens.lifetime,
        "receivedAt": {  # an old name: the age counts from when the request was sent
            "monotonic": tokens.sent_at,
            "wall": now.wall - (now.monotonic - tokens.sent_at),
            "boot": now.boot,
        },
        "age": max(0, now.monotonic - tokens.sent_at),
        "refreshed": tokens.refreshed_at is not None,
        "grace": tokens.grace,
        **({} if tokens.context is None else {"context": dict(tokens.context)}),
        **({} if tokens.key is None else {"key": tokens.key, "bound": tokens.bound}),
    }


def _read(fields: dict[str, Any], now: Now, jitter: float, timing: Timing, since: int | None) -> Record | None:
    record_id = fields["id"]
    if fields["daypass"] != FORMAT or not isinstance(record_id, str):
        return None
    for kind, name in ((Ended, "ended"), (Behind, "behind")):
        if isinstance(reason := fields.get(name), str):
            return kind(reason)
    access_token, lifetime, sent = fields["accessToken"], fields["lifetime"], fields["receivedAt"]
    refresh_token, cookie = fields["refreshToken"], fields["cookie"]
    grace, login_id = fields.get("grace", 0), fields.get("login", record_id)
    if not isinstance(access_token, str) or not isinstance(login_id, str) or not isinstance(grace, int):
        return None
    if refresh_token is not None and not is_token(refresh_token):
        return None
    if not isinstance(sent["wall"], int) or not isinstance(lifetime, int | None):
        return None
    if not _is_context(context := fields.get("context")):
        return None
    if not isinstance(key := fields.get("key"), str | None):
        return None
    age = _age(fields, sent, now, since)
    kept = Cookie(*map(str, cookie)) if cookie else None
    bound = key is not None and bool(fields.get("bound"))
    grant = Grant(access_token, lifetime, refresh_token, kept, grace, context, bound, key)
    tokens = tokens_from(grant, login_id, now.monotonic - age, jitter, timing)
    return replace(tokens, record_id=record_id, refreshed_at=tokens.sent_at if fields.get("refreshed") else None)


def _age(fields: dict[str, Any], sent: dict[str, Any], now: Now, since: int | None) -> int:
    """Return the age of the access token, in milliseconds."""
    if since is not None and isinstance(before := fields.get("age"), int):
        return before + since
    same_run = now.boot is not None and sent["boot"] == now.boot
    return max(0, now.monotonic - int(sent["monotonic"]) if same_run else now.wall - sent["wall"])


def _is_context(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values()))
