"""The statements of the SQL stores, as text, and how a row reads: no driver here. The tables are in `schema`.

They are what SQLite and PostgreSQL have in common; parameters are written ``:name``. Names of columns stand in one
order throughout, that of `SESSION_COLUMNS`.
"""

from collections.abc import Sequence
from typing import Any

from daypass.keys import KeyRecord
from daypass.session import Device, EndReason, Session
from daypass.store_steps import EndAll, Ending, Endings, ListSessions
from daypass.user import Account

Parameters = dict[str, Any]

SESSION_COLUMNS = (
    "id, subject, client_id, generation, branch, rotated_at, created_at, expires_at, ended_at, end_reason, "
    "device_name, user_agent, address, scope"
)
EVERYONE_AT = "(SELECT ended_until FROM daypass_everyone)"
FOUND_COLUMNS = f"{SESSION_COLUMNS}, {EVERYONE_AT}"
"""What `session_of` reads: a session, and when everyone was ended."""

KEY_COLUMNS = "kid, algorithm, wrapped, created_at, used_from"
ACCOUNT_COLUMNS = "subject, email, username, password_hash, created_at, disabled_at"

INSERT = f"""
    INSERT INTO daypass_sessions ({SESSION_COLUMNS})
    VALUES (:id, :subject, :client_id, :generation, :branch, :rotated_at, :created_at, :expires_at, :ended_at,
            :end_reason, :device_name, :user_agent, :address, :scope)
    ON CONFLICT DO NOTHING
"""

MOVE = "UPDATE daypass_sessions SET generation = ?, branch = ?, rotated_at = ?, expires_at = ? WHERE id = ?"

SWAP = f"""
    UPDATE daypass_sessions
    SET generation = :generation, branch = :branch, rotated_at = :rotated_at, expires_at = :expires_at,
        ended_at = :ended_at, end_reason = :end_reason
    WHERE id = :id AND generation = :old_generation AND branch = :old_branch AND rotated_at = :old_rotated_at
      AND ended_at IS NULL AND created_at > {EVERYONE_AT}
"""

FIND = f"SELECT {FOUND_COLUMNS} FROM daypass_sessions WHERE id = :id"

END = f"""
    UPDATE daypass_sessions SET ended_at = :at, end_reason = :reason
    WHERE id = :id AND ended_at IS NULL AND created_at > {EVERYONE_AT}
      AND (CAST(:subject AS TEXT) IS NULL OR subject = :subject)
    RETURNING {FOUND_COLUMNS}
"""

_LIVE_BATCH = f"""
    SELECT id FROM daypass_sessions
    WHERE subject = :subject AND ended_at IS NULL AND created_at > {EVERYONE_AT} AND expires_at > :at AND id <> :keep
    ORDER BY created_at, id
    LIMIT :limit
"""

END_ALL = f"""
    UPDATE daypass_sessions SET ended_at = :at, end_reason = :reason
    WHERE id IN ({_LIVE_BATCH})
    RETURNING id
"""

END_EVERYONE = "UPDATE daypass_everyone SET ended_until = :at WHERE ended_until < :at"

LIST = f"""
    SELECT {FOUND_COLUMNS} FROM daypass_sessions
    WHERE subject = :subject AND ended_at IS NULL AND created_at > {EVERYONE_AT} AND expires_at > :now
      AND (created_at, id) < (:after_at, :after_id)
    ORDER BY created_at DESC, id DESC
    LIMIT :limit
"""

READ_ENDINGS = """
    SELECT id, ended_at FROM daypass_sessions WHERE ended_at > :since
    UNION ALL
    SELECT NULL, ended_until FROM daypass_everyone
"""

CLAIM_SWEEP = "UPDATE daypass_sweep SET due_at = :until WHERE due_at <= :now OR :regardless RETURNING place"

READ_SWEEP = "SELECT due_at FROM daypass_sweep"

SWEEP_BATCH = "SELECT id FROM daypass_sessions WHERE id > :place ORDER BY id LIMIT :batch"

REMOVE_IF_OVER = """
    DELETE FROM daypass_sessions
    WHERE id = :id AND CASE WHEN ended_at IS NULL THEN expires_at ELSE created_at + :absolute_ttl END <= :before
"""

END_SWEEP = "UPDATE daypass_sweep SET place = :place, due_at = :due_at"

