"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('acs_systems',
    sa.Column('acs_system_id', sa.String(length=200), nullable=False),
    sa.Column('workspace_id', sa.String(length=200), nullable=True),
    sa.Column('connected_account_id', sa.String(length=200), nullable=True),
    sa.Column('is_connected', sa.Boolean(), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('acs_system_id')
    )
    op.create_index('acs_systems_by_account', 'acs_systems', ['connected_account_id'], unique=False)
    op.create_table('acs_users',
    sa.Column('acs_user_id', sa.String(length=200), nullable=False),
    sa.Column('acs_system_id', sa.String(length=200), nullable=True),
    sa.Column('workspace_id', sa.String(length=200), nullable=True),
    sa.Column('connected_account_id', sa.String(length=200), nullable=True),
    sa.Column('user_identity_id', sa.String(length=200), nullable=True),
    sa.Column('display_name', sa.Text(), nullable=True),
    sa.Column('full_name', sa.Text(), nullable=True),
    sa.Column('email_address', sa.Text(), nullable=True),
    sa.Column('phone_number', sa.Text(), nullable=True),
    sa.Column('is_suspended', sa.Boolean(), nullable=True),
    sa.Column('sync', sa.String(length=20), nullable=False),
    sa.Column('health', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('drift', sa.Text(), nullable=True),
    sa.Column('observed', sa.Text(), nullable=True),
    sa.Column('read_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('acs_user_id')
    )
    op.create_index('acs_users_by_health', 'acs_users', ['health', 'acs_user_id'], unique=False)
    op.create_index('acs_users_by_identity', 'acs_users', ['user_identity_id'], unique=False)
    op.create_index('acs_users_by_sync', 'acs_users', ['sync', 'acs_user_id'], unique=False)
    op.create_index('acs_users_by_system', 'acs_users', ['acs_system_id', 'acs_user_id'], unique=False)
    op.create_table('actions',
    sa.Column('action_id', sa.Integer(), nullable=False),
    sa.Column('acs_user_id', sa.String(length=200), nullable=False),
    sa.Column('endpoint', sa.String(length=200), nullable=False),
    sa.Column('asked_by', sa.Text(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('before', sa.Text(), nullable=False),
    sa.Column('request', sa.Text(), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('seam_request_id', sa.Text(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('action_id')
    )
    op.create_index('actions_by_user', 'actions', ['acs_user_id', 'action_id'], unique=False)
    op.create_table('attempts',
    sa.Column('attempt_id', sa.Integer(), nullable=False),
    sa.Column('event_id', sa.String(length=200), nullable=True),
    sa.Column('acs_user_id', sa.String(length=200), nullable=True),
    sa.Column('job_id', sa.String(length=200), nullable=False),
    sa.Column('job', sa.String(length=200), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('attempt_id')
    )
    op.create_index('attempts_by_event', 'attempts', ['event_id', 'attempt_id'], unique=False)
    op.create_index('attempts_by_user', 'attempts', ['acs_user_id', 'attempt_id'], unique=False)
    op.create_table('changes',
    sa.Column('change_id', sa.Integer(), nullable=False),
    sa.Column('acs_user_id', sa.String(length=200), nullable=False),
    sa.Column('type', sa.String(length=60), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('source', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('change_id')
    )
    op.create_index('changes_by_user', 'changes', ['acs_user_id', 'change_id'], unique=False)
    op.create_table('checkpoints',
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('value', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name')
    )
    op.create_table('desired_users',
    sa.Column('acs_user_id', sa.String(length=200), nullable=False),
    sa.Column('full_name', sa.Text(), nullable=True),
    sa.Column('email_address', sa.Text(), nullable=True),
    sa.Column('phone_number', sa.Text(), nullable=True),
    sa.Column('access_schedule', sa.Text(), nullable=True),
    sa.Column('hid_acs_system_id', sa.String(length=200), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_by', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('acs_user_id')
    )
    op.create_table('events',
    sa.Column('event_id', sa.String(length=200), nullable=False),
    sa.Column('event_type', sa.String(length=200), nullable=False),
    sa.Column('workspace_id', sa.String(length=200), nullable=True),
    sa.Column('acs_user_id', sa.String(length=200), nullable=True),
    sa.Column('acs_system_id', sa.String(length=200), nullable=True),
    sa.Column('connected_account_id', sa.String(length=200), nullable=True),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('source', sa.String(length=20), nullable=False),
    sa.Column('delivery_id', sa.Text(), nullable=True),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('body', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('event_id')
    )
    op.create_index('events_by_status', 'events', ['status', 'received_at', 'event_id'], unique=False)
    op.create_index('events_by_time', 'events', ['received_at', 'event_id'], unique=False)
    op.create_index('events_by_type', 'events', ['event_type', 'received_at', 'event_id'], unique=False)
    op.create_index('events_by_user', 'events', ['acs_user_id', 'received_at', 'event_id'], unique=False)
    op.create_table('issues',
    sa.Column('issue_id', sa.Integer(), nullable=False),
    sa.Column('acs_user_id', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('code', sa.String(length=200), nullable=False),
    sa.Column('message', sa.Text(), nullable=True),
    sa.Column('raised_at', sa.Text(), nullable=True),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cleared_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('issue_id')
    )
    op.create_index('issues_by_user', 'issues', ['acs_user_id', 'issue_id'], unique=False)
    op.create_index('issues_open_by_code', 'issues', ['code', 'cleared_at'], unique=False)
