"""The SQL of the stores, as text, and how a row reads: no driver here.

Names of columns stand in one order throughout, that of `SESSION_COLUMNS`.
"""

from collections.abc import Sequence
from typing import Any

from daypass.keys import KeyRecord
from daypass.model import Account, Device, EndReason, Session

Parameters = dict[str, Any]

SCHEMA = (
    """
    CREATE TABLE sessions (
        id BLOB NOT NULL PRIMARY KEY,
        subject TEXT NOT NULL,
        client_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        branch BLOB NOT NULL,
        rotated_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        ended_at INTEGER,
        end_reason TEXT,
        device_name TEXT,
        user_agent TEXT,
        address TEXT
    ) WITHOUT ROWID
    """,
    "CREATE INDEX sessions_subject ON sessions (subject)",
    """
    CREATE TABLE signing_keys (
        kid TEXT NOT NULL PRIMARY KEY,
        algorithm TEXT NOT NULL,
        wrapped TEXT NOT NULL,
        created_at INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE accounts (
        subject TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        username TEXT,
        password_hash TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        disabled_at INTEGER,
        folded_email TEXT NOT NULL UNIQUE,
        folded_username TEXT UNIQUE
    )
    """,
)

SESSION_COLUMNS = (
    "id, subject, client_id, generation, branch, rotated_at, created_at, expires_at, ended_at, end_reason, "
    "device_name, user_agent, address"
)
KEY_COLUMNS = "kid, algorithm, wrapped, created_at"
ACCOUNT_COLUMNS = "subject, email, username, password_hash, created_at, disabled_at"

INSERT = f"""
    INSERT INTO sessions ({SESSION_COLUMNS})
    VALUES (:id, :subject, :client_id, :generation, :branch, :rotated_at, :created_at, :expires_at, :ended_at,
            :end_reason, :device_name, :user_agent, :address)
"""

MOVE = "UPDATE sessions SET generation = ?, branch = ?, rotated_at = ?, expires_at = ? WHERE id = ?"

SWAP = """
    UPDATE sessions
    SET generation = :generation, branch = :branch, rotated_at = :rotated_at, expires_at = :expires_at,
        ended_at = :ended_at, end_reason = :end_reason
    WHERE id = :id AND generation = :old_generation AND branch = :old_branch AND rotated_at = :old_rotated_at
      AND ended_at IS NULL
"""

FIND = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = :id"

END = f"""
    UPDATE sessions SET ended_at = :at, end_reason = :reason
    WHERE id = :id AND ended_at IS NULL AND (:subject IS NULL OR subject = :subject)
    RETURNING {SESSION_COLUMNS}
"""

END_ALL = """
    UPDATE sessions SET ended_at = :at, end_reason = :reason
    WHERE subject = :subject AND ended_at IS NULL AND expires_at > :at AND (:keep IS NULL OR id <> :keep)
    RETURNING id
"""

LIST = f"""
    SELECT {SESSION_COLUMNS} FROM sessions
    WHERE subject = :subject AND ended_at IS NULL AND expires_at > :now
    ORDER BY created_at DESC, id
"""

READ_KEYS = f"SELECT {KEY_COLUMNS} FROM signing_keys ORDER BY created_at DESC, kid"

ADD_FIRST_KEY = f"""
    INSERT INTO signing_keys ({KEY_COLUMNS})
    SELECT :kid, :algorithm, :wrapped, :created_at
    WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE algorithm = :algorithm)
"""

REWRAP = "UPDATE signing_keys SET wrapped = :new WHERE kid = :kid AND wrapped = :old"

ADD_ACCOUNT = f"""
    INSERT INTO accounts ({ACCOUNT_COLUMNS}, folded_email, folded_username)
    VALUES (:subject, :email, :username, :password_hash, :created_at, :disabled_at, :folded_email, :folded_username)
    ON CONFLICT DO NOTHING
    RETURNING subject
"""

FIND_ACCOUNT = f"""
    SELECT {ACCOUNT_COLUMNS} FROM accounts
    WHERE folded_email = :folded OR folded_username = :folded
"""

LOAD_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE subject = :subject"

UPDATE_HASH = "UPDATE accounts SET password_hash = :password_hash WHERE subject = :subject"


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
    }


def session_of(row: Sequence[Any]) -> Session:
    """Return the session in a row of `SESSION_COLUMNS`."""
    return Session(
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
    )


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
