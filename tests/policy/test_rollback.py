"""Where back is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackRule
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.rollback import (
    environment_is_ill,
    rolled_back_from,
    verified_before,
)

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


def verified(digest: str, outcome: Outcome = Outcome.SUCCESS) -> Verification:
    return Verification("api", "production", digest, outcome, START, "run-1")


def back(
    *steps: str,
    healthy: frozenset[str] = ALL,
    since: datetime | None = None,
    known: tuple[Verification, ...] = (),
    leaving: str | None = None,
) -> str | None:
    """`known` newest first."""
    found = verified_before(records(*steps), known, healthy, since, leaving)
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


def test_a_failed_rollback_condemns_what_it_left_too() -> None:
    assert rolled_back_from(records("A", "B", "!A<B")) == frozenset("B")
    assert back("A", "B", "!A<B") is None


def test_a_rollback_that_changed_nothing_condemns_nothing() -> None:
    assert rolled_back_from(records("A", "A<B=")) == frozenset()


def test_what_ended_before_the_oldest_look_known_counts_as_verified() -> None:
    since = START + timedelta(minutes=30)
    assert back("A", "B", healthy=frozenset("B"), since=since) == "A"
    assert back("A", "B", healthy=frozenset("B"), since=START) is None


def test_an_image_whose_verification_failed_is_no_way_back_however_healthy_it_was() -> None:
    known = (verified("B", Outcome.FAILURE), verified("A"))
    assert back("A", "B", "C", known=known) == "A"


def test_an_image_that_could_never_be_judged_is_no_way_back() -> None:
    undecided = (verified("B", Outcome.ERROR), verified("B", Outcome.INCONCLUSIVE))
    assert back("A", "B", "C", known=undecided) == "A"


def test_a_judgement_that_could_not_be_made_later_takes_nothing_away() -> None:
    known = (verified("B", Outcome.INCONCLUSIVE), verified("B"))
    assert back("A", "B", "C", healthy=frozenset(), known=known) == "B"


def test_the_last_word_about_an_image_counts() -> None:
    assert back("A", "B", "C", known=(verified("B"), verified("B", Outcome.FAILURE))) == "B"
    assert back("A", "B", "C", known=(verified("B", Outcome.FAILURE), verified("B"))) == "A"


def test_an_adopted_image_is_a_way_back() -> None:
    adopted = replace(records("A")[0], method=Method.ADOPTION)
    (tried, _) = records("A", "B")
    found = verified_before((tried, adopted), (), frozenset(), None)
    assert found == adopted


def test_back_from_a_canary_that_failed_is_what_runs() -> None:
    assert back("A", "B", "!C=") == "B"
    assert back("A", "B", "!C=", leaving="B") == "A"


def test_back_from_what_is_named_is_never_what_is_named() -> None:
    assert back("A", "B", "!C", leaving="B") == "A"


def test_an_environment_is_ill_when_more_than_its_share_fails_at_once() -> None:
    rule = RollbackRule(ill_share=0.3)
    assert not environment_is_ill(8, 29, rule)
    assert environment_is_ill(9, 29, rule)
    assert environment_is_ill(2, 3, rule)


def test_one_service_alone_is_never_its_environment() -> None:
    assert not environment_is_ill(1, 1, RollbackRule())
