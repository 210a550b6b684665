"""The tables of earlier versions, as their own SQL text: what a database that is to be upgraded looks like."""

# ruff: noqa: S608 - constants of ours, put together

_COMMON = """
CREATE INDEX daypass_sessions_subject ON daypass_sessions (subject);
CREATE INDEX daypass_sessions_ended ON daypass_sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE daypass_keys (
    kid TEXT NOT NULL PRIMARY KEY, algorithm TEXT NOT NULL, wrapped TEXT NOT NULL, created_at {int} NOT NULL,
    used_from {int} NOT NULL, follows TEXT NOT NULL, UNIQUE (algorithm, follows)
);
CREATE TABLE daypass_accounts (
    subject TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL, username TEXT, password_hash TEXT NOT NULL,
    created_at {int} NOT NULL, disabled_at {int}, folded_email TEXT NOT NULL UNIQUE, folded_username TEXT UNIQUE
);
CREATE TABLE daypass_sweep (place {bytes} NOT NULL, due_at {int} NOT NULL);
INSERT INTO daypass_sweep (place, due_at) VALUES ({empty}, 0);
"""

_SINCE_SCOPE = """
DROP INDEX daypass_sessions_subject;
CREATE INDEX daypass_sessions_live ON daypass_sessions (subject, created_at, id) WHERE ended_at IS NULL;
CREATE TABLE daypass_everyone (ended_until BIGINT NOT NULL);
INSERT INTO daypass_everyone (ended_until) VALUES (0);
"""

SQLITE_2 = (
    """
CREATE TABLE daypass_sessions (
    id BLOB NOT NULL PRIMARY KEY, subject TEXT NOT NULL, client_id TEXT NOT NULL, generation INTEGER NOT NULL,
    branch BLOB NOT NULL, rotated_at INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    ended_at INTEGER, end_reason TEXT, device_name TEXT, user_agent TEXT, address TEXT
) WITHOUT ROWID;
"""
    + _COMMON.format(int="INTEGER", bytes="BLOB", empty="x''")
    + """
CREATE TABLE daypass_schema (version INTEGER NOT NULL);
INSERT INTO daypass_schema (version) VALUES (2);
"""
)

SQLITE_3 = f"{SQLITE_2} ALTER TABLE daypass_sessions ADD COLUMN scope TEXT; UPDATE daypass_schema SET version = 3;"

SQLITE_4 = (
    SQLITE_3
    + _SINCE_SCOPE
    + """
DROP TABLE daypass_schema;
CREATE TABLE daypass_schema (version INTEGER NOT NULL, current INTEGER NOT NULL, probed INTEGER NOT NULL);
INSERT INTO daypass_schema (version, current, probed) VALUES (3, 4, 0);
"""
)

POSTGRES_1 = (
    """
CREATE TABLE daypass_sessions (
    generation BIGINT NOT NULL, rotated_at BIGINT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
    ended_at BIGINT, id BYTEA NOT NULL PRIMARY KEY, branch BYTEA NOT NULL, subject TEXT NOT NULL,
    client_id TEXT NOT NULL, end_reason TEXT, device_name TEXT, user_agent TEXT, address TEXT
) WITH (fillfactor = 85);
"""
    + _COMMON.format(int="BIGINT", bytes="BYTEA", empty="''")
    + """
CREATE TABLE daypass_schema (version BIGINT NOT NULL, compatible_from BIGINT NOT NULL);
INSERT INTO daypass_schema (version, compatible_from) VALUES (1, 1);
"""
)

POSTGRES_2 = f"{POSTGRES_1} ALTER TABLE daypass_sessions ADD COLUMN scope TEXT; UPDATE daypass_schema SET version = 2;"

POSTGRES_3 = (
    POSTGRES_2
    + _SINCE_SCOPE
    + """
ALTER TABLE daypass_schema ADD COLUMN probed BIGINT NOT NULL DEFAULT 0;
UPDATE daypass_schema SET version = 3;
"""
)

STATEMENTS = {
    "start a session": """
        INSERT INTO daypass_sessions (id, subject, client_id, generation, branch, rotated_at, created_at, expires_at,
            ended_at, end_reason, device_name, user_agent, address, scope)
        VALUES (:id, 'user-1', 'daypass', 0, :branch, 0, :now, :now + 3600000, NULL, NULL, NULL, NULL, NULL, NULL)
    """,
    "refresh": """
        UPDATE daypass_sessions SET generation = 1, branch = :branch, rotated_at = :now, expires_at = :now + 3600000
        WHERE id = :id
    """,
    "list": "SELECT id FROM daypass_sessions WHERE subject = 'user-1' AND ended_at IS NULL ORDER BY created_at DESC",
    "end": "UPDATE daypass_sessions SET ended_at = :now, end_reason = 'logout' WHERE id = :id AND ended_at IS NULL",
    "read endings": "SELECT id, ended_at FROM daypass_sessions WHERE ended_at > 0",
    "probe": "UPDATE daypass_schema SET probed = 1 - probed",
    "sweep": "UPDATE daypass_sweep SET due_at = :now WHERE due_at <= :now",
}
"""What a node of the version before does, with its own statements; for SQLite and PostgreSQL."""
