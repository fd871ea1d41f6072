"""The long form of the chaos test, by command."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.chaos.world import Plan, World


def main() -> int:
    """Run one plan, say what was found, and return 1 when something was lost or out of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Plan):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    plan = Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(World(plan, Path(folder) / "data").run())
    sys.stdout.write(f"{found}\n")
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
