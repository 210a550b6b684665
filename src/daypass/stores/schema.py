"""The tables of the SQL stores: how they are created, and how older ones are upgraded.

The names begin with ``daypass_``, so that the tables can be in an application's own database. A session's id is the
primary key; indexes find a user's sessions and the ended ones. A refresh changes no index.
"""

_LIVE_INDEX = "CREATE INDEX daypass_sessions_live ON daypass_sessions (subject, created_at, id) WHERE ended_at IS NULL"

_EVERYONE = (
    "CREATE TABLE daypass_everyone (ended_until BIGINT NOT NULL)",
    "INSERT INTO daypass_everyone (ended_until) VALUES (0)",
)
"""One row: every session that was created until then is ended."""

_SUBJECTS = """
    CREATE TABLE daypass_subjects (
        subject TEXT NOT NULL PRIMARY KEY,
        logins {integer} NOT NULL,
        devices {blob} NOT NULL
    )"""
"""One row for each user whose logins are counted or whose devices are noticed: how often they logged in, which puts
logins that come at once in order; and hashes of the devices, 8 bytes each, the last used first."""

_SEEN_INDEX = "CREATE INDEX daypass_subjects_seen ON daypass_subjects (seen_at)"
"""Finds the rows of users who have not logged in for long; ``seen_at`` is the last login."""

_SQLITE_SUBJECTS = _SUBJECTS.format(integer="INTEGER", blob="BLOB") + " WITHOUT ROWID"
_SQLITE_SEEN_AT = "ALTER TABLE daypass_subjects ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0"

_EVENTS = (
    """
    CREATE TABLE daypass_events (
        at {integer} NOT NULL,
        id TEXT NOT NULL,
        code TEXT NOT NULL,
        session_id TEXT,
        subject TEXT,
        reason TEXT,
        actor TEXT,
        address TEXT,
        PRIMARY KEY (at, id)
    )""",
    "CREATE INDEX daypass_events_subject ON daypass_events (subject, at) WHERE subject IS NOT NULL",
)
"""The audit trail; see `daypass.operator_steps.AuditRecord`."""

_SQLITE_EVENTS = (_EVENTS[0].format(integer="INTEGER") + " WITHOUT ROWID", _EVENTS[1])
_POSTGRES_EVENTS = (_EVENTS[0].format(integer="BIGINT"), _EVENTS[1])

_ACCOUNT_SCOPES = (
    "ALTER TABLE daypass_accounts ADD COLUMN scope TEXT",
    "CREATE INDEX daypass_accounts_scoped ON daypass_accounts (subject) WHERE scope IS NOT NULL",
)
"""What a built-in user may do; the index finds the few users for whom that is said."""

_MARKS = (
    """
    CREATE TABLE daypass_marks (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        expires_at {integer} NOT NULL,
        PRIMARY KEY (key, value)
    )""",
    "CREATE INDEX daypass_marks_expired ON daypass_marks (expires_at)",
)
"""See `daypass.operator_steps.AddMark`."""

_SQLITE_MARKS = (_MARKS[0].format(integer="INTEGER") + " WITHOUT ROWID", _MARKS[1])
_POSTGRES_MARKS = (_MARKS[0].format(integer="BIGINT"), _MARKS[1])

SQLITE_VERSION = 10

