"""One cluster per test, its clock in the test's hand."""

from __future__ import annotations

import pytest

from tests.sandbox.kubernetes.lab import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()
