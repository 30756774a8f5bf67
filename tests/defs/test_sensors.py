"""Sensors: what is noticed becomes one run per occasion; nothing that fails holds up the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SensorResult,
)

from flowmaster_delivery.defs.intake import pack, unpack
from flowmaster_delivery.defs.requests import TRIES
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.model.source import Refs
from flowmaster_delivery.policy.intake import Seen
from flowmaster_delivery.settings import Settings
from tests.defs.conftest import SEAL_KEY
from tests.defs.lab import Lab
from tests.flows.conftest import Platform


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> Lab:
    return Lab(memory, settings, Platform())


def keys(request: RunRequest) -> set[str]:
    return {key.to_user_string() for key in request.asset_selection or ()}


def pushed(lab: Lab) -> tuple[RunRequest, str]:
    """The request that a push to develop leads to, and the cursor afterwards."""
    lab.platform.start()
    cursor = lab.tick("intake").cursor
    head = lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    lab.platform.build(head, "api")
    found = lab.tick("intake", cursor)
    (request,) = found.run_requests or ()
    return request, found.cursor or ""


def test_the_first_tick_only_remembers(lab: Lab) -> None:
    lab.platform.start()
    found = lab.tick("intake")
    assert found.run_requests == []
    assert unpack(found.cursor)["platform"].branches["develop"] == "c1".ljust(40, "0")


def test_a_push_becomes_one_request_for_the_services_it_touches(lab: Lab) -> None:
    request, _ = pushed(lab)
    assert keys(request) == {f"api/{c}" for c in ("image", "promotion", "deployment", "health")}
    assert request.partition_key == "dev"
    assert request.tags["flowmaster/occasion"].startswith("dev:platform:develop@c2")
    form = request.run_config["resources"]["form"]["config"]
    assert (form["ship"], form["ref"]) == (True, "develop")


def test_its_request_carries_a_grant_for_this_occasion_only(lab: Lab) -> None:
    request, _ = pushed(lab)
    grant = Grant.opened(SEAL_KEY, request.tags["flowmaster/grant"])
    assert grant is not None
    assert grant.asked_by == "intake"
    assert grant.covers(request.tags["flowmaster/occasion"], "dev", datetime.now(UTC))


def test_what_was_ordered_is_not_ordered_again_while_its_run_runs(lab: Lab) -> None:
    request, cursor = pushed(lab)
    lab.launched(request.tags)
    assert lab.tick("intake", cursor).run_requests == []


def test_a_request_is_keyed_by_its_occasion_so_that_dagster_starts_it_once(lab: Lab) -> None:
    request, _ = pushed(lab)
    assert request.run_key == request.tags["flowmaster/occasion"]


def test_a_run_that_failed_without_an_outcome_is_tried_again_after_a_pause(lab: Lab) -> None:
    request, cursor = pushed(lab)
    run = lab.launched(request.tags)
    lab.instance.report_run_failed(run)
    ended = lab.instance.get_run_records()[0].end_time or 0.0
    lab.now = datetime.fromtimestamp(ended + 30, UTC)
    assert lab.tick("intake", cursor).run_requests == []
    lab.now = datetime.fromtimestamp(ended + 61, UTC)
    (again,) = lab.tick("intake", cursor).run_requests or ()
    assert again.tags["flowmaster/occasion"] == f"{request.tags['flowmaster/occasion']}/try:1"
    assert keys(again) == keys(request)


def test_a_run_that_a_person_terminated_is_not_tried_again(lab: Lab) -> None:
    request, cursor = pushed(lab)
    run = lab.launched(request.tags)
    start = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
    lab.instance.report_dagster_event(start, run.run_id)
    lab.instance.report_run_canceled(run)
    lab.now = datetime.now(UTC) + timedelta(days=1)
    assert lab.tick("intake", cursor).run_requests == []


def test_after_the_last_try_it_is_left_to_people(lab: Lab) -> None:
    request, cursor = pushed(lab)
    for number in range(TRIES + 1):
        suffix = f"/try:{number}" if number else ""
        tags = {**request.tags, "flowmaster/occasion": request.tags["flowmaster/occasion"] + suffix}
        lab.instance.report_run_failed(lab.launched(tags))
    lab.now = datetime.now(UTC) + timedelta(days=1)
    assert lab.tick("intake", cursor).run_requests == []


def test_an_occasion_that_the_webhook_launched_is_not_launched_twice(lab: Lab) -> None:
    lab.platform.start()
    cursor = lab.tick("intake").cursor
    head = lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    lab.platform.build(head, "api")
    (request,) = lab.tick("intake", cursor).run_requests or ()
    lab.launched(request.tags)
    assert lab.tick("intake", cursor).run_requests == []


def test_a_run_that_only_claims_the_occasion_does_not_stand_for_it(lab: Lab) -> None:
    lab.platform.start()
    cursor = lab.tick("intake").cursor
    head = lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    lab.platform.build(head, "api")
    (request,) = lab.tick("intake", cursor).run_requests or ()
    job = lab.definitions.resolve_implicit_global_asset_job_def()
    lab.instance.create_run_for_job(job, tags=dict(request.tags))
    assert len(lab.tick("intake", cursor).run_requests or ()) == 1


def test_a_repository_that_fails_does_not_hold_up_the_others(lab: Lab) -> None:
    catalog = lab.platform.catalog
    broken = Repository("broken", "group/broken")
    lab.platform.catalog = replace(catalog, repositories={"broken": broken, **catalog.repositories})
    lab.__post_init__()
    lab.platform.start()
    lab.platform.forge.broken["broken"] = Unreachable("GitLab does not answer")
    cursor = lab.tick("intake").cursor
    head = lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    lab.platform.build(head, "api")
    found = lab.tick("intake", cursor)
    assert len(found.run_requests or ()) == 1
    assert "broken" not in unpack(found.cursor)


def test_one_of_seven_repositories_fails_and_the_other_six_go_on(lab: Lab) -> None:
    def unforeseen(repository: Repository) -> Refs:
        if repository.name == "broken":
            raise KeyError("a fault that nobody foresaw")
        return refs(repository)

    catalog, forge = lab.platform.catalog, lab.platform.forge
    names = ("broken", *(f"r{n}" for n in range(6)))
    lab.platform.catalog = replace(
        catalog,
        repositories={name: Repository(name, f"group/{name}") for name in names},
        services={
            name: replace(
                catalog.services["web"], name=name, repository=name, image=f"group/{name}"
            )
            for name in names
        },
    )
    lab.__post_init__()
    for name in names:
        forge.push(name, "develop", f"a{name}", {"services/web": "1"})
    cursor = lab.tick("intake").cursor
    for name in names:
        lab.platform.build(forge.push(name, "develop", f"b{name}", {"services/web": "2"}), name)
    refs, forge.refs = forge.refs, unforeseen  # type: ignore[method-assign]
    found = lab.tick("intake", cursor)
    ordered = {request.tags["flowmaster/repository"] for request in found.run_requests or ()}
    assert ordered == set(names) - {"broken"}
    for request in found.run_requests or ():
        lab.launched(request.tags)
    forge.refs = refs  # type: ignore[method-assign]
    (late,) = lab.tick("intake", found.cursor).run_requests or ()
    assert late.tags["flowmaster/repository"] == "broken"


def test_a_tick_without_requests_says_which_repository_failed(lab: Lab) -> None:
    lab.platform.start()
    lab.platform.forge.broken["platform"] = Unreachable("GitLab does not answer")
    found = lab.tick("intake")
    assert found.skip_reason is not None
    assert "platform could not be looked at: GitLab does not answer" in str(
        found.skip_reason.skip_message
    )


def test_a_tag_becomes_a_candidate_that_ships_nothing(lab: Lab) -> None:
    head = lab.platform.start()
    cursor = lab.tick("intake").cursor
    lab.platform.forge.tag("platform", "v1.1.0", head)
    (request,) = lab.tick("intake", cursor).run_requests or ()
    assert request.partition_key == "production"
    assert request.run_config["resources"]["form"]["config"]["ship"] is False
    assert {key.path[1] for key in request.asset_selection or ()} <= {"image", "promotion"}


def test_the_cursor_of_many_tags_stays_small() -> None:
    tags = {f"v{n // 100}.{n % 100}.0": f"{n * 7919:016x}" for n in range(5000)}
    memory = {"platform": Seen({"develop": "c" * 40}, tags)}
    cursor = pack(memory)
    assert unpack(cursor) == memory
    assert len(cursor) < 200 * 1024


def ended_promotion(lab: Lab, status: DagsterRunStatus, *, partial: bool = False) -> str:
    """A run that asked for production's promotion of api, on which it was admitted."""
    lab.platform.start()
    ran = lab.run(
        "dev",
        ("api", "web"),
        ("image", "promotion"),
        tags={"flowmaster/purpose": "promotion"},
        ship=True,
        reason="go",
        partial=partial,
    )
    assert ran.status == "SUCCESS", ran.words
    if status is DagsterRunStatus.FAILURE:
        lab.instance.report_run_failed(ran.run, "another service was refused")
    return ran.run.run_id


