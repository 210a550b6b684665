"""The statements of the SQL stores, as text, their parameters, and the parsing of their rows. No driver here.

The tables are in `schema`, the differences between databases in `dialect`. Parameters are written ``:name``. Columns
have the same order everywhere, that of `SESSION_COLUMNS`.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from daypass.account_steps import PAGE as PAGE_OF_ACCOUNTS
from daypass.keys import KeyRecord
from daypass.operator_steps import MINUTE_COUNTS, AuditRecord, ReadEvents
from daypass.session import Device, EndReason, Session
from daypass.store_steps import (
    DEVICE_SIZE,
    DEVICES,
    Admit,
    Advance,
    Advanced,
    Amend,
    Bind,
    End,
    EndAll,
    Ending,
    Endings,
    ListSessions,
    Swap,
)
from daypass.user import Account, fold_name

Parameters = dict[str, Any]

SESSION_COLUMNS = (
    "id, subject, client_id, generation, branch, rotated_at, created_at, expires_at, ended_at, end_reason, "
    "device_name, user_agent, address, scope, idle_ttl, ends_at, extras, key_thumbprint"
)
EVERYONE_AT = "(SELECT ended_until FROM daypass_everyone)"
LIVE = f"""
    ended_at IS NULL AND created_at > {EVERYONE_AT} AND expires_at > :now AND (ends_at IS NULL OR ends_at > :now)
      AND (idle_ttl IS NULL OR created_at + idle_ttl > :now OR rotated_at + idle_ttl > :now)
"""
"""What sessions that live at ``:now`` have. A refresh by a node of version 0.1 stores an ``expires_at`` that ignores a
session's own times."""

FOUND_COLUMNS = f"{SESSION_COLUMNS}, {EVERYONE_AT}"
"""What `session_of` reads: a session, and when everyone was ended."""

_FOUND = len(SESSION_COLUMNS.split(", ")) + 1

KEY_COLUMNS = "kid, algorithm, wrapped, created_at, used_from"
ACCOUNT_COLUMNS = "subject, email, username, password_hash, created_at, disabled_at, scope"

INSERT = f"""
    INSERT INTO daypass_sessions ({SESSION_COLUMNS})
    VALUES (:id, :subject, :client_id, :generation, :branch, :rotated_at, :created_at, :expires_at, :ended_at,
            :end_reason, :device_name, :user_agent, :address, :scope, :idle_ttl, :ends_at, :extras, :key_thumbprint)
    ON CONFLICT DO NOTHING
"""

READ_SUBJECT = "SELECT devices FROM daypass_subjects WHERE subject = :subject"

COUNT_LOGIN = """
    INSERT INTO daypass_subjects (subject, logins, devices, seen_at) VALUES (:subject, 1, :devices, :now)
    ON CONFLICT (subject) DO UPDATE SET logins = daypass_subjects.logins + 1, devices = :devices, seen_at = :now
"""

LIVE_IDS = f"""
    SELECT id FROM daypass_sessions
    WHERE subject = :subject AND {LIVE}
    ORDER BY created_at DESC, id DESC
"""

