"""Submission: who may start what, and which run makes way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.policy.asking import ANONYMOUS, Asker, Via
from flowmaster_delivery.policy.submission import (
    Purpose,
    Submission,
    Voucher,
    asker,
    described,
    duplicate_of,
    gives_way,
    launch_refusal,
    locks,
    overtaken_by,
    purpose,
    refusal,
)
from tests.builders import dev, production, staging

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRONMENTS = {e.name: e for e in (dev(), staging(), production())}
ALL = ("image", "promotion", "deployment", "health")
DANA = Asker("dana", Via.PROXY)
NOBODY = Asker(ANONYMOUS, Via.NOTHING)


def a_submission(
    environment: str = "dev",
    services: tuple[str, ...] = ("api",),
    chapters: tuple[str, ...] = ALL,
    **fields: object,
) -> Submission:
    given: dict[str, object] = {
        "run_id": "r1",
        "order": 1,
        "environments": (environment,),
        "assets": frozenset((s, c) for s in services for c in chapters),
        "occasion": "dev:platform:develop@c1",
        "ship": True,
        "rollback": False,
        "backfill": False,
        "again": False,
        "repository": "platform",
        "ref": "develop",
        "commit": "c1",
    }
    return Submission(**{**given, **fields})  # type: ignore[arg-type]


def test_a_grant_of_ours_names_the_asker() -> None:
    submission = a_submission()
    grant = Grant("intake", submission.occasion, "dev", NOW + timedelta(minutes=1))
    found = asker(grant, submission, None, NOW, sandbox=False)
    assert found == Asker("intake", Via.GRANT)


@pytest.mark.parametrize(
    "grant",
    [
        Grant("eve", "another occasion", "dev", NOW + timedelta(minutes=1)),
        Grant("eve", "dev:platform:develop@c1", "production", NOW + timedelta(minutes=1)),
        Grant("eve", "dev:platform:develop@c1", "dev", NOW),
    ],
    ids=["of another occasion", "of another environment", "expired"],
)
def test_a_grant_for_something_else_names_nobody(grant: Grant) -> None:
    assert asker(grant, a_submission(), None, NOW, sandbox=False) == NOBODY


def test_without_a_grant_the_proxys_word_counts_and_then_the_sandbox() -> None:
    submission = a_submission()
    assert asker(None, submission, ("dana",), NOW, sandbox=True) == DANA
    assert asker(None, submission, None, NOW, sandbox=True) == Asker("local", Via.SANDBOX)
    assert asker(None, submission, None, NOW, sandbox=False) == NOBODY


def test_a_grant_of_ours_counts_before_the_proxys_word() -> None:
    submission = a_submission()
    grant = Grant("intake", submission.occasion, "dev", NOW + timedelta(minutes=1))
    assert asker(grant, submission, ("dana",), NOW, sandbox=False).name == "intake"


def test_a_header_that_names_nobody_is_not_the_sandboxs_user() -> None:
    found = asker(None, a_submission(), ("dana", "eve"), NOW, sandbox=True)
    assert found == Asker(ANONYMOUS, Via.UNREADABLE)


@pytest.mark.parametrize("environment", ["dev", "production"])
def test_a_proxy_that_is_not_as_it_must_be_is_refused_everywhere(environment: str) -> None:
    refused = refusal(a_submission(environment), ENVIRONMENTS, Asker(ANONYMOUS, Via.UNREADABLE))
    assert refused is not None
    assert "does not name one GitLab user" in refused


def test_where_people_decide_no_backfill_is_taken() -> None:
    assert refusal(a_submission("production"), ENVIRONMENTS, DANA) is None
    operated = {"dev": dev(operators="group/operators")}
    for environment, known in (("production", ENVIRONMENTS), ("dev", operated)):
        refused = refusal(a_submission(environment, backfill=True), known, DANA)
        assert refused is not None
        assert "no backfills" in refused


@pytest.mark.parametrize("environment", ["dev", "production"])
def test_tags_that_say_how_the_pod_is_made_are_refused_everywhere(environment: str) -> None:
    submission = a_submission(environment, pod_tags=("dagster-k8s/config",))
    refused = refusal(submission, ENVIRONMENTS, DANA)
    assert refused is not None
    assert "(dagster-k8s/config)" in refused
    assert "installation's values" in refused


def test_a_run_is_launched_where_it_was_admitted() -> None:
    assert launch_refusal(Voucher("r1", DANA, "dev"), a_submission("dev"), ENVIRONMENTS) is None


@pytest.mark.parametrize(
    ("voucher", "environments", "words"),
    [
        (None, ("dev",), "nobody vouches for this run"),
        (Voucher("r1", DANA, "dev"), ("production",), "admitted for dev, and its tags say prod"),
        (Voucher("r1", DANA, "production"), ("dev",), "admitted for production, and its tags say"),
        (Voucher("r1", DANA, "dev"), ("dev", "production"), "its tags say dev, production"),
        (Voucher("r1", DANA, "dev"), (), "its tags say none"),
        (Voucher("r1", DANA, "qa"), ("qa",), "knows no environment 'qa'"),
    ],
)
def test_no_other_run_gets_the_credentials_of_an_environment(
    voucher: Voucher | None, environments: tuple[str, ...], words: str
) -> None:
    submission = a_submission(environments=environments)
    refused = launch_refusal(voucher, submission, ENVIRONMENTS)
    assert refused is not None
    assert words in refused


def test_an_automatic_environment_takes_backfills() -> None:
    assert refusal(a_submission("dev", backfill=True), ENVIRONMENTS, NOBODY) is None


def test_a_refusal_says_who_asked_for_what() -> None:
    one = a_submission("production", chapters=("deployment",), rollback=True)
    assert described(one, ENVIRONMENTS["production"], DANA) == (
        "rollback of api in production, asked for by dana"
    )
    two = a_submission("dev", ("api", "auth"))
    assert described(two, ENVIRONMENTS["dev"], DANA) == (
        "delivery of 2 services in dev, asked for by dana"
    )


@pytest.mark.parametrize("environments", [(), ("dev", "production")])
def test_a_run_works_on_one_environment(environments: tuple[str, ...]) -> None:
    refused = refusal(a_submission(environments=environments), ENVIRONMENTS, DANA)
    assert refused is not None
    assert "one environment" in refused


def test_an_environment_that_is_not_there_is_refused() -> None:
    refused = refusal(a_submission("prod"), ENVIRONMENTS, DANA)
    assert refused is not None
    assert "'prod'" in refused


@pytest.mark.parametrize(
    ("submission", "expected"),
    [
        (a_submission(), Purpose.DELIVERY),
        (a_submission("production", chapters=("image", "promotion")), Purpose.PROMOTION),
        (
            a_submission("production", chapters=("image", "promotion"), ship=False),
            Purpose.CANDIDATE,
        ),
        (a_submission("production", chapters=("deployment", "health")), Purpose.SHIP),
        (a_submission("production", chapters=("deployment",), rollback=True), Purpose.ROLLBACK),
    ],
)
def test_a_runs_purpose_is_what_it_selects_and_says(
    submission: Submission, expected: Purpose
) -> None:
    environment = ENVIRONMENTS[submission.environments[0]]
    assert purpose(submission, environment) is expected


def test_locks_follow_the_services_that_are_rolled_out_to() -> None:
    found = locks(a_submission("staging", ("api", "auth")))
    assert found == {"flowmaster/lock/api": "staging", "flowmaster/lock/auth": "staging"}
    assert locks(a_submission(chapters=("image", "promotion"))) == {}


def test_a_rollback_does_not_queue_behind_what_it_stops() -> None:
    assert locks(a_submission(rollback=True)) == {}


def test_an_order_to_a_canary_does_not_queue_behind_the_rollout_it_speaks_to() -> None:
    order = a_submission("production", chapters=("deployment",), canary=True)
    assert locks(order) == {}
    assert purpose(order, ENVIRONMENTS["production"]) is Purpose.CANARY


def test_the_earliest_run_of_an_occasion_wins() -> None:
    first, second = a_submission(order=1), a_submission(run_id="r2", order=2)
    assert duplicate_of(second, [(first, False), (second, False)]) == first
    assert duplicate_of(first, [(first, False), (second, False)]) is None


def test_a_failed_run_may_be_executed_again_but_not_ordered_again() -> None:
    failed = a_submission(order=1)
    assert duplicate_of(a_submission(order=2), [(failed, True)]) == failed
    assert duplicate_of(a_submission(order=2, again=True), [(failed, True)]) is None
    assert duplicate_of(a_submission(order=2, again=True), [(failed, False)]) == failed


def test_a_queued_run_gives_way_to_a_newer_commit_of_its_ref() -> None:
    old, new = a_submission(), a_submission(order=2, commit="c2")
    assert gives_way(old, new)


@pytest.mark.parametrize(
    "newer",
    [
        a_submission(order=2, commit="c1"),
        a_submission(order=0, commit="c2"),
        a_submission("staging", order=2, commit="c2"),
        a_submission(order=2, commit="c2", ref="main"),
        a_submission(order=2, commit="c2", repository="frontend"),
        a_submission(order=2, commit="c2", services=("auth",)),
        a_submission(order=2, commit="c2", chapters=("image", "promotion")),
    ],
    ids=["same", "older", "environment", "ref", "repository", "other service", "no deployment"],
)
def test_it_does_not_give_way_to_anything_else(newer: Submission) -> None:
    assert not gives_way(a_submission(), newer)


def test_it_does_not_give_way_to_an_older_commit_that_is_executed_again() -> None:
    assert not gives_way(a_submission(), a_submission(order=2, commit="c0", again=True))


def test_a_crashed_run_is_not_started_again_behind_a_newer_commit() -> None:
    crashed, again = a_submission(order=1), a_submission(order=3, again=True)
    newer = a_submission(run_id="r2", order=2, commit="c2")
    assert overtaken_by(crashed, again, [crashed, newer, again]) == newer


def test_a_crashed_run_is_started_again_where_nothing_newer_brings_all_of_it() -> None:
    crashed, again = a_submission(order=2), a_submission(order=9, again=True)
    others = [
        a_submission(order=1, commit="c0"),
        a_submission(order=3, commit="c2", services=("auth",)),
        a_submission("staging", order=4, commit="c2"),
        crashed,
        again,
    ]
    assert overtaken_by(crashed, again, others) is None


def test_a_run_without_a_ref_gives_way_to_nothing() -> None:
    by_hand = replace(a_submission(), ref="")
    assert not gives_way(by_hand, replace(by_hand, order=2, commit="c2"))
