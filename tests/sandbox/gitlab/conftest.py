"""One GitLab per module and tier: each test takes a project of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.gitlab.stage import Receiver, Stage, receiving, running


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("gitlab")) as stage:
        yield stage


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("premium"), "premium") as stage:
        yield stage


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
