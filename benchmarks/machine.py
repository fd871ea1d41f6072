"""What a figure was measured on: without it, a figure says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def describe() -> str:
    """Return the machine, the software and the hour in a few lines."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "processor": f"{_processor()}, {_cores()}",
        "memory": f"{_memory_bytes() / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_version()} ({sys.implementation.name})",
        "load": f"{load} (1, 5 and 15 minutes, before the measurements)",
    }
    return "\n".join(f"{name + ':':<11}{fact}" for name, fact in facts.items())


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cores() -> str:
    ours, all_of_them = cores(), os.cpu_count() or 1
    return f"{ours} cores" if ours == all_of_them else f"{ours} of {all_of_them} cores"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "Model"):
            return value.strip()
    return _said("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or less in a container."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [line for path in ("/sys/fs/cgroup/memory.max",) for line in _lines(path) if line.isdecimal()]
    return min([whole, *map(int, limits)])


def _commit() -> str:
    commit = _said("git", "rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}, with changes" if _said("git", "status", "--porcelain", "--untracked-files=no") else commit


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _said(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=Path(__file__).parent)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
