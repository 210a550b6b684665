"""The text in which a session is kept between runs. Pure.

The age of the access token is counted on the monotonic clock where the same run of the machine reads it again, so a
wrong wall clock changes nothing; after a reboot, and where a machine cannot tell, the wall clock is all there is, and a
token that seems to come from its future is taken to be just received.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from daypass.client.messages import Cookie, Grant
from daypass.client.parsing import is_token, json_object
from daypass.client.timing import Timing
from daypass.client.tokens import Tokens, tokens_from

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Now:
    """What time it is, on every clock there is.

    Attributes:
        monotonic: in milliseconds on the client's monotonic clock.
        wall: in milliseconds since the epoch.
        boot: tells this run of the machine from others; ``None`` where it cannot be told.
    """

    monotonic: int
    wall: int
    boot: str | None


def write_record(held: Tokens, record_id: str, now: Now) -> str:
    """Return the text for what is held; ``record_id`` is of this writing alone."""
    return json.dumps(
        {
            "daypass": FORMAT,
            "id": record_id,
            "accessToken": held.access_token,
            "refreshToken": held.refresh_token,
            "cookie": held.cookie and [held.cookie.name, held.cookie.value],
            "lifetime": held.lifetime,
            "receivedAt": {
                "monotonic": held.received_at,
                "wall": now.wall - (now.monotonic - held.received_at),
                "boot": now.boot,
            },
        }
    )


def record_id_of(text: str | None) -> str | None:
    """Return the id of a record; ``None`` where there is none, or none that makes sense."""
    found = (json_object(text.encode()) or {}).get("id") if text else None
    return found if isinstance(found, str) else None


def read_record(text: str, version: int, now: Now, jitter: float, timing: Timing) -> Tokens | None:
    """Return what a record holds, as of ``now``; ``None`` where it makes no sense."""
    fields = json_object(text.encode()) or {}
    try:
        return _read(fields, version, now, jitter, timing)
    except (KeyError, TypeError, ValueError):
        return None


def _read(fields: dict[str, Any], version: int, now: Now, jitter: float, timing: Timing) -> Tokens | None:
    access_token, lifetime, received = fields["accessToken"], fields["lifetime"], fields["receivedAt"]
    refresh_token, cookie = fields["refreshToken"], fields["cookie"]
    if fields["daypass"] != FORMAT or not isinstance(fields["id"], str) or not isinstance(access_token, str):
        return None
    if refresh_token is not None and not is_token(refresh_token):
        return None
    if not isinstance(received["wall"], int) or not isinstance(lifetime, int | None):
        return None
    same_run = now.boot is not None and received["boot"] == now.boot
    age = now.monotonic - int(received["monotonic"]) if same_run else now.wall - received["wall"]
    kept = Cookie(*map(str, cookie)) if cookie else None
    grant = Grant(access_token, lifetime, refresh_token, kept)
    return replace(tokens_from(grant, version, now.monotonic - max(0, age), jitter, timing), record_id=fields["id"])