def test_what_a_promotion_run_admitted_is_shipped_by_a_run_of_its_own(lab: Lab) -> None:
    run_id = ended_promotion(lab, DagsterRunStatus.SUCCESS)
    (request,) = lab.tick("ship").run_requests or ()
    assert keys(request) == {
        f"{service}/{c}" for service in ("api", "web") for c in ("deployment", "health")
    }
    assert request.tags["flowmaster/occasion"] == f"ship:{run_id}"
    grant = Grant.opened(SEAL_KEY, request.tags["flowmaster/grant"])
    assert grant is not None
    assert grant.asked_by == "dana"


def test_a_promotion_run_that_failed_ships_nothing(lab: Lab) -> None:
    ended_promotion(lab, DagsterRunStatus.FAILURE)
    assert lab.tick("ship").run_requests == []


def test_a_partial_one_ships_what_was_admitted(lab: Lab) -> None:
    ended_promotion(lab, DagsterRunStatus.FAILURE, partial=True)
    (request,) = lab.tick("ship").run_requests or ()
    assert AssetKey(["api", "deployment"]) in (request.asset_selection or ())


def test_what_is_shipping_is_not_shipped_again(lab: Lab) -> None:
    ended_promotion(lab, DagsterRunStatus.SUCCESS)
    found = lab.tick("ship")
    (request,) = found.run_requests or ()
    lab.launched(request.tags)
    assert lab.tick("ship", found.cursor).run_requests == []


