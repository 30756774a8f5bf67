"""Pipelines are started once, on a GitLab that may fail at any moment."""

from __future__ import annotations

import json

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import Denied, NotFound, Unreachable
from flowmaster_delivery.model.source import PipelineState
from tests.fakes.far_end import FarEnd, Reply

PROJECT = "/api/v4/projects/flow-master%2Fplatform"
PIPELINES = f"{PROJECT}/pipelines"
CREATE = f"{PROJECT}/pipeline"
TOLD = {"SUITE": "contract", "COMMIT": "c" * 40}


def pipeline(number: int, status: str = "pending") -> dict[str, object]:
    return {"id": number, "sha": "a" * 40, "ref": "main", "status": status, "source": "api"}


def variables(told: dict[str, str]) -> Reply:
    return Reply([{"key": k, "value": v, "variable_type": "env_var"} for k, v in told.items()])


def posts(far_end: FarEnd) -> list[object]:
    return [json.loads(asked.body) for asked in far_end.asked if asked.method == "POST"]


def test_a_pipeline_is_started_with_its_variables(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([]))
    far_end.say(CREATE, Reply(pipeline(7), 201), method="POST")
    made = forge.start_pipeline(repository, "main", TOLD)
    assert (made.id, made.state) == (7, PipelineState.RUNNING)
    given = [{"key": key, "value": value} for key, value in TOLD.items()]
    assert posts(far_end) == [{"ref": "main", "variables": given}]
    assert far_end.asked[0].query["source"] == ["api"]


def test_one_with_the_very_same_variables_is_answered_instead(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(9), pipeline(8), pipeline(7, "failed")]))
    far_end.say(f"{PIPELINES}/9/variables", variables({**TOLD, "MORE": "1"}))
    far_end.say(f"{PIPELINES}/8/variables", variables({"SUITE": "contract"}))
    far_end.say(f"{PIPELINES}/7/variables", variables(TOLD))
    found = forge.start_pipeline(repository, "main", TOLD)
    assert (found.id, found.state) == (7, PipelineState.FAILED)
    assert posts(far_end) == []


def test_a_start_without_an_answer_is_looked_for_and_not_sent_again(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([]), Reply([pipeline(7)]))
    far_end.say(f"{PIPELINES}/7/variables", variables(TOLD))
    far_end.say(CREATE, Reply(hang_up=True), method="POST")
    assert forge.start_pipeline(repository, "main", TOLD).id == 7
    assert len(posts(far_end)) == 1


def test_a_start_that_left_no_trace_is_unreachable(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([]))
    far_end.say(CREATE, Reply(status=502), method="POST")
    with pytest.raises(Unreachable):
        forge.start_pipeline(repository, "main", TOLD)
    assert len(posts(far_end)) == 1


def test_a_pipeline_that_was_deleted_meanwhile_is_none_of_ours(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(7)]))
    far_end.say(CREATE, Reply(pipeline(8), 201), method="POST")
    assert forge.start_pipeline(repository, "main", TOLD).id == 8


def test_what_may_not_be_read_is_not_taken_for_another_pipeline(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(7)]))
    far_end.say(f"{PIPELINES}/7/variables", Reply({"message": "403 Forbidden"}, 403))
    with pytest.raises(Denied):
        forge.start_pipeline(repository, "main", TOLD)
    assert posts(far_end) == []


def test_one_pipeline_is_read_by_its_number(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(f"{PIPELINES}/7", Reply(pipeline(7, "canceled")))
    assert forge.pipeline(repository, 7).state is PipelineState.CANCELED
    with pytest.raises(NotFound):
        forge.pipeline(repository, 8)
