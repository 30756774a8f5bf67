"""The commands, as typed, against the real server on fakes: no network, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from tests.fakes.office import FakeOffice


@dataclass
class Shell:
    """Where commands are typed. `whenever_asked` runs before each look at a run goes on."""

    office: FakeOffice
    client: TestClient
    whenever_asked: list[Callable[[], None]] = field(default_factory=list)
    paused: float = 0.0

    def run(self, *words: str, token: str | None = None) -> Result:
        session = Session(
            self.office.settings(), connect=self._connect, pause=self._pause, token=token
        )
        return CliRunner().invoke(main, list(words), obj=session)

    def _connect(self, url: str, headers: Mapping[str, str]) -> Any:
        self.client.headers = dict(headers)  # type: ignore[assignment]
        return self.client

    def _pause(self, seconds: float) -> None:
        self.paused += seconds
        if self.whenever_asked:
            self.whenever_asked.pop(0)()


@pytest.fixture
def office(tmp_path: Path) -> FakeOffice:
    return FakeOffice(tmp_path)


@pytest.fixture
def shell(office: FakeOffice) -> Iterator[Shell]:
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        yield Shell(office, client)
