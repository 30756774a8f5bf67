"""A notifier that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.model.events import Event


@dataclass
class FakeNotifier:
    told: list[Event] = field(default_factory=list)

    def tell(self, event: Event) -> None:
        self.told.append(event)
