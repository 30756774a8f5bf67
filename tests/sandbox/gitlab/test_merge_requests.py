"""Merge requests: opening, approving on both tiers, merging, and how each is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gitlab.exceptions import (
    GitlabAuthenticationError,
    GitlabCreateError,
    GitlabHttpError,
    GitlabMRApprovalError,
    GitlabMRClosedError,
)

from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.state import Project
from tests.sandbox.gitlab.stage import Stage, eventually


def change(stage: Stage, project: Project, branch: str, path: str, text: str = "x") -> str:
    """Commit a file to a branch (made from main where it is not there); the commit id."""
    git = project.repository
    known = git.branches().get(branch)
    exists = known is not None and git.blob(known.commit, path) is not None
    action = {"action": "update" if exists else "create", "file_path": path, "content": text}
    order = {"branch": branch, "commit_message": f"change {path}", "actions": [action]}
    if known is None:
        order["start_branch"] = "main"
    made: str = stage.seen(project, "dana").commits.create(order).id
    return made


def opened(stage: Stage, project: Project, *, target: str = "staging", **more: object) -> Any:
    """A merge request of dana's, from a branch with one change."""
    change(stage, project, "feature", "a.txt")
    about = {"source_branch": "feature", "target_branch": target, "title": "Add a", **more}
    return stage.seen(project, "dana").mergerequests.create(about)


def as_(stage: Stage, project: Project, name: str, iid: int) -> Any:
    return stage.seen(project, name).mergerequests.get(iid)