def shipped(lab: Lab, outcome: Outcome) -> SensorResult:
    """What the sensor orders after a deployment run that failed, with one outcome on record."""
    ended_promotion(lab, DagsterRunStatus.SUCCESS)
    found = lab.tick("ship")
    (request,) = found.run_requests or ()
    (admission, *_) = lab.platform.history.admissions("api", "dev")
    moment = datetime.now(UTC)
    lab.platform.history.record(
        DeploymentRecord(
            "api", "dev", Method.ROLLOUT, outcome, admission.candidate.digest or "", None,
            "f", "c", moment, moment, "dana",
        )
    )  # fmt: skip
    lab.instance.report_run_failed(lab.launched(request.tags))
    lab.now = moment + timedelta(seconds=90)
    return lab.tick("ship", found.cursor)


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.INCONCLUSIVE])
def test_a_release_that_came_to_an_end_is_not_shipped_again(lab: Lab, outcome: Outcome) -> None:
    assert shipped(lab, outcome).run_requests == []


def test_a_release_that_the_cluster_gave_no_answer_to_is_shipped_again(lab: Lab) -> None:
    (again,) = shipped(lab, Outcome.ERROR).run_requests or ()
    assert again.tags["flowmaster/occasion"].endswith("/try:1")


SOURCE = {
    "flowmaster/purpose": "delivery",
    "flowmaster/environment": "dev",
    "flowmaster/repository": "platform",
    "flowmaster/commit": "c" * 40,
    "flowmaster/ref": "develop",
    "flowmaster/lock/api": "dev",
}


def a_deploying_run(lab: Lab, status: DagsterRunStatus) -> str:
    job = lab.definitions.resolve_implicit_global_asset_job_def()
    run = lab.instance.create_run_for_job(job, tags=SOURCE, status=status)
    return run.run_id


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (DagsterRunStatus.STARTED, "running"),
        (DagsterRunStatus.SUCCESS, "success"),
        (DagsterRunStatus.FAILURE, "failed"),
        (DagsterRunStatus.CANCELED, "canceled"),
    ],
)
def test_gitlab_is_told_how_a_deployment_goes(
    lab: Lab, status: DagsterRunStatus, word: str
) -> None:
    a_deploying_run(lab, status)
    lab.tick("back_to_gitlab")
    (told,) = lab.platform.forge.deployments
    assert (told.environment, told.commit, told.ref, told.status) == (
        "dev",
        "c" * 40,
        "develop",
        word,
    )


def test_gitlab_is_told_once(lab: Lab) -> None:
    a_deploying_run(lab, DagsterRunStatus.SUCCESS)
    cursor = lab.tick("back_to_gitlab").cursor
    lab.tick("back_to_gitlab", cursor)
    assert len(lab.platform.forge.deployments) == 1


def test_what_gitlab_did_not_take_is_told_again(lab: Lab) -> None:
    a_deploying_run(lab, DagsterRunStatus.SUCCESS)
    lab.platform.forge.broken["platform"] = Unreachable("GitLab does not answer")
    cursor = lab.tick("back_to_gitlab").cursor
    assert lab.platform.forge.deployments == []
    del lab.platform.forge.broken["platform"]
    lab.tick("back_to_gitlab", cursor)
    assert len(lab.platform.forge.deployments) == 1
