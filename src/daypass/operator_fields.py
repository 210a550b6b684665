"""What operators see of users, sessions, keys and the audit trail: the same in commands and on the page. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from daypass.clock import iso_time
from daypass.keys import KeyRecord, in_use
from daypass.operator_steps import AuditRecord
from daypass.session import Session
from daypass.user import Account

Fields = dict[str, Any]


def user_fields(account: Account) -> Fields:
    """Return a built-in user, without the password hash."""
    return {
        "subject": account.subject,
        "email": account.email,
        "username": account.username,
        "created_at": iso_time(account.created_at),
        "disabled_at": None if account.disabled_at is None else iso_time(account.disabled_at),
        "scope": account.scope,
    }


def session_fields(session: Session) -> Fields:
    """Return a session, live or ended."""
    device = session.device
    return {
        "session": session.id,
        "subject": session.subject,
        "client_id": session.client_id,
        "created_at": iso_time(session.created_at),
        "last_used_at": iso_time(session.last_used_at),
        "expires_at": iso_time(session.expires_at),
        "ended_at": None if session.ended_at is None else iso_time(session.ended_at),
        "end_reason": session.end_reason and session.end_reason.value,
        "refreshes": session.generation,
        "device": device.name or device.user_agent,
        "address": device.address,
        "scope": session.scope,
        "persistent": session.persistent,
        "actor": session.actor,
    }


def event_fields(record: AuditRecord) -> Fields:
    """Return a line of the audit trail."""
    return {
        "at": iso_time(record.at),
        "code": record.code,
        "subject": record.subject,
        "session": record.session_id,
        "reason": record.reason,
        "address": record.address,
        "actor": record.actor,
    }


def keys_fields(records: Sequence[KeyRecord], now: int) -> Iterator[Fields]:
    """Yield the keys, without what is secret; ``state`` is ``next``, ``in use`` or ``verifies``."""
    for record in records:
        using = in_use([each for each in records if each.algorithm == record.algorithm], now)
        waits = record.created_at > using.created_at
        yield {
            "kid": record.kid,
            "algorithm": record.algorithm,
            "state": "in use" if record is using else "next" if waits else "verifies",
            "used_from": iso_time(record.used_from),
            "created_at": iso_time(record.created_at),
        }
