"""Merge requests with approvals, bound to the head that was merged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import Malformed, Unreachable
from flowmaster_delivery.model.source import MergeApproval, Person
from tests.fakes.far_end import FarEnd, Reply

PROJECT = "/api/v4/projects/flow-master%2Fplatform"
MERGED, HEAD, OLD, SQUASHED = "a" * 40, "b" * 40, "c" * 40, "d" * 40
OF_COMMIT = f"{PROJECT}/repository/commits/{MERGED}/merge_requests"
MR = f"{PROJECT}/merge_requests/5"
DANA = {"id": 3, "username": "dana", "name": "Dana"}
SAM = {"id": 4, "username": "sam", "name": "Sam"}


def request(iid: int = 5, **more: object) -> dict[str, object]:
    return {
        "iid": iid,
        "title": "Release",
        "state": "merged",
        "author": DANA,
        "source_branch": "staging",
        "target_branch": "main",
        "sha": HEAD,
        "merge_commit_sha": MERGED,
        "squash_commit_sha": None,
        "merged_at": "2026-11-23T06:00:00.000Z",
        "detailed_merge_status": "not_open",
        "labels": ["release"],
        "web_url": "https://gitlab/-/merge_requests/5",
        **more,
    }


def version(number: int, head: str, hour: int) -> dict[str, object]:
    at = f"2026-11-23T{hour:02}:00:00.000Z"
    return {"id": number, "head_commit_sha": head, "created_at": at}


def approval(user: dict[str, object], at: str | None = "2026-11-23T05:30:00Z") -> dict[str, object]:
    return {"user": user, "approved_at": at}


@pytest.fixture
def gitlab(far_end: FarEnd) -> FarEnd:
    far_end.say(OF_COMMIT, Reply([request()]))
    far_end.say(MR, Reply(request()))
    far_end.say(f"{MR}/approvals", Reply({"approved": True, "approved_by": [approval(SAM)]}))
    far_end.say(f"{MR}/versions", Reply([version(1, HEAD, 5)]))
    return far_end


def test_a_merge_request_is_read_with_its_approvals(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert (found.iid, found.head, found.merged_commit) == (5, HEAD, MERGED)
    assert found.author == Person(3, "dana", "Dana")
    given = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)
    assert found.approvals == (MergeApproval(Person(4, "sam", "Sam"), given),)
    assert found.labels == ("release",)


def test_it_costs_the_same_number_of_requests_each_time(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, counted: list[tuple[str, str]]
) -> None:
    forge.merge_request_of(repository, MERGED, "main")
    assert len(counted) == 5


@pytest.mark.parametrize(
    "listed", [[], [request(state="opened")], [request(target_branch="staging")]]
)
def test_what_is_not_merged_into_the_target_did_not_bring_the_commit(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, listed: list[object]
) -> None:
    gitlab.say(OF_COMMIT, Reply(listed))
    assert forge.merge_request_of(repository, MERGED, "main") is None


@pytest.mark.parametrize("field", ["merge_commit_sha", "squash_commit_sha", "sha"])
def test_of_several_it_is_the_one_that_ended_in_the_commit(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, field: str
) -> None:
    ended = {"merge_commit_sha": None, "squash_commit_sha": None, "sha": HEAD, field: MERGED}
    later = request(9, merge_commit_sha=OLD)
    gitlab.say(OF_COMMIT, Reply([later, request(5, **ended)]))
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert found.iid == 5


def test_of_several_that_hold_the_commit_the_first_merged_brought_it(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    later = request(2, merge_commit_sha=OLD, merged_at="2026-11-24T06:00:00Z")
    gitlab.say(OF_COMMIT, Reply([later, request(5, merge_commit_sha=OLD)]))
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert found.iid == 5


def test_a_squashed_merge_request_names_its_squash_commit(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    gitlab.say(MR, Reply(request(merge_commit_sha=None, squash_commit_sha=SQUASHED)))
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert (found.head, found.merged_commit) == (HEAD, SQUASHED)


def test_the_head_changed_when_its_unbroken_row_of_versions_began(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    rows = [version(4, HEAD, 8), version(3, HEAD, 7), version(2, OLD, 6), version(1, HEAD, 5)]
    gitlab.say(f"{MR}/versions", Reply(rows))
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert found.head_changed_at == datetime(2026, 11, 23, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "versions", [Reply([]), Reply([version(1, OLD, 5)]), Reply({"message": "404"}, 404)]
)
def test_when_the_head_changed_is_not_guessed(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, versions: Reply
) -> None:
    gitlab.say(f"{MR}/versions", versions)
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert found.head_changed_at is None


def test_a_head_that_changed_while_approvals_were_read_counts_for_nothing(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    gitlab.say(MR, Reply(request()), Reply(request(sha=OLD)))
    with pytest.raises(Unreachable, match="still working"):
        forge.merge_request_of(repository, MERGED, "main")


@pytest.mark.parametrize("status", ["unchecked", "checking", "preparing", "approvals_syncing"])
def test_approvals_that_gitlab_may_be_resetting_are_awaited(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository, status: str
) -> None:
    gitlab.say(MR, Reply(request(detailed_merge_status=status)))
    with pytest.raises(Unreachable):
        forge.merge_request_of(repository, MERGED, "main")


def test_an_approval_without_a_time_is_not_counted_as_any_time(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    gitlab.say(f"{MR}/approvals", Reply({"approved_by": [approval(SAM, None)]}))
    with pytest.raises(Malformed, match="when sam approved"):
        forge.merge_request_of(repository, MERGED, "main")


def test_a_bot_approves_nothing(gitlab: FarEnd, forge: GitLabForge, repository: Repository) -> None:
    bot: dict[str, object] = {"id": 9, "username": "project_12_bot_5f3a", "name": "CI"}
    gitlab.say(f"{MR}/approvals", Reply({"approved_by": [approval(bot), approval(SAM)]}))
    found = forge.merge_request_of(repository, MERGED, "main")
    assert found is not None
    assert [given.by.username for given in found.approvals] == ["sam"]


def test_approvals_that_cannot_be_read_are_no_absence_of_them(
    gitlab: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    gitlab.say(f"{MR}/approvals", Reply(b"", 502))
    with pytest.raises(Unreachable):
        forge.merge_request_of(repository, MERGED, "main")
    gitlab.say(f"{MR}/approvals", Reply({"approved": True}))
    with pytest.raises(Malformed, match="approved_by"):
        forge.merge_request_of(repository, MERGED, "main")
