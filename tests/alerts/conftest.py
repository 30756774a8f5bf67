"""A server on fakes, whose metrics alerts stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.office import FakeOffice


@pytest.fixture
def office(tmp_path: Path) -> FakeOffice:
    return FakeOffice(tmp_path)
