"""Operators: what the coordinator asks GitLab before a run of whom the proxy names is queued."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from flowmaster_delivery.defs.coordinator import DeliveryCoordinator
from flowmaster_delivery.model.errors import DeliveryError, Denied, NotFound, Unreachable
from tests.defs.test_coordinator import asked, granted, submit, words
from tests.fakes.fake_forge import FakeForge

GROUP = "group/operators"
SHIP = {"ship": True, "version": "v1.0.0"}
BACK = {"rollback_to": "previous", "reason": "it smells"}
ABORT = {"canary": "abort", "reason": "it smells"}


@pytest.fixture
def forge(instance: DagsterInstance) -> FakeForge:
    """GitLab, where sam and dana operate production."""
    return operate(instance, "production")


def operate(instance: DagsterInstance, environment: str) -> FakeForge:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, DeliveryCoordinator)
    catalog, forge = coordinator.catalog, FakeForge(groups={GROUP: {"sam", "dana"}})
    operated = replace(catalog.environments[environment], operators=GROUP)
    coordinator.catalog = replace(
        catalog, environments={**catalog.environments, environment: operated}
    )
    coordinator.forge = forge
    return forge


def refused(instance: DagsterInstance, run: DagsterRun) -> str:
    assert run.status is DagsterRunStatus.FAILURE
    assert "flowmaster/voucher" not in run.tags
    return words(instance, run)


def test_an_operator_may_start_a_run(instance: DagsterInstance, forge: FakeForge) -> None:
    run = submit(instance, "production", form=SHIP, by=asked("sam"))
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/asked-by"] == "sam"
    assert forge.calls == [f"members {GROUP}"]


@pytest.mark.parametrize(
    ("form", "chapters", "what"),
    [
        (SHIP, ("image", "promotion"), "promotion"),
        ({}, ("image", "promotion"), "candidate"),
        (SHIP, ("deployment", "health"), "ship"),
        (BACK, ("deployment", "health"), "rollback"),
        (ABORT, ("deployment",), "canary"),
    ],
)
@pytest.mark.usefixtures("forge")
def test_whoever_is_no_operator_is_told_who_what_and_whom_to_ask(
    instance: DagsterInstance, form: dict[str, object], chapters: tuple[str, ...], what: str
) -> None:
    run = submit(instance, "production", chapters=chapters, form=form, by=asked("eve"))
    said = refused(instance, run)
    assert f"{what} of service-0 in production, asked for by eve" in said
    assert f"eve is not a member of {GROUP}" in said
    assert "ask one of that group" in said


def test_membership_is_asked_anew_each_time(instance: DagsterInstance, forge: FakeForge) -> None:
    assert submit(instance, "production", by=asked("dana")).status is DagsterRunStatus.QUEUED
    forge.groups[GROUP].remove("dana")
    assert "dana is not a member" in refused(
        instance, submit(instance, "production", by=asked("dana"))
    )


@pytest.mark.parametrize(
    "error",
    [Unreachable("GitLab is away"), NotFound("there is no such group"), Denied("not for us")],
)
def test_a_group_that_cannot_be_read_lets_nobody_pass(
    instance: DagsterInstance, forge: FakeForge, error: DeliveryError
) -> None:
    forge.people_away = error
    said = refused(instance, submit(instance, "production", by=asked("sam")))
    assert "whether they may is not known" in said
    assert str(error) in said


def test_where_nobody_operates_gitlab_is_not_asked(
    instance: DagsterInstance, forge: FakeForge
) -> None:
    forge.people_away = Unreachable("GitLab is away")
    assert submit(instance, "dev", by=asked("eve")).status is DagsterRunStatus.QUEUED


def test_a_grant_of_ours_is_not_asked_again(instance: DagsterInstance, forge: FakeForge) -> None:
    forge.people_away = Unreachable("GitLab is away")
    run = submit(instance, "production", tags=granted("o1", "production"))
    assert run.status is DagsterRunStatus.QUEUED


def test_operators_are_asked_in_an_automatic_environment_too(instance: DagsterInstance) -> None:
    operate(instance, "dev")
    assert "eve is not a member" in refused(instance, submit(instance, "dev", by=asked("eve")))
    assert "who asks" in refused(instance, submit(instance, "dev"))
    assert submit(instance, "dev", by=asked("sam")).status is DagsterRunStatus.QUEUED


@pytest.mark.parametrize(
    "callers", [("sam", "eve"), ("sam", "sam"), ("sam,eve",), ("sam|grant",), ("",), ()]
)
@pytest.mark.parametrize("environment", ["dev", "production"])
def test_a_header_that_names_not_one_user_is_refused_everywhere(
    instance: DagsterInstance, forge: FakeForge, environment: str, callers: tuple[str, ...]
) -> None:
    said = refused(instance, submit(instance, environment, by=asked(*callers)))
    assert "does not name one GitLab user" in said
    assert forge.calls == []


def test_without_a_named_header_nobody_is_believed(
    instance: DagsterInstance, forge: FakeForge
) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, DeliveryCoordinator)
    coordinator.settings = replace(coordinator.settings, identity_header=None)
    said = refused(instance, submit(instance, "production", by=asked("sam")))
    assert "nobody vouches for this caller" in said
    assert forge.calls == []


def test_what_dagster_starts_again_does_not_wait_for_gitlab(
    instance: DagsterInstance, forge: FakeForge
) -> None:
    """It was asked for by an operator, and asks again at the moment of effect."""
    first = submit(instance, "production", by=asked("sam"))
    instance.report_run_failed(first, "its process died")
    forge.people_away = Unreachable("GitLab is away")
    again = submit(instance, "production", tags=first.tags, parent=first.run_id)
    assert again.status is DagsterRunStatus.QUEUED
    assert again.tags["flowmaster/asked-by"] == "sam"


def test_a_refused_run_gives_no_name_to_what_is_started_again(
    instance: DagsterInstance, forge: FakeForge
) -> None:
    first = submit(instance, "production", by=asked("eve"))
    again = submit(instance, "production", tags=first.tags, parent=first.run_id)
    assert "nobody vouches" in refused(instance, again)
    assert forge.calls == [f"members {GROUP}"]
