"""`./run benchmark` measures everything, `./run benchmark NAME` one thing, `./run benchmark --list` says what there is.

Each measurement runs in a process of its own, so that none warms up the next.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import inspect
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.machine import describe

_ROOT = Path(__file__).parent.parent


def measurements(folder: Path = Path(__file__).parent) -> dict[str, str]:
    """Return the modules that have a `main`, each with the first line of its docstring. None is imported."""
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if "main" in names:
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and return 1 when a measurement failed."""
    known = measurements()
    parser = argparse.ArgumentParser(prog="run benchmark", description="Measure, and print the figures.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="what to measure (default: everything)")
    parser.add_argument("--list", action="store_true", help="say what can be measured")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"there is no measurement called {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    if given.list:
        for name, line in known.items():
            print(f"{name:<16} {line}")
        return 0
    if given.in_this_process:
        return _measure(given.names[0])
    print(describe(), flush=True)
    failed = [name for name in given.names or known if not _measure_alone(name, known[name])]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure_alone(name: str, line: str) -> bool:
    print(f"\n== {name}: {line}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks", "--in-this-process", name]
    is_well = subprocess.run(command, cwd=_ROOT).returncode == 0
    print(f"   ({time.monotonic() - began:.0f} s)", flush=True)
    return is_well


def _measure(name: str) -> int:
    # What stands here is for us, not for the measurement.
    sys.argv = [f"benchmarks.{name}"]
    measure = import_module(f"benchmarks.{name}").main
    result = asyncio.run(measure()) if inspect.iscoroutinefunction(measure) else measure()
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
