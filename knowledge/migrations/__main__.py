"""Write the next step by comparing the tables with what the steps so far make.

    python -m knowledge.migrations "memories have a mood"
    python -m knowledge.migrations --first          # only before a release: writes the first step anew

Read what it wrote before you commit it: a column that is renamed looks like one that goes and one that comes.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.command import revision
from sqlalchemy import create_engine

from knowledge.schema import configuration, newest_revision, upgrade

_log = logging.getLogger("knowledge.migrations")
_STEPS = Path(__file__).parent / "versions"


def main() -> None:
    """Write one step."""
    parser = argparse.ArgumentParser(prog="python -m knowledge.migrations", description="Write the next step.")
    parser.add_argument("message", nargs="?", default="", help="what changes, in a few words")
    parser.add_argument("--first", action="store_true", help="write the first step anew")
    asked = parser.parse_args()
    if asked.first:
        if steps := [step.name for step in _STEPS.glob("[0-9]*.py") if not step.name.startswith("0001")]:
            parser.error(f"there are later steps: {', '.join(steps)}")
        for step in _STEPS.glob("0001*.py"):
            step.unlink()
    elif not asked.message:
        parser.error("say in a few words what changes")
    logging.basicConfig(format="%(message)s")
    _log.setLevel(logging.INFO)
    _write("the first tables" if asked.first else asked.message, is_first=asked.first)


def _write(message: str, *, is_first: bool) -> None:
    number = "0001" if is_first else f"{int(newest_revision()) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memoras.sqlite3"
        if not is_first:
            upgrade(path)
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            config = configuration(connection)
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            made = revision(config, message=message, autogenerate=True, rev_id=number)
        engine.dispose()
    files = [script.path for script in (made if isinstance(made, list) else [made]) if script is not None]
    for file in map(Path, files):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(line for line in lines if not line.strip().startswith("# ###")), encoding="utf-8")
    for tidy in (["format", "--quiet"], ["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *tidy, *files], check=False)  # noqa: S603
    _log.info("Wrote %s. Read it before you commit it.", ", ".join(files))


if __name__ == "__main__":
    main()
