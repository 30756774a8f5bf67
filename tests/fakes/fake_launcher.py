"""A launcher in memory: runs are what tests say they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowmaster_delivery.model.errors import DeliveryError, NotFound
from flowmaster_delivery.ports import LaunchedRun, RunOrder, RunReason


@dataclass
class FakeLauncher:
    made: dict[str, LaunchedRun] = field(default_factory=dict)
    orders: list[tuple[RunOrder, str]] = field(default_factory=list)
    broken: DeliveryError | None = None

    def launch(self, order: RunOrder, asked_by: str) -> LaunchedRun:
        if self.broken:
            raise self.broken
        known = self.find(order.occasion)
        if known:
            return known
        self.orders.append((order, asked_by))
        tags = {
            **order.tags,
            "flowmaster/occasion": order.occasion,
            "flowmaster/asked-by": asked_by,
        }
        run_id = f"run-{len(self.made) + 1}"
        self.made[run_id] = LaunchedRun(run_id, "QUEUED", tags, url=f"http://ui/runs/{run_id}")
        return self.made[run_id]

    def check(self) -> None:
        if self.broken:
            raise self.broken

    def becomes(
        self,
        run_id: str,
        state: str,
        *,
        reasons: tuple[RunReason, ...] = (),
        steps: Mapping[str, str] | None = None,
    ) -> None:
        """What tests say: the run is in this state now."""
        known = self.made[run_id]
        self.made[run_id] = replace(known, state=state, reasons=reasons, steps=dict(steps or {}))

    def find(self, occasion: str) -> LaunchedRun | None:
        found = (r for r in self.made.values() if r.tags.get("flowmaster/occasion") == occasion)
        return next((r for r in found if r.state != "CANCELED"), None)

    def runs(self, tags: Mapping[str, str]) -> tuple[LaunchedRun, ...]:
        found = [r for r in self.made.values() if tags.items() <= r.tags.items()]
        return tuple(reversed(found))

    def run(self, run_id: str) -> LaunchedRun:
        if run_id not in self.made:
            raise NotFound(f"there is no run {run_id}")
        return self.made[run_id]
