"""Engine and tables. The same tables live in a SQLite file (WAL) and in PostgreSQL.

`acs_users` and `desired_users` are a public contract (docs/database.md): the customer's application joins the first
and may write the second. JSON is kept as text with ASCII escapes: PostgreSQL's jsonb refuses `\\u0000` and lone
surrogates, which a provider may put into a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy import text as sql_text
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from seamkeeper import clock
from seamkeeper.columns import Instant, Json, Words
from seamkeeper.patience import NETWORK, Patience, give

metadata = MetaData()
_ID = String(200)
# Compared by its beginning: bytewise, whatever the language of the database.
_KEY = String(200).with_variant(String(200, collation="C"), "postgresql")

events = Table(
    "events",
    metadata,
    Column("event_id", _ID, primary_key=True),
    Column("event_type", _ID, nullable=False),
    Column("workspace_id", _ID),
    Column("acs_user_id", _ID),
    Column("acs_system_id", _ID),
    Column("connected_account_id", _ID),
    Column("status", String(20), nullable=False),
    Column("source", String(20), nullable=False),
    Column("delivery_id", Words),
    Column("occurred_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("reason", Words),
    Column("cause", _ID),  # of a failure, one word for all that failed alike (seamkeeper/dead.py)
    Column("body", Words, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Index("events_by_time", "received_at", "event_id"),
    Index("events_by_status", "status", "received_at", "event_id"),
    # What stands behind the place is only looked at on the way (seamkeeper/event_filters.py).
    Index("events_by_type", "event_type", "received_at", "event_id", "status", "acs_system_id", "source"),
    Index("events_by_user", "acs_user_id", "received_at", "event_id", "status", "event_type", "source"),
    Index("events_by_system", "acs_system_id", "received_at", "event_id", "status", "event_type", "source"),
    Index("events_by_delivery", "delivery_id"),
    # Hardly any event is in these two.
    Index(
        "events_by_other_source",
        "source",
        "received_at",
        "event_id",
        "status",
        "event_type",
        "acs_system_id",
        sqlite_where=sql_text("source <> 'webhook'"),
        postgresql_where=sql_text("source <> 'webhook'"),
    ),
    Index(
        "events_tried_again",
        "received_at",
        "event_id",
        "tries",
        "status",
        "event_type",
        "acs_system_id",
        "source",
        sqlite_where=sql_text("tries >= 2"),
        postgresql_where=sql_text("tries >= 2"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True),
    Column("event_id", _ID),
    Column("acs_user_id", _ID),
    Column("job_id", _ID, nullable=False),
    Column("job", _ID, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", String(20), nullable=False),
    Column("reason", Words),
    Column("cause", _ID),
    Column("seam_request_id", Words),
    Column("calls", Json),  # what was asked of Seam: method, path, status, milliseconds, request id; never a body
    Column("lines", Json),  # what was logged meanwhile
    Column("next_at", Instant),
    Index("attempts_by_event", "event_id", "attempt_id"),
    Index("attempts_by_user", "acs_user_id", "attempt_id"),
    Index("attempts_by_time", "started_at"),  # without the outcome: on PostgreSQL, writing that stays a small update
)

acs_users = Table(
    "acs_users",
    metadata,
    Column("acs_user_id", _ID, primary_key=True),
    Column("acs_system_id", _ID),
    Column("workspace_id", _ID),
    Column("connected_account_id", _ID),
    Column("user_identity_id", _ID),
    Column("display_name", Words),
    Column("full_name", Words),
    Column("email_address", Words),
    Column("phone_number", Words),
    Column("is_suspended", Boolean),
    Column("sync", String(20), nullable=False),
    Column("health", String(20), nullable=False),
    Column("reason", Words),
    Column("drift", Json),
    Column("observed", Json),
    Column("read_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Column("first_seen_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("replaces", _ID),
    Column("replaced_by", _ID),
    Column("name_key", _KEY),  # what people search by (seamkeeper/folding.py)
    Column("last_name_key", _KEY),
    Column("email_key", _KEY),
    Column("phone_key", _KEY),
    Column("moved", Json),  # managed field -> what it was before somebody else moved it, and when that was seen
    # What stands behind the id is only looked at on the way (seamkeeper/user_filters.py).
    Index("acs_users_by_system", "acs_system_id", "acs_user_id", "sync", "health"),
    Index("acs_users_by_sync", "sync", "acs_user_id", "health", "acs_system_id"),
    Index("acs_users_by_health", "health", "acs_user_id", "sync", "acs_system_id"),
    Index("acs_users_by_identity", "user_identity_id"),
    Index("acs_users_gone", "acs_system_id", "deleted_at"),
    Index("acs_users_by_name_key", "name_key", "acs_user_id"),
    Index("acs_users_by_last_name_key", "last_name_key", "acs_user_id"),
    Index("acs_users_by_email_key", "email_key", "acs_user_id"),
    Index("acs_users_by_phone_key", "phone_key", "acs_user_id"),
    Index("acs_users_by_standing", "sync", "health"),
)

desired_users = Table(
    "desired_users",
    metadata,
    Column("acs_user_id", _ID, primary_key=True),
    Column("full_name", Words),
    Column("email_address", Words),
    Column("phone_number", Words),
    Column("access_schedule", Json),
    Column("hid_acs_system_id", _ID),
    Column("is_suspended", Boolean),
    Column("updated_at", Instant),
    Column("updated_by", Words),
)

policies = Table(
    "policies",
    metadata,
    Column("scope", String(20), primary_key=True),  # user, system or all
    Column("subject_id", _ID, primary_key=True),  # acs_user_id, acs_system_id, or "" for all
    Column("repair", String(20)),
    Column("recreate", String(20)),
    Column("paused_until", Instant),
    Column("reason", Words),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Words),
)

issues = Table(
    "issues",
    metadata,
    Column("issue_id", Integer, primary_key=True),
    Column("acs_user_id", _ID),  # NULL: an issue of a whole access system, or of none
    Column("acs_system_id", _ID),
    Column("kind", String(20), nullable=False),  # error and warning are Seam's, finding is ours
    Column("code", _ID, nullable=False),
    Column("message", Words),
    Column("detail", Json),
    Column("raised_at", Words),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Words),
    Column("snoozed_until", Instant),
    Column("cleared_at", Instant),
    Index("issues_by_user", "acs_user_id", "issue_id"),
    Index("issues_by_system", "acs_system_id", "issue_id", "cleared_at", "code"),
    Index("issues_open_by_code", "code", "cleared_at", "issue_id"),
    Index(
        "issues_open_by_user",
        "code",
        "acs_user_id",
        sqlite_where=sql_text("cleared_at IS NULL"),
        postgresql_where=sql_text("cleared_at IS NULL"),
    ),
    Index("issues_by_clearing", "cleared_at", "issue_id"),
)

changes = Table(
    "changes",
    metadata,
    Column("change_id", Integer, primary_key=True),
    Column("acs_user_id", _ID, nullable=False),
    Column("type", String(60), nullable=False),
    Column("detail", Json),
    Column("source", String(20), nullable=False),
    Column("at", Instant, nullable=False),
    Index("changes_by_user", "acs_user_id", "change_id"),
)

actions = Table(
    "actions",
    metadata,
    Column("action_id", Integer, primary_key=True),
    Column("acs_user_id", _ID, nullable=False),
    Column("endpoint", _ID, nullable=False),
    Column("source", String(20)),
    Column("asked_by", Words, nullable=False),
    Column("why", Json, nullable=False),
    Column("before", Json, nullable=False),
    Column("request", Json, nullable=False),
    Column("outcome", String(20)),
    Column("reason", Words),
    Column("seam_request_id", Words),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("actions_by_user", "acs_user_id", "action_id"),
)

acs_systems = Table(
    "acs_systems",
    metadata,
    Column("acs_system_id", _ID, primary_key=True),
    Column("workspace_id", _ID),
    Column("connected_account_id", _ID),
    Column("is_connected", Boolean, nullable=False),
    Column("detail", Json),
    Column("changed_at", Instant, nullable=False),
    Index("acs_systems_by_account", "connected_account_id"),
)

# A new user in place of one who is gone: written before the call, so that a lost answer cannot lead to a second one.
recreations = Table(
    "recreations",
    metadata,
    Column("recreation_id", Integer, primary_key=True),
    Column("acs_user_id", _ID, nullable=False),  # who is gone
    Column("acs_system_id", _ID, nullable=False),
    Column("state", String(20), nullable=False),  # docs/recreate.md
    Column("request", Json),
    Column("new_acs_user_id", _ID),
    Column("asked_by", Words, nullable=False),
    Column("reason", Words),
    Column("asked_at", Instant, nullable=False),
    Column("intended_at", Instant),
    Column("settled_at", Instant),
    Index("recreations_by_user", "acs_user_id", "recreation_id"),
    Index("recreations_by_intent", "intended_at"),
)

# What people are told outside of the console; `name` is one transition of one thing, told once.
notices = Table(
    "notices",
    metadata,
    Column("notice_id", Integer, primary_key=True),
    Column("name", _ID, nullable=False, unique=True),
    Column("title", Words, nullable=False),
    Column("body", Words, nullable=False),
    Column("state", String(20), nullable=False),  # waiting, sent, dead
    Column("reason", Words),
    Column("made_at", Instant, nullable=False),
    Column("sent_at", Instant),
)

# What will not be tried again without a person: one open line per event, user or other job, ended by its next success,
# by a replay or by somebody who discards it.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("dead_id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),  # event, user or job
    Column("subject_id", _ID, nullable=False),  # event_id, acs_user_id or job id
    Column("job", _ID, nullable=False),
    Column("event_type", _ID),
    Column("acs_user_id", _ID),
    Column("acs_system_id", _ID),
    Column("cause", _ID, nullable=False),
    Column("field", _ID),
    Column("reason", Words),
    Column("seam_request_id", Words),
    Column("tries", Integer, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("died_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Words),
    Index("dead_letters_by_subject", "kind", "subject_id"),
    Index("dead_letters_by_time", "ended_at", "dead_id"),
    Index("dead_letters_by_cause", "ended_at", "cause", "dead_id"),
)

# Replays of many: what was chosen, how far it is, and what it led to; also the audit of them.
replays = Table(
    "replays",
    metadata,
    Column("replay_id", Integer, primary_key=True),
    Column("chosen", Json, nullable=False),  # the filter, or the ids
    Column("state", String(20), nullable=False),  # running, stopped, done
    Column("rate", Integer, nullable=False),  # a minute
    Column("matched", Integer, nullable=False),
    Column("eligible", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("place", Json),  # where it goes on
    Column("asked_by", Words, nullable=False),
    Column("reason", Words),
    Column("asked_at", Instant, nullable=False),
    Column("moved_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

# Who did what in the console or by the API: a line before it is done, its outcome after it.
audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", Words, nullable=False),
    Column("role", String(20), nullable=False),
    Column("action", _ID, nullable=False),
    Column("kind", String(20)),  # of what: user, event, job, queue, …
    Column("subject_id", _ID),
    Column("detail", Json),
    Column("outcome", String(20)),  # done, refused, failed; NULL: not known
    Column("reason", Words),
    Index("audit_by_subject", "kind", "subject_id", "audit_id"),
    Index("audit_by_time", "at"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("name", _ID, primary_key=True),
    Column("value", Json),
    Column("updated_at", Instant, nullable=False),
)


def open_engine(url: str, *, patience: Patience | None = None) -> Engine:
    """An engine for this process. Open it after a fork, never before. `patience`: how many seconds it may keep its
    caller waiting, asked for each transaction."""
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    engine = _sqlite(url) if is_sqlite else _postgresql(url)
    if patience:
        give(engine, patience)
    if is_sqlite:
        event.listen(engine, "begin", _begin_immediate)  # after `give`: this is what waits
    return engine


def _postgresql(url: str) -> Engine:
    # As many connections as threads ask at once, five of them kept: a pool that is smaller than the worker's
    # `--concurrency` would let jobs wait for each other, and fail after 30 s.
    options = {"pool_pre_ping": True, "max_overflow": -1}
    return create_engine(url, hide_parameters=True, connect_args=dict(NETWORK), **options)


def _sqlite(url: str) -> Engine:
    database = make_url(url).database
    if database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": 15})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that only reads: on SQLite it does not queue for the write lock."""
    with engine.connect() as connection:
        yield connection.execution_options(reading=True)


