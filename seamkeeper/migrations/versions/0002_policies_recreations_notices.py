"""Policies, issues that people handle, suspension, recreations, notices."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    name = sa.String(length=200)
    word = sa.String(length=20)
    op.create_table(
        "policies",
        sa.Column("scope", word, nullable=False),
        sa.Column("subject_id", name, nullable=False),
        sa.Column("repair", word, nullable=True),
        sa.Column("recreate", word, nullable=True),
        sa.Column("paused_until", instant, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "subject_id"),
    )
    op.create_table(
        "recreations",
        sa.Column("recreation_id", sa.Integer(), nullable=False),
        sa.Column("acs_user_id", name, nullable=False),
        sa.Column("acs_system_id", name, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("new_acs_user_id", name, nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("intended_at", instant, nullable=True),
        sa.Column("settled_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("recreation_id"),
    )
    op.create_index("recreations_by_user", "recreations", ["acs_user_id", "recreation_id"])
    op.create_index("recreations_by_intent", "recreations", ["intended_at"])
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("made_at", instant, nullable=False),
        sa.Column("sent_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("notice_id"),
        sa.UniqueConstraint("name"),
    )
    op.add_column("acs_users", sa.Column("replaces", name, nullable=True))
    op.add_column("acs_users", sa.Column("replaced_by", name, nullable=True))
    op.add_column("desired_users", sa.Column("is_suspended", sa.Boolean(), nullable=True))
    op.add_column("actions", sa.Column("source", word, nullable=True))
    with op.batch_alter_table("issues") as issues:
        issues.alter_column("acs_user_id", existing_type=name, nullable=True)
        issues.add_column(sa.Column("acs_system_id", name, nullable=True))
        issues.add_column(sa.Column("detail", sa.Text(), nullable=True))
        issues.add_column(sa.Column("acknowledged_at", instant, nullable=True))
        issues.add_column(sa.Column("acknowledged_by", sa.Text(), nullable=True))
        issues.add_column(sa.Column("snoozed_until", instant, nullable=True))
    op.create_index("issues_by_system", "issues", ["acs_system_id", "issue_id"])
    op.create_index("issues_by_clearing", "issues", ["cleared_at", "issue_id"])