READ_KEYS = f"SELECT {KEY_COLUMNS} FROM daypass_keys ORDER BY created_at DESC, kid"

ADD_KEY = f"""
    INSERT INTO daypass_keys ({KEY_COLUMNS}, follows)
    SELECT CAST(:kid AS TEXT), CAST(:algorithm AS TEXT), CAST(:wrapped AS TEXT), CAST(:created_at AS BIGINT),
           CAST(:used_from AS BIGINT), CAST(:newest AS TEXT)
    WHERE COALESCE(
        (SELECT kid FROM daypass_keys WHERE algorithm = :algorithm ORDER BY created_at DESC, kid LIMIT 1), ''
    ) = :newest
    ON CONFLICT DO NOTHING
"""

REMOVE_KEY = "DELETE FROM daypass_keys WHERE kid = :kid"

REWRAP = "UPDATE daypass_keys SET wrapped = :new WHERE kid = :kid AND wrapped = :old"

ADD_ACCOUNT = f"""
    INSERT INTO daypass_accounts ({ACCOUNT_COLUMNS}, folded_email, folded_username)
    VALUES (:subject, :email, :username, :password_hash, :created_at, :disabled_at, :folded_email, :folded_username)
    ON CONFLICT DO NOTHING
    RETURNING subject
"""

FIND_ACCOUNT = f"""
    SELECT {ACCOUNT_COLUMNS} FROM daypass_accounts
    WHERE folded_email = :folded OR folded_username = :folded
"""

LOAD_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS} FROM daypass_accounts WHERE subject = :subject"

UPDATE_HASH = "UPDATE daypass_accounts SET password_hash = :password_hash WHERE subject = :subject"

# ---- PostgreSQL alone: what takes several statements elsewhere is one here, and endings are announced

ADVANCE = f"""
    WITH moved AS (
        UPDATE daypass_sessions AS now
        SET generation = :generation, branch = :branch, rotated_at = :now,
            expires_at = LEAST(:now + :idle_ttl, now.created_at + :absolute_ttl)
        FROM (SELECT id AS was_id, rotated_at AS was_rotated_at FROM daypass_sessions WHERE id = :id) AS was
        WHERE id = was_id AND rotated_at = was_rotated_at AND generation = :old_generation AND branch = :old_branch
          AND rotated_at < :rotated_before AND ended_at IS NULL AND expires_at > :now
          AND created_at + :absolute_ttl > :now AND created_at > {EVERYONE_AT}
        RETURNING {FOUND_COLUMNS}, TRUE, was_rotated_at
    )
    SELECT * FROM moved
    UNION ALL
    SELECT {FOUND_COLUMNS}, FALSE, 0 FROM daypass_sessions WHERE id = :id AND NOT EXISTS (SELECT FROM moved)
"""

SWAP_ALONE = f"{SWAP} RETURNING id"

SWAP_TELLING = f"WITH ended AS ({SWAP} RETURNING id) SELECT id, pg_notify(:channel, '') FROM ended"

END_TELLING = f"WITH ended AS ({END}) SELECT {SESSION_COLUMNS}, 0, pg_notify(:channel, '') FROM ended"

END_ALL_LOCKING = f"""
    WITH batch AS ({_LIVE_BATCH} FOR UPDATE)
    UPDATE daypass_sessions SET ended_at = :at, end_reason = :reason
    WHERE id IN (SELECT id FROM batch)
    RETURNING id
"""
"""Locks first: a session that another ends meanwhile is left out and the batch is filled up with the next one."""

END_ALL_TELLING = f"WITH ended AS ({END_ALL_LOCKING}) SELECT id, pg_notify(:channel, '') FROM ended"

END_EVERYONE_TELLING = f"WITH ended AS ({END_EVERYONE} RETURNING ended_until) SELECT pg_notify(:channel, '') FROM ended"

TELL = "SELECT pg_notify(:channel, :payload)"

SWEEP = """
    WITH batch AS (SELECT id FROM daypass_sessions WHERE id > :place ORDER BY id LIMIT :batch),
    over AS (
        SELECT id FROM daypass_sessions
        WHERE id IN (SELECT id FROM batch)
          AND CASE WHEN ended_at IS NULL THEN expires_at ELSE created_at + :absolute_ttl END <= :before
        FOR UPDATE SKIP LOCKED
    ),
    removed AS (DELETE FROM daypass_sessions WHERE id IN (SELECT id FROM over) RETURNING id)
    SELECT (SELECT COUNT(*) FROM batch), (SELECT id FROM batch ORDER BY id DESC LIMIT 1), (SELECT COUNT(*) FROM removed)
"""