def upsert(
    connection: Connection, table: Table, row: Mapping[str, Any], *, made: Mapping[str, Any], by: str | None = None
) -> None:
    """Writes `row`, over one with the same key or as a new one, which then holds `made`, too. With the name of a column
    as `by`, what stands there stays when it is greater in it: decided by the database, since nobody can lock a row that
    two are about to make."""
    dialect = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    key = [column.name for column in table.primary_key]
    statement = dialect(table).values(dict(row) | dict(made))
    is_due = table.c[by] <= statement.excluded[by] if by else None
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=dict(row), where=is_due))


def upsert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for many rows of the same columns, by as few statements as the database allows."""
    dialect = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    key = [column.name for column in table.primary_key]
    statement = dialect(table)
    written = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=written), [dict(row) for row in rows])


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Writes the rows whose key nobody has, by as few statements as the database allows, and gives these keys."""
    dialect = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    (key,) = table.primary_key
    statement = dialect(table).on_conflict_do_nothing(index_elements=[key.name]).returning(key)
    return list(connection.execute(statement, [dict(row) for row in rows]).scalars())


def plain(value: Any) -> Any:
    """A column's value as JSON can hold it."""
    return clock.iso(value) if isinstance(value, datetime) else value


def plain_row(row: RowMapping) -> dict[str, Any]:
    """A row as JSON can hold it."""
    return {name: plain(value) for name, value in row.items()}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers and one writer work at once; the driver must leave BEGIN to us."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    """Take the write lock at the start: a transaction that reads first and writes later fails with "locked" at once,
    whatever the time-out, when another wrote in between (SQLite docs, "BEGIN IMMEDIATE")."""
    is_reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