ADMIT = f"""
    WITH was AS (SELECT logins, devices FROM daypass_subjects WHERE subject = :subject),
    counted AS (
        INSERT INTO daypass_subjects AS kept (subject, logins, devices, seen_at) VALUES (:subject, 1, :device, :now)
        ON CONFLICT (subject) DO UPDATE SET logins = kept.logins + 1, seen_at = :now, devices = CASE
            WHEN position(EXCLUDED.devices IN kept.devices) > 0 THEN kept.devices
            ELSE substring(EXCLUDED.devices || kept.devices FROM 1 FOR {DEVICES * DEVICE_SIZE}) END
        RETURNING logins
    ),
    in_order AS (SELECT 1 FROM counted WHERE logins = COALESCE((SELECT logins FROM was), 0) + 1),
    live AS (
        SELECT id AS live_id, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place FROM daypass_sessions
        WHERE subject = :subject AND {LIVE}
    ),
    added AS (
        INSERT INTO daypass_sessions ({SESSION_COLUMNS})
        SELECT CAST(:id AS BYTEA), :subject, CAST(:client_id AS TEXT), CAST(:generation AS BIGINT),
               CAST(:branch AS BYTEA), CAST(:rotated_at AS BIGINT), CAST(:created_at AS BIGINT),
               CAST(:expires_at AS BIGINT), CAST(:ended_at AS BIGINT), CAST(:end_reason AS TEXT),
               CAST(:device_name AS TEXT), CAST(:user_agent AS TEXT), CAST(:address AS TEXT), CAST(:scope AS TEXT),
               CAST(:idle_ttl AS BIGINT), CAST(:ends_at AS BIGINT), CAST(:extras AS TEXT), CAST(:key_thumbprint AS TEXT)
        FROM in_order WHERE :evict OR (SELECT count(*) FROM live) < :maximum
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT (SELECT count(*) FROM in_order), (SELECT count(*) FROM added), (SELECT devices FROM was), live_id
    FROM (SELECT 1) AS once LEFT JOIN live ON place >= :maximum
"""
"""PostgreSQL's. The row of the user is locked by the first who logs in; the others find by its count that they have
waited, see too old a picture of the sessions, and have to come again: then the first column is 0."""

MOVE = """
    UPDATE daypass_sessions
    SET generation = :generation, branch = :branch, rotated_at = :rotated_at, expires_at = :expires_at,
        user_agent = :user_agent, address = :address
    WHERE id = :id
"""

_MOVED = f"""
    WITH moved AS (
        UPDATE daypass_sessions AS now
        SET generation = :generation, branch = :branch, rotated_at = :now,
            expires_at = LEAST(
                CASE WHEN :passive THEN LEAST(now.expires_at, GREATEST(now.created_at, now.rotated_at) + now.idle_ttl)
                    ELSE :now + LEAST(:idle_ttl, now.idle_ttl) END,
                now.created_at + :absolute_ttl, now.ends_at
            ),
            user_agent = COALESCE(:user_agent, now.user_agent), address = COALESCE(:address, now.address)
        FROM (SELECT id AS was_id, rotated_at AS was_rotated_at FROM daypass_sessions WHERE id = :id) AS was
        WHERE id = was_id AND rotated_at = was_rotated_at AND generation = :old_generation AND branch = :old_branch
          AND rotated_at < :rotated_before AND (key_thumbprint IS NULL OR key_thumbprint = :proof)
          AND ended_at IS NULL AND created_at > {EVERYONE_AT}
          AND LEAST(expires_at, created_at + :absolute_ttl, ends_at, GREATEST(created_at, rotated_at) + idle_ttl) > :now
        RETURNING {FOUND_COLUMNS}, TRUE, was_rotated_at
    )"""
"""Moves the session. LEAST passes over NULL."""

_MOVED_OR_FOUND = f"""
    SELECT * FROM moved
    UNION ALL
    SELECT {FOUND_COLUMNS}, FALSE, 0 FROM daypass_sessions WHERE id = :id AND NOT EXISTS (SELECT FROM moved)
"""

ADVANCE = _MOVED + _MOVED_OR_FOUND
"""PostgreSQL's: moves the session, or finds it where it cannot be moved, in one statement."""

ADVANCE_WITH_ACCOUNT = f"""{_MOVED},
    found AS ({_MOVED_OR_FOUND})
    SELECT found.*, {", ".join(f"daypass_accounts.{column}" for column in ACCOUNT_COLUMNS.split(", "))}
    FROM found LEFT JOIN daypass_accounts ON daypass_accounts.subject = found.subject
"""
"""The same, and the account of the session's user: NULL without an account."""

SWAP = f"""
    UPDATE daypass_sessions
    SET generation = :generation, branch = :branch, rotated_at = :rotated_at, expires_at = :expires_at,
        ended_at = :ended_at, end_reason = :end_reason, user_agent = :user_agent, address = :address
    WHERE id = :id AND generation = :old_generation AND branch = :old_branch AND rotated_at = :old_rotated_at
      AND COALESCE(key_thumbprint, '') = COALESCE(CAST(:key_thumbprint AS TEXT), '')
      AND ended_at IS NULL AND created_at > {EVERYONE_AT}
    RETURNING id
"""

