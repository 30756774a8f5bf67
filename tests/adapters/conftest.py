"""Far ends for adapters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.far_end import FarEnd


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    yield server
    server.close()
