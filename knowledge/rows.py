"""Small words for SQLAlchemy Core: a model's table, rows as plain models, and inserts that ignore what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Executable, Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

M = TypeVar("M", bound=SQLModel)
T = TypeVar("T")

_ROWS_PER_STATEMENT = 500


def table(model: type[SQLModel]) -> Table:
    """Return the table behind a model."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def as_model(model: type[M], row: Row[Any]) -> M:
    """Return a row as a plain model, tied to no session."""
    return model(**row._mapping)


def all_of(c: Connection, model: type[M], query: Executable) -> list[M]:
    """Return every row of a query on one model's columns."""
    return [as_model(model, row) for row in c.execute(query)]


def first_of(c: Connection, model: type[M], query: Executable, values: Mapping[str, Any] | None = None) -> M | None:
    """Return the first row of a query on one model's columns, None when there is none. `values` fill its parameters."""
    row = c.execute(query, values).first()
    return None if row is None else as_model(model, row)


def insert(c: Connection, row: M) -> M:
    """Insert one new model and return it as it now stands, with its counted key."""
    found = table(type(row))
    values = row.model_dump()
    counted = found.autoincrement_column
    if counted is not None and values.get(counted.name) is None:
        del values[counted.name]
        key = c.execute(found.insert().values(values)).inserted_primary_key
        return type(row)(**{**values, counted.name: None if key is None else key[0]})
    c.execute(found.insert().values(values))
    return row


def insert_many(c: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows that are new."""
    for part in in_parts(rows, _ROWS_PER_STATEMENT):
        c.execute(table(model).insert(), [dict(row) for row in part])


def insert_new(c: Connection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]], *keys: str) -> list[Any]:
    """Insert the rows whose unique `keys` are not there yet; return the primary keys' first column of the new ones."""
    found = table(model)
    dialect = postgresql.insert if c.dialect.name == "postgresql" else sqlite.insert
    key = next(iter(found.primary_key.columns))
    new: list[Any] = []
    for part in in_parts(rows, _ROWS_PER_STATEMENT):
        statement = dialect(found).on_conflict_do_nothing(index_elements=list(keys)).returning(key)
        new.extend(c.execute(statement, [dict(row) for row in part]).scalars())
    return new


def in_parts(values: Iterable[T], size: int = _ROWS_PER_STATEMENT) -> Iterable[list[T]]:
    """Yield the values in lists of at most `size`, small enough for one statement."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


def affected(result: Any) -> int:
    """Return how many rows a change touched."""
    return cast(int, result.rowcount)
