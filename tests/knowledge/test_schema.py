"""The database is brought up to date from the first form on, and never backwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from knowledge.database import Database
from knowledge.errors import SchemaTooNew, StoreUnavailable
from knowledge.schema import configuration, newest_revision, stored_revision, upgrade
from knowledge.tables import metadata
from tests.knowledge.family import a_family


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "memoras.sqlite3"


def test_a_new_database_reaches_the_newest_form_and_stays_there(path: Path) -> None:
    assert stored_revision(path) is None
    assert upgrade(path) == newest_revision()
    assert stored_revision(path) == newest_revision()
    assert upgrade(path) is None


def test_the_steps_make_exactly_the_tables_of_the_code(path: Path) -> None:
    upgrade(path)
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        different = compare_metadata(context, metadata)
        assert different == [], "a table changed without its step: python -m knowledge.migrations"
        made = _statements(connection.connection.cursor().execute)
    engine.dispose()
    fresh = create_engine("sqlite://")
    with fresh.connect() as connection:
        metadata.create_all(connection)
        assert made == _statements(connection.connection.cursor().execute)
    fresh.dispose()


def _statements(execute: object) -> dict[str, str]:
    """Return what SQLite keeps of each table and index, without the differences of layout."""
    rows = execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")  # type: ignore[operator]
    own = {name: " ".join(sql.replace('"', "").split()) for name, sql in rows if name != "alembic_version"}
    # The order of the constraints inside a table says nothing.
    return {name: " ".join(sorted(sql.replace(",", " ").split())) for name, sql in own.items() if "sqlite_" not in name}


def test_every_step_can_be_taken_one_by_one_up_and_down(path: Path) -> None:
    from alembic.command import downgrade
    from alembic.command import upgrade as take

    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config = configuration(connection)
        steps = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
        for revision in steps:
            take(config, revision)
        downgrade(config, "base")
        take(config, "head")
    engine.dispose()
    assert stored_revision(path) == steps[-1] == newest_revision()


def test_the_steps_are_one_line_in_the_order_of_their_numbers(path: Path) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        scripts = list(ScriptDirectory.from_config(configuration(connection)).walk_revisions())[::-1]
    engine.dispose()
    assert [script.revision for script in scripts] == [f"{number + 1:04d}" for number in range(len(scripts))]


def test_a_database_in_use_is_readable_after_the_steps(path: Path) -> None:
    upgrade(path)
    database = Database(path)
    family = database.write_now(a_family)
    database.close()
    assert upgrade(path) is None
    again = Database(path)
    assert again.read_now(lambda c: family.viewer(c, family.daughter)).audiences >= {"circle:family"}
    again.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    upgrade(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="newer version of Memoras"):
        upgrade(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"This is a letter to my daughter, and not a database at all." * 100)
    with pytest.raises(StoreUnavailable):
        upgrade(path)
    assert path.read_bytes().startswith(b"This is a letter")


def test_a_step_that_fails_leaves_the_database_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE turn (mine TEXT)")
        connection.commit()
    with pytest.raises(StoreUnavailable):
        upgrade(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("turn",)]


def test_a_start_with_nothing_to_do_does_not_load_alembic(path: Path) -> None:
    upgrade(path)
    code = (
        "import sys, pathlib; from knowledge.schema import upgrade; "
        f"assert upgrade(pathlib.Path({str(path)!r})) is None; "
        "assert not [name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
