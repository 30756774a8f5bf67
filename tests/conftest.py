"""What every test stands on: an emptied environment."""

from __future__ import annotations

import os

import pytest

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "KUBEBUILDER_ASSETS", "KUBECONFIG")
"""What a test may see of its surroundings: how to find programs, and where real servers are."""

KEPT_PREFIXES = ("FLOWMASTER_TEST_", "PYTEST_")


@pytest.fixture(autouse=True)
def emptied_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never depends on what happens to be set on the machine it runs on."""
    for name in [n for n in os.environ if n not in KEPT and not n.startswith(KEPT_PREFIXES)]:
        monkeypatch.delenv(name)
