"""A server on fakes, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.fakes.office import FakeOffice


@pytest.fixture
def office(tmp_path: Path) -> FakeOffice:
    return FakeOffice(tmp_path)


@pytest.fixture
def client(office: FakeOffice) -> Iterator[TestClient]:
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        yield client
