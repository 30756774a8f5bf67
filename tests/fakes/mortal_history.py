"""A history whose writer can be killed at the n-th record, before or after it was written."""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster_delivery.ports import Record
from tests.fakes.fake_cluster import Killed
from tests.fakes.fake_history import FakeHistory


@dataclass
class MortalHistory(FakeHistory):
    kill_at: int | None = None
    """Number of the record, counted from what was written since the last revival."""
    kill_after_effect: bool = False
    written: int = 0

    def record(self, record: Record) -> None:
        dies = self.written == self.kill_at
        self.written += 1
        if not dies or self.kill_after_effect:
            super().record(record)
        if dies:
            raise Killed

    def revive(self) -> None:
        self.kill_at, self.written = None, 0
