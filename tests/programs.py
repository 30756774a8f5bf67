"""Real programs that tests ask: found, or the test is skipped, or fails where they are required."""

from __future__ import annotations

import os
import shutil

import pytest


def promtool() -> str:
    """Prometheus' own tool for rules and metrics."""
    return _program("promtool", "prometheus")


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found:
        return found
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    missing = f"no {name} on this machine (Debian: apt install {package})"
    raise (pytest.fail if required else pytest.skip).Exception(missing)
