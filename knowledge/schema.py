"""The form of the database, brought up to date at start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from knowledge.errors import SchemaTooNew, StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

_STEPS = Path(__file__).parent / "migrations" / "versions"


def newest_revision() -> str:
    """Return the revision that this version of the code works with: the number of the last step."""
    return max(file.name[:4] for file in _STEPS.glob("[0-9]*.py"))


def stored_revision(path: Path) -> str | None:
    """Return the revision of a database file, None when it is new.

    Raises:
        StoreUnavailable: when the file is no database, or cannot be read.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            found = tables and connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The file {path} cannot be read as a database.") from error
    return str(found[0]) if found else None


def upgrade(path: Path) -> str | None:
    """Bring a database file up to date, all or nothing; return the revision reached, None when nothing was to do.

    The caller holds the data folder's lock. Nothing is backed up here.

    Raises:
        SchemaTooNew: when a newer version of Memoras has used the database.
        StoreUnavailable: when a step failed; the database is as it was.
    """
    stored, newest = stored_revision(path), newest_revision()
    if stored == newest:
        return None
    if stored is not None and stored > newest:
        raise SchemaTooNew(
            f"The database {path} was used by a newer version of Memoras (form {stored}; this version knows {newest}). "
            "Install that version again, or start with another folder with MEMORAS_DATA."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = _engine(path)
    try:
        with engine.begin() as connection:
            _run(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreUnavailable("Bringing the database up to date would have broken it; it was left as it is.")
    except SQLAlchemyError as error:
        raise StoreUnavailable("The database could not be brought up to date; it was left as it is.") from error
    finally:
        engine.dispose()
    return newest


def configuration(connection: Connection) -> Config:
    """Return what Alembic needs to work on a connection."""
    # Alembic is imported only when there is a step to take: a start has no time for it otherwise.
    from alembic.config import Config

    config = Config()
    # Alembic reads % as the start of a variable.
    config.set_main_option("script_location", str(_STEPS.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(connection: Connection) -> None:
    from alembic.command import upgrade as take_steps

    take_steps(configuration(connection), "head")


def _engine(path: Path) -> Any:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        # The driver would commit before each change of a table; and copying a table that others point at needs
        # foreign keys off, which can only be said outside a transaction. They are checked before the commit.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=OFF")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
