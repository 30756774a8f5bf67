"""Writing deployments back to a GitLab that may fail at any moment."""

from __future__ import annotations

import json

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.model.catalog import Environment, RefKind, RefRule, Repository
from flowmaster_delivery.model.errors import Denied, Permanent, Unreachable
from flowmaster_delivery.model.source import ForgeDeployment
from tests.fakes.far_end import FarEnd, Reply

PROJECT = "/api/v4/projects/flow-master%2Fplatform"
ENVIRONMENTS = f"{PROJECT}/environments"
DEPLOYMENTS = f"{PROJECT}/deployments"
A, B = "a" * 40, "b" * 40
KNOWN = {"id": 9, "name": "production", "external_url": "https://app.example.com"}
REFUSED = Reply({"message": {"status": ['cannot transition via "run"']}}, 400)


@pytest.fixture
def production() -> Environment:
    return Environment(
        "production",
        "flowmaster-production",
        RefRule(RefKind.VERSION),
        base_url="https://app.example.com",
    )


@pytest.fixture
def gitlab(far_end: FarEnd) -> FarEnd:
    far_end.say(ENVIRONMENTS, Reply([KNOWN]))
    far_end.say(DEPLOYMENTS, Reply([]))
    return far_end


def deployment(number: int, status: str, sha: str = A) -> dict[str, object]:
    return {"id": number, "iid": 1, "ref": "v1.0.0", "sha": sha, "status": status}


def writes(gitlab: FarEnd) -> list[tuple[str, str, object]]:
    return [
        (asked.method, asked.path, json.loads(asked.body))
        for asked in gitlab.asked
        if asked.method != "GET"
    ]


def test_a_deployment_is_created_with_its_tag(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply(deployment(1, "running"), 201), method="POST")
    made = forge.record_deployment(repository, production, A, "v1.0.0", "running")
    assert made == ForgeDeployment(1, "production", A, "v1.0.0", "running")
    about = {
        "environment": "production",
        "sha": A,
        "ref": "v1.0.0",
        "tag": True,
        "status": "running",
    }
    assert writes(gitlab) == [("POST", DEPLOYMENTS, about)]


def test_an_environment_is_made_with_tier_and_address(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(ENVIRONMENTS, Reply([]))
    gitlab.say(ENVIRONMENTS, Reply(KNOWN, 201), method="POST")
    gitlab.say(DEPLOYMENTS, Reply(deployment(1, "running"), 201), method="POST")
    forge.record_deployment(repository, production, A, "v1.0.0", "running")
    about = {"name": "production", "tier": "production", "external_url": "https://app.example.com"}
    assert writes(gitlab)[0] == ("POST", ENVIRONMENTS, about)


def test_an_environment_that_somebody_else_made_meanwhile_is_used(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(ENVIRONMENTS, Reply([]), Reply([KNOWN]))
    taken = Reply({"message": {"name": ["has already been taken"]}}, 400)
    gitlab.say(ENVIRONMENTS, taken, method="POST")
    gitlab.say(DEPLOYMENTS, Reply(deployment(1, "running"), 201), method="POST")
    made = forge.record_deployment(repository, production, A, "v1.0.0", "running")
    assert made.id == 1


def test_an_unfinished_deployment_of_the_commit_is_finished(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([deployment(2, "running", B), deployment(1, "running")]))
    gitlab.say(f"{DEPLOYMENTS}/1", Reply(deployment(1, "success")), method="PUT")
    made = forge.record_deployment(repository, production, A, "v1.0.0", "success")
    assert made.status == "success"
    assert writes(gitlab) == [("PUT", f"{DEPLOYMENTS}/1", {"status": "success"})]


def test_the_same_again_writes_nothing(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([deployment(1, "success")]))
    made = forge.record_deployment(repository, production, A, "v1.0.0", "success")
    assert made.id == 1
    assert writes(gitlab) == []


def test_a_commit_that_comes_back_after_another_is_a_new_deployment(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([deployment(2, "success", B), deployment(1, "success")]))
    gitlab.say(DEPLOYMENTS, Reply(deployment(3, "success"), 201), method="POST")
    made = forge.record_deployment(repository, production, A, "v1.0.0", "success")
    assert made.id == 3


@pytest.mark.parametrize(
    "lost", [Reply(deployment(1, "running"), delay=0.6), Reply(b"", 502), Reply(hang_up=True)]
)
def test_a_deployment_whose_answer_was_lost_is_found_and_not_made_twice(
    gitlab: FarEnd,
    forge: GitLabForge,
    repository: Repository,
    production: Environment,
    lost: Reply,
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([]), Reply([deployment(1, "running")]))
    gitlab.say(DEPLOYMENTS, lost, method="POST")
    made = forge.record_deployment(repository, production, A, "v1.0.0", "running")
    assert made.id == 1
    assert len(writes(gitlab)) == 1


def test_a_deployment_that_was_not_made_is_unreachable_and_not_tried_again(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply(b"", 502), method="POST")
    with pytest.raises(Unreachable):
        forge.record_deployment(repository, production, A, "v1.0.0", "running")
    assert len(writes(gitlab)) == 1


def test_a_transition_that_gitlab_refuses_because_it_is_done_is_done(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([deployment(1, "running")]))
    gitlab.say(f"{DEPLOYMENTS}/1", REFUSED, method="PUT")
    gitlab.say(f"{DEPLOYMENTS}/1", Reply(deployment(1, "success")))
    made = forge.record_deployment(repository, production, A, "v1.0.0", "success")
    assert made.status == "success"


def test_a_transition_that_gitlab_refuses_for_good_is_permanent(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply([deployment(1, "running")]))
    gitlab.say(f"{DEPLOYMENTS}/1", REFUSED, method="PUT")
    gitlab.say(f"{DEPLOYMENTS}/1", Reply(deployment(1, "canceled")))
    with pytest.raises(Permanent, match="cannot transition"):
        forge.record_deployment(repository, production, A, "v1.0.0", "success")


def test_a_protected_environment_that_is_not_ours_is_denied(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, production: Environment
) -> None:
    gitlab.say(DEPLOYMENTS, Reply({"message": "403 Forbidden"}, 403), method="POST")
    with pytest.raises(Denied, match="right"):
        forge.record_deployment(repository, production, A, "v1.0.0", "running")