AMEND = f"""
    UPDATE daypass_sessions SET extras = :new
    WHERE id = :id AND COALESCE(extras, '') = :old AND ended_at IS NULL AND created_at > {EVERYONE_AT}
    RETURNING id
"""

BIND = f"""
    UPDATE daypass_sessions SET extras = :new, key_thumbprint = :key_thumbprint
    WHERE id = :id AND key_thumbprint IS NULL AND COALESCE(extras, '') = :old AND ended_at IS NULL
      AND created_at > {EVERYONE_AT}
    RETURNING id
"""

FIND = f"SELECT {FOUND_COLUMNS} FROM daypass_sessions WHERE id = :id"

END = f"""
    UPDATE daypass_sessions SET ended_at = :at, end_reason = :reason
    WHERE id = :id AND ended_at IS NULL AND created_at > {EVERYONE_AT}
      AND (CAST(:subject AS TEXT) IS NULL OR subject = :subject)
      AND (:any_key OR key_thumbprint IS NULL OR key_thumbprint = :proof)
    RETURNING {FOUND_COLUMNS}
"""

END_ALL = f"""
    WITH batch AS (
        SELECT id FROM daypass_sessions
        WHERE subject = :subject AND {LIVE}
          AND id <> :keep
        ORDER BY created_at, id
        LIMIT :limit
        {{for_update}}
    )
    UPDATE daypass_sessions SET ended_at = :now, end_reason = :reason
    WHERE id IN (SELECT id FROM batch)
    RETURNING id
"""
"""Locks its rows first, where there are such locks: a session that another ends meanwhile is left out, and the next one
takes its place."""

END_EVERYONE = "UPDATE daypass_everyone SET ended_until = :at WHERE ended_until < :at RETURNING ended_until"

LIST = f"""
    SELECT {FOUND_COLUMNS} FROM daypass_sessions
    WHERE subject = :subject AND {LIVE}
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

REMOVE_OVER = """
    WITH batch AS (
        SELECT id FROM daypass_sessions
        WHERE id > :place AND id <= :last
          AND CASE WHEN ended_at IS NULL THEN expires_at ELSE created_at + :absolute_ttl END <= :before
        {skip_locked}
    )
    DELETE FROM daypass_sessions WHERE id IN (SELECT id FROM batch) RETURNING id
"""

FORGET_SUBJECTS = """
    DELETE FROM daypass_subjects
    WHERE seen_at <= :until
      AND subject IN (SELECT subject FROM daypass_subjects WHERE seen_at <= :until ORDER BY seen_at LIMIT :batch)
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

PROBE = """
    UPDATE daypass_schema SET probed = 1 - probed
    WHERE NOT EXISTS (SELECT 1 FROM daypass_sessions, daypass_keys WHERE daypass_keys.kid = '')
"""
"""Reads both tables. Writes another value each time, because SQLite writes nothing where a value stays the same."""

ADD_ACCOUNT = f"""
    INSERT INTO daypass_accounts ({ACCOUNT_COLUMNS}, folded_email, folded_username)
    VALUES (:subject, :email, :username, :password_hash, :created_at, :disabled_at, :scope, :folded_email,
            :folded_username)
    ON CONFLICT DO NOTHING
    RETURNING subject
"""

FIND_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS} FROM daypass_accounts WHERE folded_email = :name OR folded_username = :name"

LOAD_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS} FROM daypass_accounts WHERE subject = :name"

LIST_ACCOUNTS = f"""
    SELECT {ACCOUNT_COLUMNS} FROM daypass_accounts WHERE subject > :after ORDER BY subject LIMIT {PAGE_OF_ACCOUNTS}
"""

LIST_SCOPED_ACCOUNTS = LIST_ACCOUNTS.replace("WHERE", "WHERE scope IS NOT NULL AND")
"""Uses an index of these users alone."""

SET_DISABLED = "UPDATE daypass_accounts SET disabled_at = CAST(:disabled_at AS BIGINT) WHERE subject = :subject"

SET_SCOPE = "UPDATE daypass_accounts SET scope = CAST(:scope AS TEXT) WHERE subject = :subject"

REMOVE_ACCOUNT = "DELETE FROM daypass_accounts WHERE subject = :subject"

