"""Where back is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.policy.rollback import rolled_back_from, verified_before

START = datetime(2026, 11, 1, tzinfo=UTC)
ALL = frozenset("ABCD")


def records(*steps: str) -> tuple[DeploymentRecord, ...]:
    """`A` rolled out, `A<B` rolled back from B to A, `!A` failed, `A=` unchanged; oldest first."""
    made = []
    for hour, step in enumerate(steps):
        name, _, left = step.strip("!=").partition("<")
        at = START + timedelta(hours=hour)
        made.append(
            DeploymentRecord(
                service="api",
                environment="production",
                method=Method.ROLLBACK if left else Method.ROLLOUT,
                outcome=Outcome.FAILURE if step.startswith("!") else Outcome.SUCCESS,
                digest=name,
                previous_digest=left or None,
                fingerprint="",
                commit="",
                started_at=at,
                finished_at=at,
                asked_by="jane",
                changed=not step.endswith("="),
            )
        )
    return tuple(reversed(made))


def back(*steps: str, healthy: frozenset[str] = ALL, since: datetime | None = None) -> str | None:
    found = verified_before(records(*steps), healthy, since)
    return found.digest if found else None


def test_back_is_the_image_before() -> None:
    assert back("A", "B") == "A"


def test_back_from_a_failed_rollout_is_what_ran_before_it() -> None:
    assert back("A", "B", "!C") == "B"


def test_an_image_that_ran_already_is_no_step() -> None:
    assert back("A", "B", "B=") == "A"


def test_an_image_that_was_never_seen_healthy_is_passed_over() -> None:
    assert back("A", "B", "C", healthy=frozenset("A")) == "A"


def test_there_may_be_no_way_back() -> None:
    assert back() is None
    assert back("A") is None
    assert back("A", "B", healthy=frozenset()) is None
    assert back("!A", "!B") is None


def test_a_rollback_of_a_rollback_does_not_return_to_the_bad_one() -> None:
    assert back("A", "B", "C", "B<C") == "A"


def test_a_bad_one_that_somebody_brought_back_is_bad_no_more() -> None:
    assert back("A", "B", "A<B", "B", "C") == "B"


def test_a_failed_rollback_condemns_nothing() -> None:
    assert rolled_back_from(records("A", "B", "!A<B")) == frozenset()


def test_a_rollback_that_changed_nothing_condemns_nothing() -> None:
    assert rolled_back_from(records("A", "A<B=")) == frozenset()


def test_what_ended_before_the_oldest_look_known_counts_as_verified() -> None:
    since = START + timedelta(minutes=30)
    assert back("A", "B", healthy=frozenset("B"), since=since) == "A"
    assert back("A", "B", healthy=frozenset("B"), since=START) is None
