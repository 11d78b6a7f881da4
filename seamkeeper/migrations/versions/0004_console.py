"""What the console finds people and events by, what each try asked Seam, and who did what."""

import sqlalchemy as sa
from alembic import op

from seamkeeper.folding import KEYS, search_keys

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SOME = 1000
# Of lists with several filters: what stands behind the place is looked at on the way.
_WIDER = {
    "acs_users_by_system": ["acs_system_id", "acs_user_id", "sync", "health"],
    "acs_users_by_sync": ["sync", "acs_user_id", "health", "acs_system_id"],
    "acs_users_by_health": ["health", "acs_user_id", "sync", "acs_system_id"],
    "issues_by_system": ["acs_system_id", "issue_id", "cleared_at", "code"],
    "issues_open_by_code": ["code", "cleared_at", "issue_id"],
}


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    name = sa.String(length=200)
    key = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    word = sa.String(length=20)
    for column in ("calls", "lines"):
        op.add_column("attempts", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("events", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("attempts_by_time", "attempts", ["started_at"])
    place = ["received_at", "event_id"]
    for index in ("events_by_type", "events_by_user"):
        op.drop_index(index, "events")
    op.create_index("events_by_user", "events", ["acs_user_id", *place, "status", "event_type", "source"])
    op.create_index("events_by_type", "events", ["event_type", *place, "status", "acs_system_id", "source"])
    op.create_index("events_by_system", "events", ["acs_system_id", *place, "status", "event_type", "source"])
    op.create_index("events_by_delivery", "events", ["delivery_id"])
    rare = sa.text("source <> 'webhook'")
    op.create_index(
        "events_by_other_source", "events", ["source", *place, "status", "event_type", "acs_system_id"],
        sqlite_where=rare, postgresql_where=rare,
    )
    often = sa.text("tries >= 2")
    op.create_index(
        "events_tried_again", "events", [*place, "tries", "status", "event_type", "acs_system_id", "source"],
        sqlite_where=often, postgresql_where=often,
    )  # fmt: skip
    for column in KEYS:
        op.add_column("acs_users", sa.Column(column, key, nullable=True))
    op.add_column("acs_users", sa.Column("moved", sa.Text(), nullable=True))
    _fill_keys()
    for column in KEYS:
        op.create_index(f"acs_users_by_{column}", "acs_users", [column, "acs_user_id"])
    for index, columns in _WIDER.items():
        table = "issues" if index.startswith("issues") else "acs_users"
        op.drop_index(index, table)
        op.create_index(index, table, columns)
    is_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "issues_open_by_user", "issues", ["code", "acs_user_id"], sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("acs_users_by_standing", "acs_users", ["sync", "health"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("role", word, nullable=False),
        sa.Column("action", name, nullable=False),
        sa.Column("kind", word, nullable=True),
        sa.Column("subject_id", name, nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("outcome", word, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("audit_by_subject", "audit", ["kind", "subject_id", "audit_id"])
    op.create_index("audit_by_time", "audit", ["at"])


def _fill_keys() -> None:
    """For the users who are there already, some at a time."""
    named = ("acs_user_id", "display_name", "full_name", "email_address", "phone_number")
    users = sa.table("acs_users", *(sa.column(each) for each in (*named, *KEYS)))
    connection, last = op.get_bind(), ""
    while True:
        query = sa.select(*(users.c[each] for each in named)).where(users.c.acs_user_id > last)
        rows = connection.execute(query.order_by(users.c.acs_user_id).limit(_SOME)).mappings().all()
        if not rows:
            return
        for row in rows:
            keys = search_keys(row["display_name"] or row["full_name"], row["email_address"], row["phone_number"])
            is_one = users.c.acs_user_id == row["acs_user_id"]
            connection.execute(sa.update(users).where(is_one).values(dict(zip(KEYS, keys, strict=True))))
        last = rows[-1]["acs_user_id"]