SQLITE = (
    """
    CREATE TABLE daypass_sessions (
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
        address TEXT,
        scope TEXT,
        idle_ttl INTEGER,
        ends_at INTEGER,
        extras TEXT,
        key_thumbprint TEXT
    ) WITHOUT ROWID
    """,
    _LIVE_INDEX,
    "CREATE INDEX daypass_sessions_ended ON daypass_sessions (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE daypass_keys (
        kid TEXT NOT NULL PRIMARY KEY,
        algorithm TEXT NOT NULL,
        wrapped TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        used_from INTEGER NOT NULL,
        follows TEXT NOT NULL,
        UNIQUE (algorithm, follows)
    )
    """,
    """
    CREATE TABLE daypass_accounts (
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
    "CREATE TABLE daypass_sweep (place BLOB NOT NULL, due_at INTEGER NOT NULL)",
    "INSERT INTO daypass_sweep (place, due_at) VALUES (x'', 0)",
    *_EVERYONE,
    _SQLITE_SUBJECTS,
    _SQLITE_SEEN_AT,
    _SEEN_INDEX,
    *_SQLITE_EVENTS,
    *_ACCOUNT_SCOPES,
    *_SQLITE_MARKS,
    """
    CREATE TABLE daypass_schema (
        version INTEGER NOT NULL,
        current INTEGER NOT NULL,
        probed INTEGER NOT NULL
    )
    """,
    "INSERT INTO daypass_schema (version, current, probed) VALUES (3, 10, 0)",
)
"""Makes the tables in SQLite. ``daypass_schema.current`` is the version. ``version`` is the oldest one whose Daypass
can work with these tables; up to version 3 it was the only column, and a Daypass of that time looks at nothing else."""

_SINCE_SQLITE_2 = (
    "CREATE INDEX daypass_sessions_subject ON daypass_sessions (subject)",
    "CREATE INDEX daypass_sessions_ended ON daypass_sessions (ended_at) WHERE ended_at IS NOT NULL",
    *(statement for statement in SQLITE if "TABLE daypass_keys" in statement or "daypass_sweep" in statement),
    "CREATE TABLE daypass_schema (version INTEGER NOT NULL)",
    "INSERT INTO daypass_schema (version) VALUES (2)",
)

SQLITE_UPGRADES = {
    # from 1, where the table names had no prefix
    1: (
        "ALTER TABLE sessions RENAME TO daypass_sessions",
        "ALTER TABLE accounts RENAME TO daypass_accounts",
        "DROP INDEX sessions_subject",
        *_SINCE_SQLITE_2,
        """
        INSERT INTO daypass_keys (kid, algorithm, wrapped, created_at, used_from, follows)
        SELECT kid, algorithm, wrapped, created_at, created_at, '' FROM signing_keys
        """,
        "DROP TABLE signing_keys",
        "PRAGMA user_version = 0",
    ),
    2: ("ALTER TABLE daypass_sessions ADD COLUMN scope TEXT", "UPDATE daypass_schema SET version = 3"),
    3: (
        "DROP INDEX daypass_sessions_subject",
        _LIVE_INDEX,
        *_EVERYONE,
        "DROP TABLE daypass_schema",
        *(statement for statement in SQLITE if "daypass_schema" in statement),
    ),
    4: (
        "ALTER TABLE daypass_sessions ADD COLUMN idle_ttl INTEGER",
        "ALTER TABLE daypass_sessions ADD COLUMN ends_at INTEGER",
        "ALTER TABLE daypass_sessions ADD COLUMN extras TEXT",
        _SQLITE_SUBJECTS,
        "UPDATE daypass_schema SET current = 5",
    ),
    5: (
        _SQLITE_SEEN_AT,
        "UPDATE daypass_subjects SET seen_at = CAST(strftime('%s') AS INTEGER) * 1000",
        _SEEN_INDEX,
        "UPDATE daypass_schema SET current = 6",
    ),
    6: (
        "ALTER TABLE daypass_sessions ADD COLUMN key_thumbprint TEXT",
        "UPDATE daypass_schema SET current = 7",
    ),
    7: (*_SQLITE_EVENTS, "UPDATE daypass_schema SET current = 8"),
    8: (*_ACCOUNT_SCOPES, "UPDATE daypass_schema SET current = 9"),
    9: (*_SQLITE_MARKS, "UPDATE daypass_schema SET current = 10"),
}
"""What brings each older version one further. A new version also means another `SQLITE_VERSION`."""


_POSTGRES_SUBJECTS = _SUBJECTS.format(integer="BIGINT", blob="BYTEA")
_POSTGRES_SEEN_AT = """
    ALTER TABLE daypass_subjects
    ADD COLUMN seen_at BIGINT NOT NULL DEFAULT (CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT))
"""

