"""What Alembic runs: the steps on the connection it is given, compared with the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from alembic import context
from sqlmodel import AutoString

from knowledge.tables import UtcDateTime, metadata

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def _written(kind: str, found: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Return how a column type of ours stands in a step; False leaves it to Alembic."""
    if kind != "type":
        return False
    if isinstance(found, UtcDateTime):
        autogen.imports.add("from knowledge.tables import UtcDateTime")
        return "UtcDateTime()"
    return "sa.String()" if isinstance(found, AutoString) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_written,
    # SQLite changes a column by copying its table.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
