"""Webhooks as they arrive: bodies, signatures, losses, repeats, and hooks that are switched off."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from gitlab.exceptions import GitlabCreateError

from flowmaster_delivery.sandbox.gitlab.records import Hook, now
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.webhooks import FAILURES_TO_DISABLE, _count
from tests.sandbox.gitlab.stage import Receiver, Stage, cloned, eventually

KEY = b"0123456789abcdef0123456789abcdef"
SIGNING_TOKEN = "whsec_" + base64.b64encode(KEY).decode()
ZEROS = "0" * 40


def commit(stage: Stage, project: Project, branch: str = "feature", path: str = "a") -> str:
    action = {"action": "create", "file_path": path, "content": "x"}
    order = {"branch": branch, "commit_message": "change", "actions": [action]}
    if branch not in project.repository.branches():
        order["start_branch"] = "main"
    made: str = stage.seen(project, "dana").commits.create(order).id
    return made


def arrived(receiver: Receiver, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """Bodies of a kind, once so many came."""

    def look() -> list[dict[str, Any]]:
        bodies = [json.loads(r.body) for r in receiver.requests]
        found = [b for b in bodies if b["object_kind"] == kind]
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = eventually(look)
    return found


def order(stage: Stage, **what: int) -> None:
    headers = {"PRIVATE-TOKEN": stage.tokens["root"]}
    httpx.post(f"{stage.url}/sandbox/webhooks", json=what, headers=headers).raise_for_status()


def test_a_push_tells_what_moved(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    base = project.repository.branches()["main"].commit
    sha = commit(stage, project)
    second = commit(stage, project, path="b")
    new, moved = arrived(receiver, "push", 2)
    assert (new["before"], new["after"], new["ref"]) == (ZEROS, sha, "refs/heads/feature")
    assert (moved["before"], moved["checkout_sha"]) == (sha, second)
    assert moved["commits"][0]["added"] == ["b"]
    assert [c["id"] for c in new["commits"]] == [sha]
    assert base not in json.dumps(moved["commits"])
    assert moved["project"]["path_with_namespace"] == project.full_path
    assert moved["user_username"] == "dana"


def test_a_deleted_branch_has_no_checkout(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    commit(stage, project)
    stage.hook(project, receiver.url)
    stage.seen(project).branches.delete("feature")
    body = arrived(receiver, "push")[0]
    assert (body["after"], body["checkout_sha"], body["commits"]) == (ZEROS, None, [])


def test_an_annotated_tag_tells_its_object_and_its_commit(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    tag = stage.seen(project).tags.create({"tag_name": "v1", "ref": "main", "message": "one"})
    body = arrived(receiver, "tag_push")[0]
    assert (body["after"], body["checkout_sha"]) == (tag.target, tag.commit["id"])
    assert body["message"] == "one"


def test_a_push_of_more_than_three_branches_sends_nothing_for_them(
    stage: Stage, receiver: Receiver, tmp_path: Path
) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    clone = cloned(tmp_path / "work", stage.remote(project))
    branches = [f"HEAD:refs/heads/b{number}" for number in range(4)]
    clone.done("push", "origin", *branches, "HEAD:refs/tags/one")
    arrived(receiver, "tag_push")
    clone.done("push", "origin", *(f"HEAD:refs/heads/c{number}" for number in range(3)))
    arrived(receiver, "push", 3)
    refs = [json.loads(r.body)["ref"] for r in receiver.requests if "Push Hook" in r.kind]
    assert sorted(refs) == [
        "refs/heads/c0",
        "refs/heads/c1",
        "refs/heads/c2",
        "refs/tags/one",
    ]


def test_a_branch_filter_keeps_other_branches_away(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url).branch_filter = "release/*"
    commit(stage, project)
    commit(stage, project, "release/1", "b")
    bodies = arrived(receiver, "push")
    assert [b["ref"] for b in bodies] == ["refs/heads/release/1"]


def test_pipelines_tell_each_state_with_their_jobs(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    sha = commit(stage, project, "develop", "services/api-gateway/x")

    def last() -> dict[str, Any] | None:
        bodies = [json.loads(r.body) for r in receiver.requests]
        done = [b for b in bodies if b["object_kind"] == "pipeline"]
        passed = [b for b in done if b["object_attributes"]["status"] == "success"]
        return passed[0] if passed else None

    body = eventually(last)
    assert (body["object_attributes"]["sha"], body["object_attributes"]["tag"]) == (sha, False)
    assert body["object_attributes"]["finished_at"].endswith(" UTC")
    assert {b["name"]: b["status"] for b in body["builds"]}["docker:api-gateway"] == "success"
    states = {b["object_attributes"]["status"] for b in arrived(receiver, "pipeline", 3)}
    assert states == {"pending", "running", "success"}


def test_a_merge_request_tells_its_actions(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    commit(stage, project)
    stage.hook(project, receiver.url)
    about = {"source_branch": "feature", "target_branch": "staging", "title": "Add a"}
    stage.seen(project, "dana").mergerequests.create(about)
    before = project.repository.branches()["feature"].commit
    after = commit(stage, project, path="b")
    stage.seen(project, "sam").mergerequests.get(1).approve()
    stage.seen(project, "dana").mergerequests.get(1).merge()
    bodies = arrived(receiver, "merge_request", 4)
    by_action = {b["object_attributes"]["action"]: b for b in bodies}
    assert set(by_action) == {"open", "update", "approved", "merge"}
    assert by_action["update"]["object_attributes"]["oldrev"] == before
    assert by_action["update"]["object_attributes"]["last_commit"]["id"] == after
    assert by_action["approved"]["user"]["username"] == "sam"
    assert by_action["merge"]["object_attributes"]["merge_commit_sha"]


def test_both_signature_and_token_come_and_one_key_names_the_event(
    stage: Stage, receiver: Receiver
) -> None:
    project = stage.project()
    stage.hook(project, receiver.url, token="secret", signing_token=SIGNING_TOKEN)
    commit(stage, project)
    arrived(receiver, "push")
    request = receiver.requests[0]
    key, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = hmac.new(KEY, f"{key}.{at}.".encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()
    assert abs(int(at) - time.time()) < 10
    assert request.headers["x-gitlab-token"] == "secret"
    assert request.headers["idempotency-key"] == key
    assert request.headers["x-gitlab-event"] == "Push Hook"


def test_without_secrets_none_is_sent(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    commit(stage, project)
    arrived(receiver, "push")
    assert not {"x-gitlab-token", "webhook-signature"} & set(receiver.requests[0].headers)


def test_webhooks_are_lost_and_sent_twice_by_order(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    stage.hook(project, receiver.url)
    order(stage, lose=1)
    lost = commit(stage, project)
    order(stage, double=1)
    doubled = commit(stage, project, path="b")
    commit(stage, project, path="c")
    bodies = arrived(receiver, "push", 3)
    afters = [b["after"] for b in bodies]
    assert afters.count(doubled) == 2
    assert lost not in afters
    keys = [r.headers["webhook-id"] for r in receiver.requests]
    assert len(set(keys)) == len(keys) - 1


def test_only_an_administrator_gives_orders(stage: Stage) -> None:
    headers = {"PRIVATE-TOKEN": stage.tokens["dana"]}
    answer = httpx.post(f"{stage.url}/sandbox/webhooks", json={"lose": 1}, headers=headers)
    assert answer.status_code == 403
    assert stage.world.outbox.lose == 0


def test_a_failed_delivery_is_not_retried_and_can_be_resent(
    stage: Stage, receiver: Receiver
) -> None:
    project = stage.project()
    hook = stage.hook(project, receiver.url)
    receiver.status = 500
    commit(stage, project)
    events = f"/projects/{project.id}/hooks/{hook.id}/events"
    client = stage.client()

    def answered() -> Any:
        found = stage.ask(events)
        return found and found[0]["response_status"] and found

    listed = eventually(answered)
    assert [e["response_status"] for e in listed] == ["500"]
    time.sleep(0.2)
    assert len(receiver.requests) == 1
    receiver.status = 200
    client.http_post(f"{events}/{listed[0]['id']}/resend")
    eventually(lambda: len(receiver.requests) == 2)
    first, second = receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_receiver_that_is_not_there_is_noted(stage: Stage) -> None:
    project = stage.project()
    hook = stage.hook(project, "http://127.0.0.1:9/hook")
    commit(stage, project)
    eventually(lambda: hook.events and hook.events[0].response_status == "internal error")


def test_four_failures_pause_a_hook_longer_each_time_and_forty_end_it() -> None:
    hook = Hook(1, "http://127.0.0.1:9/")
    for _ in range(3):
        _count(hook, succeeded=False)
    assert hook.alert_status(now()) == "executable"
    _count(hook, succeeded=False)
    assert hook.alert_status(now()) == "temporarily_disabled"
    assert hook.alert_status(now() + timedelta(minutes=1.1)) == "executable"
    _count(hook, succeeded=False)
    assert hook.alert_status(now() + timedelta(minutes=1.1)) == "temporarily_disabled"
    for _ in range(FAILURES_TO_DISABLE):
        _count(hook, succeeded=False)
    assert hook.alert_status(now() + timedelta(days=9)) == "disabled"
    _count(hook, succeeded=True)
    assert hook.alert_status(now()) == "executable"


def test_tokens_are_never_told_and_another_address_forgets_them(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    made = seen.hooks.create(
        {"url": "http://127.0.0.1:9/", "token": "secret", "signing_token": SIGNING_TOKEN}
    )
    told = json.dumps(made.attributes)
    assert "secret" not in told
    assert SIGNING_TOKEN not in told
    assert made.token_present is True
    made.url = "http://127.0.0.1:10/"
    made.save()
    assert seen.hooks.get(made.id).token_present is False


@pytest.mark.parametrize(
    "about",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://127.0.0.1:9/", "signing_token": "whsec_short"},
        {"url": "http://127.0.0.1:9/", "signing_token": "plain"},
    ],
)
def test_a_hook_that_does_not_fit_is_refused(stage: Stage, about: dict[str, str]) -> None:
    with pytest.raises(GitlabCreateError):
        stage.seen(stage.project()).hooks.create(about)


def test_a_test_delivery_is_sent(stage: Stage, receiver: Receiver) -> None:
    project = stage.project()
    hook = stage.hook(project, receiver.url)
    stage.client().http_post(f"/projects/{project.id}/hooks/{hook.id}/test/push_events")
    eventually(lambda: receiver.kinds() == ["Push Hook"])