UPDATE_HASH = "UPDATE daypass_accounts SET password_hash = :password_hash WHERE subject = :subject"


SWEEP_DUE = "SELECT 'sweep_due_at', due_at FROM daypass_sweep"
SCHEMA_OF_SQLITE = "SELECT 'schema', current FROM daypass_schema"
SCHEMA_OF_POSTGRES = "SELECT 'schema', version FROM daypass_schema"

SETTINGS_OF_POSTGRES = """
    SELECT name, setting FROM pg_settings WHERE name IN (
        'server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'max_connections', 'autovacuum',
        'idle_session_timeout', 'default_transaction_read_only'
    )
    UNION ALL SELECT 'in_recovery', CAST(pg_is_in_recovery() AS TEXT)
    UNION ALL SELECT 'ssl', COALESCE((SELECT CAST(ssl AS TEXT) FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'false')
    UNION ALL SELECT 'address', COALESCE(host(inet_client_addr()), '')
    UNION ALL SELECT 'superuser', CAST(bool_or(rolsuper) AS TEXT) FROM pg_roles WHERE rolname = current_user
    UNION ALL SELECT 'connections', CAST((SELECT count(*) FROM pg_stat_activity) AS TEXT)
"""

OBJECTS_OF_SQLITE = """
    SELECT 'column ' || tables.name || '.' || columns.name, 1
    FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND substr(tables.name, 1, 8) = 'daypass_'
    UNION ALL
    SELECT CASE indexes.origin WHEN 'pk' THEN 'primary key ' || tables.name WHEN 'u' THEN 'unique ' || tables.name
               ELSE 'index ' || indexes.name END
           || ' (' || (SELECT group_concat(name, ', ') FROM pragma_index_info(indexes.name)) || ')', 1
    FROM sqlite_schema AS tables, pragma_index_list(tables.name) AS indexes
    WHERE tables.type = 'table' AND substr(tables.name, 1, 8) = 'daypass_'
"""

OBJECTS_OF_POSTGRES = """
    WITH tables AS (
        SELECT oid, relname FROM pg_class
        WHERE relkind IN ('r', 'p') AND left(relname, 8) = 'daypass_' AND pg_table_is_visible(oid)
    )
    SELECT 'column ' || relname || '.' || attname, TRUE
    FROM tables JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT CASE WHEN indisprimary THEN 'primary key ' || tables.relname
               WHEN EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype = 'u')
               THEN 'unique ' || tables.relname ELSE 'index ' || named.relname END
           || ' (' || (SELECT string_agg(attname, ', ' ORDER BY place)
                       FROM unnest(indkey) WITH ORDINALITY AS parts(number, place)
                       JOIN pg_attribute ON attrelid = indrelid AND attnum = number) || ')', indisvalid AND indisready
    FROM tables JOIN pg_index ON indrelid = tables.oid JOIN pg_class AS named ON named.oid = indexrelid
"""

HAS_SESSIONS = "SELECT 1 FROM daypass_sessions LIMIT 1"

SINGLE_ROWS = """
    SELECT 'daypass_everyone', count(*), max(ended_until) FROM daypass_everyone
    UNION ALL SELECT 'daypass_sweep', count(*), max(due_at) FROM daypass_sweep
    UNION ALL SELECT 'daypass_schema', count(*), 0 FROM daypass_schema
"""

CHECK_SESSIONS = f"""
    SELECT {FOUND_COLUMNS}, (
        EXISTS (SELECT 1 FROM daypass_accounts WHERE daypass_accounts.subject = daypass_sessions.subject)
        OR NOT EXISTS (SELECT 1 FROM daypass_accounts)
    )
    FROM daypass_sessions WHERE id > :place ORDER BY id LIMIT :limit
"""

CHECK_ACCOUNTS = f"""
    SELECT {ACCOUNT_COLUMNS}, folded_email, folded_username FROM daypass_accounts
    WHERE subject > :place ORDER BY subject LIMIT :limit
"""

CHECK_SUBJECTS = """
    SELECT subject, devices FROM daypass_subjects WHERE subject > :place ORDER BY subject LIMIT :limit
"""