POSTGRES_VERSION = 9

POSTGRES = (
    """
    CREATE TABLE daypass_sessions (
        generation BIGINT NOT NULL,
        rotated_at BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        ended_at BIGINT,
        idle_ttl BIGINT,
        ends_at BIGINT,
        id BYTEA NOT NULL PRIMARY KEY,
        branch BYTEA NOT NULL,
        subject TEXT NOT NULL,
        client_id TEXT NOT NULL,
        end_reason TEXT,
        device_name TEXT,
        user_agent TEXT,
        address TEXT,
        scope TEXT,
        extras TEXT,
        key_thumbprint TEXT
    ) WITH (fillfactor = 85)
    """,
    _LIVE_INDEX,
    "CREATE INDEX daypass_sessions_ended ON daypass_sessions (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE daypass_keys (
        kid TEXT NOT NULL PRIMARY KEY,
        algorithm TEXT NOT NULL,
        wrapped TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        used_from BIGINT NOT NULL,
        follows TEXT NOT NULL,
        UNIQUE (algorithm, follows)
    )
    """,
    """
    CREATE TABLE daypass_accounts (
        subject TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        username TEXT,
        password_hash TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        disabled_at BIGINT,
        folded_email TEXT NOT NULL UNIQUE,
        folded_username TEXT UNIQUE
    )
    """,
    "CREATE TABLE daypass_sweep (place BYTEA NOT NULL, due_at BIGINT NOT NULL)",
    "INSERT INTO daypass_sweep (place, due_at) VALUES ('', 0)",
    *_EVERYONE,
    _POSTGRES_SUBJECTS,
    _POSTGRES_SEEN_AT,
    _SEEN_INDEX,
    *_POSTGRES_EVENTS,
    *_ACCOUNT_SCOPES,
    *_POSTGRES_MARKS,
    """
    CREATE TABLE daypass_schema (
        version BIGINT NOT NULL,
        compatible_from BIGINT NOT NULL,
        probed BIGINT NOT NULL DEFAULT 0
    )
    """,
    "INSERT INTO daypass_schema (version, compatible_from) VALUES (9, 1)",
)
"""What makes them, in PostgreSQL. Fixed lengths come first, so that nothing is lost between them; each page has room
left for a refresh to write its row beside the old one, and then no index is touched."""

POSTGRES_UPGRADES: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE daypass_sessions ADD COLUMN scope TEXT", "UPDATE daypass_schema SET version = 2"),
    2: (
        "DROP INDEX daypass_sessions_subject",
        _LIVE_INDEX,
        *_EVERYONE,
        "ALTER TABLE daypass_schema ADD COLUMN probed BIGINT NOT NULL DEFAULT 0",
        "UPDATE daypass_schema SET version = 3",
    ),
    3: (
        "ALTER TABLE daypass_sessions ADD COLUMN idle_ttl BIGINT",
        "ALTER TABLE daypass_sessions ADD COLUMN ends_at BIGINT",
        "ALTER TABLE daypass_sessions ADD COLUMN extras TEXT",
        _POSTGRES_SUBJECTS,
        "UPDATE daypass_schema SET version = 4",
    ),
    4: (_POSTGRES_SEEN_AT, _SEEN_INDEX, "UPDATE daypass_schema SET version = 5"),
    5: (
        "ALTER TABLE daypass_sessions ADD COLUMN key_thumbprint TEXT",
        "UPDATE daypass_schema SET version = 6",
    ),
    6: (*_POSTGRES_EVENTS, "UPDATE daypass_schema SET version = 7"),
    7: (*_ACCOUNT_SCOPES, "UPDATE daypass_schema SET version = 8"),
    8: (*_POSTGRES_MARKS, "UPDATE daypass_schema SET version = 9"),
}
"""What brings each older version one further, and sets both columns of ``daypass_schema``: the version, and the oldest
one whose Daypass can go on working with it. Nodes of both run side by side while they are replaced."""
