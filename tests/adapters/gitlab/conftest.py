"""A forge on a far end that is told what to say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.adapters.wire import Patience
from flowmaster_delivery.model.catalog import Repository
from tests.fakes.far_end import FarEnd

QUICK = Patience(attempts=3, budget=2.0, first_pause=0.01)


@pytest.fixture
def repository() -> Repository:
    return Repository("platform", "flow-master/platform")


@pytest.fixture
def counted() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def forge(far_end: FarEnd, counted: list[tuple[str, str]]) -> Iterator[GitLabForge]:
    forge = GitLabForge(
        far_end.url,
        lambda: "glpat-secret",
        timeout=0.4,
        patience=QUICK,
        on_request=lambda method, path: counted.append((method, path)),
    )
    yield forge
    forge.close()
