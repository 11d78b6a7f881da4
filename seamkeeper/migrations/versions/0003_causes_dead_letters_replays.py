"""Causes of failures, dead letters, replays."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    name = sa.String(length=200)
    word = sa.String(length=20)
    op.add_column("events", sa.Column("cause", name, nullable=True))
    op.add_column("attempts", sa.Column("cause", name, nullable=True))
    op.add_column("attempts", sa.Column("seam_request_id", sa.Text(), nullable=True))
    op.create_index("acs_users_gone", "acs_users", ["acs_system_id", "deleted_at"])
    op.create_table(
        "dead_letters",
        sa.Column("dead_id", sa.Integer(), nullable=False),
        sa.Column("kind", word, nullable=False),
        sa.Column("subject_id", name, nullable=False),
        sa.Column("job", name, nullable=False),
        sa.Column("event_type", name, nullable=True),
        sa.Column("acs_user_id", name, nullable=True),
        sa.Column("acs_system_id", name, nullable=True),
        sa.Column("cause", name, nullable=False),
        sa.Column("field", name, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seam_request_id", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("first_at", instant, nullable=False),
        sa.Column("died_at", instant, nullable=False),
        sa.Column("ended_at", instant, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("dead_id"),
    )
    op.create_index("dead_letters_by_subject", "dead_letters", ["kind", "subject_id"])
    op.create_index("dead_letters_by_time", "dead_letters", ["ended_at", "dead_id"])
    op.create_index("dead_letters_by_cause", "dead_letters", ["ended_at", "cause", "dead_id"])
    op.create_table(
        "replays",
        sa.Column("replay_id", sa.Integer(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("eligible", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("moved_at", instant, nullable=False),
        sa.Column("ended_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("replay_id"),
    )