EVENTS_AHEAD = "SELECT at, id FROM daypass_events WHERE at > :ahead ORDER BY at LIMIT :limit"

EVENT_COLUMNS = "at, id, code, session_id, subject, reason, actor, address"

_EVENTS_OF_POSTGRES = "jsonb_array_elements(CAST(:records AS JSONB)) AS records(record)"
_EVENTS_OF_SQLITE = "json_each(:records)"

NOTE_EVENTS_POSTGRES = f"""
    INSERT INTO daypass_events ({EVENT_COLUMNS})
    SELECT CAST(record ->> 0 AS BIGINT), {", ".join(f"record ->> {place}" for place in range(1, 8))}
    FROM {_EVENTS_OF_POSTGRES}
    ON CONFLICT DO NOTHING
"""

NOTE_EVENTS_SQLITE = f"""
    INSERT INTO daypass_events ({EVENT_COLUMNS})
    SELECT {", ".join(f"json_extract(value, '$[{place}]')" for place in range(8))} FROM {_EVENTS_OF_SQLITE}
    WHERE TRUE
    ON CONFLICT DO NOTHING
"""

_DROPPED_EVENTS = """
    SELECT at, id FROM daypass_events
    WHERE at <= :counts_before AND (at <= :before OR code = :counts_code)
    ORDER BY at, id LIMIT :limit
"""

DROP_EVENTS = f"DELETE FROM daypass_events WHERE (at, id) IN ({_DROPPED_EVENTS}) RETURNING at"

ADD_MARK = """
    INSERT INTO daypass_marks (key, value, expires_at) VALUES (:key, :value, :until)
    ON CONFLICT (key, value) DO UPDATE SET expires_at = excluded.expires_at
"""

ADD_MARK_ONCE = """
    INSERT INTO daypass_marks (key, value, expires_at) VALUES (:key, '', :until)
    ON CONFLICT (key, value) DO UPDATE SET expires_at = excluded.expires_at WHERE daypass_marks.expires_at <= :now
    RETURNING key
"""

DROP_MARKS = """
    DELETE FROM daypass_marks WHERE (key, value) IN (
        SELECT key, value FROM daypass_marks WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit {skip_locked}
    )
    RETURNING key
"""

READ_MARKS = "SELECT value FROM daypass_marks WHERE key = :key AND expires_at > :now"

READ_STATS = f"""
    SELECT (SELECT count(*) FROM daypass_sessions),
           (SELECT count(*) FROM daypass_sessions
            WHERE ended_at IS NULL AND created_at > {EVERYONE_AT} AND expires_at > :now),
           (SELECT count(*) FROM daypass_keys), (SELECT count(*) FROM daypass_accounts),
           (SELECT count(*) FROM daypass_events)
"""
STATS = ("sessions", "live_sessions", "keys", "users", "events")


def events_query(step: ReadEvents) -> tuple[str, Parameters]:
    """Return the statement that reads a page of the audit trail, and its parameters."""
    conditions = ["at >= :since", "at <= :until"]
    parameters: Parameters = {"since": step.since, "until": step.until}
    values: dict[str, Any] = {"subject": step.subject, "session_id": step.session_id}
    for name, value in values.items():
        if value is not None:
            conditions.append(f"{name} = :{name}")
    codes = {f"code_{chr(97 + number)}": code for number, code in enumerate(sorted(set(step.codes)))}
    listed = ", ".join(f":{name}" for name in codes)
    conditions.append(f"code IN ({listed})" if codes else "code <> :counts_code")
    parameters |= values | codes | {"counts_code": MINUTE_COUNTS, "limit": step.limit}
    if step.after is not None:
        conditions.append(f"(at, id) {'<' if step.newest_first else '>'} (:after_at, :after_id)")
        parameters |= {"after_at": step.after[0], "after_id": step.after[1]}
    order = "at DESC, id DESC" if step.newest_first else "at, id"
    where = " AND ".join(conditions)
    return f"SELECT {EVENT_COLUMNS} FROM daypass_events WHERE {where} ORDER BY {order} LIMIT :limit", parameters


