"""How long may a database keep its caller waiting? As long as the caller has patience, asked anew for each transaction.

A job has until its deadline. PostgreSQL ends a statement that takes longer, waiting for a lock included; SQLite's
wait for its write lock ends likewise. A server that vanished with its machine is noticed by the network within 30 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event

Patience = Callable[[], float]  # seconds

# libpq's words. Unanswered packets end a connection after 30 s, a silent one is asked after 15 s and ended 15 s later.
NETWORK = {
    "connect_timeout": 5,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def give(engine: Engine, patience: Patience) -> None:
    """Every transaction of this engine begins with what is left. Costs one short statement each."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(words % max(int(patience() * 1000), 1))

    # SET LOCAL ends with the transaction: a pooler that gives the connection to somebody else hands on nothing.
    words = "SET LOCAL statement_timeout = %d" if _is_postgresql(engine) else "PRAGMA busy_timeout = %d"
    event.listen(engine, "begin", begin)


def _is_postgresql(engine: Any) -> bool:
    return bool(engine.dialect.name == "postgresql")