READ_SCHEMA = "SELECT version, compatible_from FROM daypass_schema"

READ_CLOCK = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"

READ_PROBE = "SELECT 1 FROM daypass_sessions, daypass_keys LIMIT 1"

WRITE_PROBE = "UPDATE daypass_schema SET probed = 1 - probed"
"""Another value each time: SQLite writes nothing where a value stays the same."""

BEGIN_MIGRATING = (
    "BEGIN",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = 0",
    "SELECT pg_advisory_xact_lock(7238245904172708979)",
)
"""A transaction that waits for others which migrate; the number is that of Daypass, ``daypass`` in ASCII."""


def stored_id(session_id: str) -> bytes:
    """Return a session's id as it is stored; for text that is no id, one that no session has."""
    try:
        raw = bytes.fromhex(session_id)
    except ValueError:
        return b""
    return raw if raw.hex() == session_id else b""


def session_parameters(session: Session) -> Parameters:
    """Return the parameters of `INSERT`, which are those of `SWAP`'s new values too."""
    return {
        "id": bytes.fromhex(session.id),
        "subject": session.subject,
        "client_id": session.client_id,
        "generation": session.generation,
        "branch": session.branch,
        "rotated_at": session.rotated_at,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "ended_at": session.ended_at,
        "end_reason": session.end_reason and session.end_reason.value,
        "device_name": session.device.name,
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "scope": session.scope,
    }


def session_of(row: Sequence[Any]) -> Session:
    """Return the session in a row of `FOUND_COLUMNS`."""
    found = Session(
        id=bytes(row[0]).hex(),
        subject=row[1],
        client_id=row[2],
        generation=row[3],
        branch=bytes(row[4]),
        rotated_at=row[5],
        created_at=row[6],
        expires_at=row[7],
        ended_at=row[8],
        end_reason=None if row[9] is None else EndReason(row[9]),
        device=Device(row[10], row[11], row[12]),
        scope=row[13],
    )
    return found.ended_by_all(row[14])


def end_all_parameters(step: EndAll) -> Parameters:
    """Return the parameters of `END_ALL`."""
    keep = b"" if step.keep is None else stored_id(step.keep)
    return {"subject": step.subject, "at": step.at, "reason": step.reason, "keep": keep, "limit": step.limit}


_NEWEST = (2**63 - 1, "")


def list_parameters(step: ListSessions) -> Parameters:
    """Return the parameters of `LIST`."""
    after_at, after_id = step.after or _NEWEST
    place = {"after_at": after_at, "after_id": stored_id(after_id)}
    return {"subject": step.subject, "now": step.now, "limit": step.limit, **place}


def endings_of(rows: Sequence[Sequence[Any]]) -> Endings:
    """Return the endings in the rows of `READ_ENDINGS`."""
    endings = tuple(Ending(bytes(row[0]).hex(), row[1]) for row in rows if row[0] is not None)
    return Endings(endings, next(row[1] for row in rows if row[0] is None))


def key_parameters(record: KeyRecord, newest: str | None) -> Parameters:
    """Return the parameters of `ADD_KEY`."""
    return {
        "kid": record.kid,
        "algorithm": record.algorithm,
        "wrapped": record.wrapped,
        "created_at": record.created_at,
        "used_from": record.used_from,
        "newest": newest or "",
    }


def key_of(row: Sequence[Any]) -> KeyRecord:
    """Return the signing key in a row of `KEY_COLUMNS`."""
    return KeyRecord(*row)


def account_parameters(account: Account) -> Parameters:
    """Return the parameters of `ADD_ACCOUNT`."""
    return {
        "subject": account.subject,
        "email": account.email,
        "username": account.username,
        "password_hash": account.password_hash,
        "created_at": account.created_at,
        "disabled_at": account.disabled_at,
        "folded_email": account.email.casefold(),  # here and not by the database, which may fold ASCII alone
        "folded_username": account.username and account.username.casefold(),
    }


def account_of(row: Sequence[Any]) -> Account:
    """Return the user in a row of `ACCOUNT_COLUMNS`."""
    return Account(*row)