def test_a_merge_request_opens_with_its_pipeline(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    seen = as_(stage, project, "dana", 1)
    assert (seen.state, seen.author["username"]) == ("opened", "dana")
    assert seen.sha == project.repository.branches()["feature"].commit
    assert seen.detailed_merge_status == "mergeable"
    assert seen.head_pipeline["source"] == "merge_request_event"
    assert seen.diff_refs["base_sha"] == project.repository.branches()["staging"].commit
    assert [c.title for c in seen.commits()] == ["change a.txt"]


def test_a_second_one_for_the_same_branches_is_refused(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    about = {"source_branch": "feature", "target_branch": "staging", "title": "again"}
    with pytest.raises(GitlabCreateError) as refused:
        stage.seen(project, "dana").mergerequests.create(about)
    assert refused.value.response_code == 409


def test_a_branch_that_is_not_there_is_named(stage: Stage) -> None:
    about = {"source_branch": "nowhere", "target_branch": "staging", "title": "x"}
    with pytest.raises(GitlabCreateError, match="source_branch"):
        stage.seen(stage.project(), "dana").mergerequests.create(about)


def test_merge_requests_are_listed_by_state_and_branch(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    many = stage.seen(project).mergerequests
    assert len(many.list(state="opened", target_branch="staging", get_all=True)) == 1
    assert many.list(state="merged", get_all=True) == []
    assert many.list(source_branch="other", get_all=True) == []


def test_on_the_free_tier_the_author_and_a_senior_approve(stage: Stage) -> None:
    project = stage.project()
    merge_request = opened(stage, project)
    for name in ("dana", "sam"):
        as_(stage, project, name, 1).approve(sha=merge_request.sha)
    given = as_(stage, project, "dana", 1).approvals.get()
    assert [a["user"]["username"] for a in given.approved_by] == ["dana", "sam"]
    assert given.approved_by[0]["approved_at"] <= given.approved_by[1]["approved_at"]
    assert not hasattr(given, "approvals_required")


@pytest.mark.parametrize(("name", "again"), [("rea", False), ("sam", True)])
def test_reporters_and_those_who_did_already_may_not_approve(
    stage: Stage, name: str, again: bool
) -> None:
    project = stage.project()
    opened(stage, project)
    if again:
        as_(stage, project, name, 1).approve()
    with pytest.raises((GitlabMRApprovalError, GitlabAuthenticationError)) as refused:
        as_(stage, project, name, 1).approve()
    assert refused.value.response_code == 401


def test_an_approval_of_another_head_is_refused(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    with pytest.raises(GitlabMRApprovalError) as refused:
        as_(stage, project, "sam", 1).approve(sha="0" * 40)
    assert refused.value.response_code == 409


def test_an_approval_is_taken_back_once(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    as_(stage, project, "sam", 1).approve()
    as_(stage, project, "sam", 1).unapprove()
    assert as_(stage, project, "sam", 1).approvals.get().approved_by == []
    with pytest.raises(GitlabMRApprovalError) as refused:
        as_(stage, project, "sam", 1).unapprove()
    assert refused.value.response_code == 404


def test_on_the_free_tier_approvals_outlive_a_push_and_versions_tell_when_it_was(
    stage: Stage,
) -> None:
    project = stage.project()
    opened(stage, project)
    as_(stage, project, "sam", 1).approve()
    approved = as_(stage, project, "sam", 1).approvals.get().approved_by[0]["approved_at"]
    head = change(stage, project, "feature", "b.txt")
    seen = as_(stage, project, "sam", 1)
    assert seen.sha == head
    assert len(seen.approvals.get().approved_by) == 1
    newest = stage.ask(f"/projects/{project.id}/merge_requests/1/versions")[0]
    assert newest["head_commit_sha"] == head
    assert newest["created_at"] > approved


def test_merging_makes_a_merge_commit_and_tells_which_merge_request_it_was(stage: Stage) -> None:
    project = stage.project()
    merge_request = opened(stage, project)
    as_(stage, project, "dana", 1).merge(sha=merge_request.sha)
    seen = as_(stage, project, "dana", 1)
    assert (seen.state, seen.merge_user["username"]) == ("merged", "dana")
    head = stage.seen(project).branches.get("staging").commit
    assert head["id"] == seen.merge_commit_sha
    assert len(head["parent_ids"]) == 2
    for sha in (seen.merge_commit_sha, merge_request.sha):
        found = stage.seen(project).commits.get(sha).merge_requests(get_all=True)
        assert [m["iid"] for m in found] == [1]
    base = stage.seen(project).commits.get(seen.diff_refs["base_sha"])
    assert base.merge_requests(get_all=True) == []


def test_a_squash_makes_one_commit_of_the_authors(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    change(stage, project, "feature", "b.txt")
    as_(stage, project, "devi", 1).merge(squash=True, squash_commit_message="both")
    seen = as_(stage, project, "dana", 1)
    squashed = stage.seen(project).commits.get(seen.squash_commit_sha)
    assert (squashed.title, squashed.author_name) == ("both", "Dana Doe")
    assert squashed.committer_name == "Devi Doe"
    files = {e["path"] for e in stage.seen(project).repository_tree(ref="staging", get_all=True)}
    assert {"a.txt", "b.txt"} <= files
    assert seen.sha not in [
        c.id for c in stage.seen(project).commits.list(ref_name="staging", get_all=True)
    ]


def test_where_the_project_fast_forwards_a_diverged_branch_needs_a_rebase(stage: Stage) -> None:
    project = stage.project()
    project.settings["merge_method"] = "ff"
    opened(stage, project, target="develop")
    change(stage, project, "develop", "other.txt")
    assert as_(stage, project, "dana", 1).detailed_merge_status == "need_rebase"


def test_merging_into_a_protected_branch_needs_the_role(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project, target="main")
    with pytest.raises((GitlabMRClosedError, GitlabAuthenticationError)) as refused:
        as_(stage, project, "dana", 1).merge()
    assert refused.value.response_code == 401
    as_(stage, project, "mia", 1).merge()
    assert as_(stage, project, "mia", 1).state == "merged"


def test_merging_another_head_is_refused(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    with pytest.raises(GitlabMRClosedError) as refused:
        as_(stage, project, "dana", 1).merge(sha="0" * 40)
    assert refused.value.response_code == 409


def _draft(stage: Stage, project: Project) -> None:
    seen = as_(stage, project, "dana", 1)
    seen.title = "Draft: Add a"
    seen.save()


def _conflict(stage: Stage, project: Project) -> None:
    change(stage, project, "develop", "a.txt", "something else")


def _merge(stage: Stage, project: Project) -> None:
    as_(stage, project, "dana", 1).merge()


@pytest.mark.parametrize(
    ("prepare", "status"),
    [(_draft, "draft_status"), (_conflict, "conflict"), (_merge, "not_open")],
)
def test_a_draft_a_conflict_and_a_merged_one_cannot_be_merged(
    stage: Stage, prepare: Callable[[Stage, Project], None], status: str
) -> None:
    for prepare, status in (
        (_draft, "draft_status"),
        (_conflict, "conflict"),
        (_merge, "not_open"),
    ):
        project = stage.project()
        opened(stage, project, target="develop")
        prepare(stage, project)
        seen = as_(stage, project, "dana", 1)
        assert seen.detailed_merge_status == status
        with pytest.raises(GitlabMRClosedError) as refused:
            seen.merge()
        assert refused.value.response_code == 405


def test_where_the_pipeline_must_pass_a_running_or_failed_one_blocks(stage: Stage) -> None:
    project = stage.project()
    project.settings["only_allow_merge_if_pipeline_succeeds"] = True
    stage.world.failing[(project.id, "refs/merge-requests/1/head")] = {"lint:repository"}
    opened(stage, project)

    def status() -> str:
        found: str = as_(stage, project, "dana", 1).detailed_merge_status
        return found

    eventually(lambda: status() == "ci_must_pass")
    pipeline = stage.seen(project).mergerequests.get(1).pipelines.list(get_all=True)[0]
    stage.seen(project).pipelines.get(pipeline.id).retry()
    eventually(lambda: status() == "mergeable")


def test_a_deleted_source_branch_closes_the_merge_request(stage: Stage) -> None:
    project = stage.project()
    opened(stage, project)
    stage.seen(project, "dana").branches.delete("feature")
    assert as_(stage, project, "dana", 1).state == "closed"


def test_merging_removes_the_source_branch_when_asked_but_not_a_protected_one(
    stage: Stage,
) -> None:
    project = stage.project()
    opened(stage, project, remove_source_branch=True)
    as_(stage, project, "dana", 1).merge()
    assert "feature" not in project.repository.branches()
    change(stage, project, "develop", "c.txt")
    about = {"source_branch": "develop", "target_branch": "staging", "title": "up"}
    made = stage.seen(project, "dana").mergerequests.create(about)
    made.merge(should_remove_source_branch=True)
    assert "develop" in project.repository.branches()


# premium


def ruled(stage: Stage, *, approvals: int = 1) -> Project:
    """A project whose staging wants approvals of seniors."""
    project = stage.project()
    group = stage.world.state.group_at("flow-master/seniors")
    assert group is not None
    branch = stage.seen(project).protectedbranches.get("staging")
    about = {
        "name": "Senior",
        "approvals_required": approvals,
        "group_ids": [group.id],
        "protected_branch_ids": [branch.id],
    }
    stage.seen(project).approvalrules.create(about)
    return project


def test_a_rule_blocks_until_one_of_its_group_approved(premium: Stage) -> None:
    project = ruled(premium)
    opened(premium, project)
    assert as_(premium, project, "dana", 1).detailed_merge_status == "not_approved"
    as_(premium, project, "mia", 1).approve()
    assert as_(premium, project, "dana", 1).approvals.get().approvals_left == 1
    as_(premium, project, "sam", 1).approve()
    given = as_(premium, project, "dana", 1).approvals.get()
    assert (given.approved, given.approvals_left) == (True, 0)
    state = as_(premium, project, "dana", 1).approval_state.get()
    assert [u["username"] for u in state.rules[0]["approved_by"]] == ["sam"]
    as_(premium, project, "dana", 1).merge()


def test_a_rule_of_one_branch_does_not_hold_for_another(premium: Stage) -> None:
    project = ruled(premium)
    opened(premium, project, target="develop")
    assert as_(premium, project, "dana", 1).detailed_merge_status == "mergeable"


def test_on_premium_the_author_does_not_approve_unless_the_project_lets_them(
    premium: Stage,
) -> None:
    project = premium.project()
    opened(premium, project)
    with pytest.raises((GitlabMRApprovalError, GitlabAuthenticationError)):
        as_(premium, project, "dana", 1).approve()
    settings = premium.seen(project).approvals.get()
    settings.merge_requests_author_approval = True
    settings.save()
    as_(premium, project, "dana", 1).approve()


def test_on_premium_a_changed_diff_takes_approvals_away_and_a_rebase_does_not(
    premium: Stage,
) -> None:
    project = premium.project()
    opened(premium, project)
    as_(premium, project, "sam", 1).approve()
    git = project.repository
    branches = git.branches()
    moved = git.commit_tree(
        git.tree_of(branches["feature"].commit),
        [branches["staging"].commit],
        "the same change again",
        git.commit(branches["feature"].commit).author,
        git.commit(branches["feature"].commit).author,
    )
    premium.seen(project, "dana").branches.create({"branch": "other", "ref": "main"})
    _push(premium, project, moved)
    assert as_(premium, project, "sam", 1).sha == moved
    assert len(as_(premium, project, "sam", 1).approvals.get().approved_by) == 1
    change(premium, project, "feature", "a.txt", "another text")
    assert as_(premium, project, "sam", 1).approvals.get().approved_by == []


def _push(stage: Stage, project: Project, commit: str) -> None:
    """Move `feature` as a push does, by force."""
    old = project.repository.branches()["feature"].commit
    project.repository.update_ref("refs/heads/feature", commit)
    change_ = RefChange("refs/heads/feature", old, commit)
    pushed(stage.world, project, stage.people["dana"], [change_])


def test_rules_are_changed_whole_and_deleted(premium: Stage) -> None:
    project = ruled(premium)
    many = premium.seen(project).approvalrules
    rule = many.list(get_all=True)[0]
    rule.approvals_required = 0
    rule.save()
    changed = premium.ask(f"/projects/{project.id}/approval_rules/{rule.id}")
    assert (changed["approvals_required"], changed["groups"]) == (0, [])
    rule.delete()
    with pytest.raises(GitlabHttpError):
        premium.client().http_get(f"/projects/{project.id}/approval_rules/{rule.id}")