def note_parameters(records: Sequence[AuditRecord]) -> Parameters:
    """Return the parameters of `NOTE_EVENTS_SQLITE` and `NOTE_EVENTS_POSTGRES`."""
    return {"records": json.dumps([astuple(record) for record in records])}


def stored_id(session_id: str) -> bytes:
    """Return a session's id as it is stored; for invalid text, an id that no session has."""
    try:
        raw = bytes.fromhex(session_id)
    except ValueError:
        return b""
    return raw if raw.hex() == session_id else b""


def session_parameters(session: Session) -> Parameters:
    """Return the parameters of `INSERT` and `MOVE`, and those of the new values in `SWAP`."""
    device = session.device
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
        "device_name": _without_nul(device.name),
        "user_agent": _without_nul(device.user_agent),
        "address": _without_nul(device.address),
        "scope": session.scope,
        "idle_ttl": session.idle_ttl,
        "ends_at": session.ends_at,
        "extras": session.extras,
        "key_thumbprint": session.key_thumbprint,
    }


def _without_nul(text: str | None) -> str | None:
    """Replace NUL, which PostgreSQL does not store, in text that a client has chosen."""
    return text and text.replace("\0", "\ufffd")


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
        idle_ttl=row[14],
        ends_at=row[15],
        extras=row[16],
        key_thumbprint=row[17],
    )
    return found.within_own_times().ended_by_all(row[18])


def advance_parameters(step: Advance) -> Parameters:
    """Return the parameters of `ADVANCE`."""
    return {
        "id": stored_id(step.session_id),
        "old_generation": step.expected.generation,
        "old_branch": step.expected.branch,
        "rotated_before": step.expected.rotated_before,
        "proof": step.expected.proof,
        "generation": step.generation,
        "branch": step.branch,
        "now": step.now,
        "idle_ttl": step.idle_ttl,
        "absolute_ttl": step.absolute_ttl,
        "passive": step.passive,
        "user_agent": _without_nul(step.device.user_agent),
        "address": _without_nul(step.device.address),
    }


def advanced_of(row: Sequence[Any]) -> Advanced:
    """Return the answer in a row of `ADVANCE` or `ADVANCE_WITH_ACCOUNT`."""
    moved, rotated_at, *account = row[_FOUND:]
    return Advanced(session_of(row), moved, rotated_at, account_of(account) if any(account) else None)


def swap_parameters(step: Swap) -> Parameters:
    """Return the parameters of `SWAP`."""
    old = {"generation": step.old.generation, "branch": step.old.branch, "rotated_at": step.old.rotated_at}
    return session_parameters(step.new) | {f"old_{name}": value for name, value in old.items()}


def admit_parameters(step: Admit) -> Parameters:
    """Return the parameters of `ADMIT`."""
    own = {"now": step.session.created_at, "maximum": step.maximum, "evict": step.evict, "device": step.device}
    return session_parameters(step.session) | own


def amend_parameters(step: Amend) -> Parameters:
    """Return the parameters of `AMEND`."""
    return {"id": stored_id(step.session_id), "old": step.old or "", "new": step.new}


def bind_parameters(step: Bind) -> Parameters:
    """Return the parameters of `BIND`."""
    key = {"key_thumbprint": step.key_thumbprint}
    return {"id": stored_id(step.session_id), "old": step.old or "", "new": step.new} | key


def end_parameters(step: End) -> Parameters:
    """Return the parameters of `END`."""
    key = {"any_key": not step.needs_proof, "proof": step.proof}
    session_id = stored_id(step.session_id)
    return {"id": session_id, "at": step.at, "reason": step.reason.value, "subject": step.subject} | key


def end_all_parameters(step: EndAll) -> Parameters:
    """Return the parameters of `END_ALL`."""
    keep = b"" if step.keep is None else stored_id(step.keep)
    return {"subject": step.subject, "now": step.at, "reason": step.reason.value, "keep": keep, "limit": step.limit}


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
        "scope": account.scope,
        "folded_email": fold_name(account.email),  # here, because the database may fold only ASCII
        "folded_username": account.username and fold_name(account.username),
    }


def account_of(row: Sequence[Any]) -> Account:
    """Return the user in a row of `ACCOUNT_COLUMNS`."""
    return Account(*row)
