"""What some tests need beside Python: where it is missing they are skipped on a desk, and fail in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
)
"""Keep the browser from talking to anybody but the page under test."""


def need_chromium() -> str:
    """Return the path of a Chromium. Without one the test is skipped, in CI it fails."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or _missing("this test needs Chromium on the path (Debian: apt install chromium)")


def need_program(name: str, *, package: str) -> str:
    """Return the path of a program. Without it the test is skipped, in CI it fails."""
    return shutil.which(name) or _missing(f"this test needs {name} on the path (Debian: apt install {package})")


def is_ci() -> bool:
    """Whether this run decides on a change, so that nothing may be left out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _missing(reason: str) -> NoReturn:
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
