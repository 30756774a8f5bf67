"""What runs since when: asked for until it is on record, and not in every look."""

from __future__ import annotations

from datetime import datetime, timedelta

from flowmaster_delivery.flows.watch.residents import READ_AT_ONCE, Residents
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from tests.builders import NOON, a_look, digest, staging
from tests.fakes.fake_history import FakeHistory

SECOND = timedelta(seconds=1)


class CountingHistory(FakeHistory):
    reads: int = 0

    def deployments(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[DeploymentRecord, ...]:
        self.reads += 1
        return super().deployments(service, environment, limit)


def brought(history: FakeHistory, at: datetime, image: str) -> None:
    history.record(
        DeploymentRecord(
            "api-gateway", "staging", Method.ROLLOUT, Outcome.SUCCESS, image, None, "", "",
            at, at, "sam",
        )
    )  # fmt: skip


def test_what_is_not_on_record_is_asked_for_once_a_minute() -> None:
    history, residents = CountingHistory(), Residents()
    for second in range(0, 120, 20):
        now = NOON + second * SECOND
        assert residents.of([a_look(now)], staging(), history, now) == {}
    assert history.reads == 2


def test_it_is_there_soon_after_its_record_is() -> None:
    history, residents = CountingHistory(), Residents()
    residents.of([a_look()], staging(), history, NOON)
    brought(history, NOON, digest())
    now = NOON + 60 * SECOND
    (found,) = residents.of([a_look()], staging(), history, now).values()
    assert (found.digest, found.since) == (digest(), NOON)


def test_an_image_that_was_replaced_is_no_resident_any_more() -> None:
    history, residents = CountingHistory(), Residents()
    brought(history, NOON, digest("b"))
    assert residents.of([a_look()], staging(), history, NOON) == {}


def test_the_first_look_of_a_process_reads_a_part_and_the_next_ones_the_rest() -> None:
    history, residents = CountingHistory(), Residents()
    looks = [a_look(service=f"service-{n}") for n in range(READ_AT_ONCE + 5)]
    residents.of(looks, staging(), history, NOON)
    assert history.reads == READ_AT_ONCE
    residents.of(looks, staging(), history, NOON + SECOND)
    assert history.reads == READ_AT_ONCE + 5
