"""What the contract tests of the port `Cluster` run against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.clusters import Target, real, sandbox
from tests.contracts.namespaces import Namespace, namespace


@pytest.fixture(scope="module", params=[sandbox, real], ids=["sandbox", "real"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    with request.param(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def room(target: Target) -> Iterator[Namespace]:
    with namespace(target) as found:
        yield found
