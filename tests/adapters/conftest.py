"""Far ends for adapters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterInstance

from tests.fakes.far_end import FarEnd


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    yield server
    server.close()


@pytest.fixture
def memory() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made
