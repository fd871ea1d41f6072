"""What the tests of the ground floor get beside the database: one open transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from knowledge.database import Connection
from knowledge.tables import metadata
from tests.knowledge.family import Family, a_family

# A busy machine is no failure: no example has to be quick.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def c(tmp_path: Path) -> Iterator[Connection]:
    """A transaction on a real SQLite file with every table and foreign keys kept, undone in the end."""
    engine = create_engine(f"sqlite:///{tmp_path / 'one.sqlite3'}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: object, record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[attr-defined]

    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        metadata.create_all(connection)
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def family(c: Connection) -> Family:
    return a_family(c)
