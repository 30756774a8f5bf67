"""The real git against the sandbox's GitLab: clone, push, tag, force, delete, and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.sandbox.gitlab.state import Project
from tests.sandbox.gitlab.stage import Clone, Stage, cloned, running


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("gitlab")) as stage:
        yield stage


@pytest.fixture
def project(stage: Stage) -> Project:
    return stage.project()


@pytest.fixture
def clone(stage: Stage, project: Project, tmp_path: Path) -> Clone:
    return cloned(tmp_path / "work", stage.remote(project))


def heads(stage: Stage, project: Project) -> dict[str, str]:
    return {b.name: b.commit["id"] for b in stage.seen(project).branches.list(get_all=True)}


def test_a_clone_has_the_files(clone: Clone) -> None:
    assert (clone.folder / "services/api-gateway/main.py").read_text() == "one\n"


def test_a_shallow_clone_has_one_commit(stage: Stage, project: Project, tmp_path: Path) -> None:
    first = cloned(tmp_path / "first", stage.remote(project))
    first.change("a", "1")
    first.done("push", "origin", "develop")
    shallow = Clone(tmp_path / "shallow")
    shallow.folder.mkdir()
    shallow.done("clone", "-q", "--depth=1", "-b", "develop", stage.remote(project), ".")
    assert shallow.done("rev-list", "--count", "HEAD") == "1"


def test_a_push_moves_the_branch(stage: Stage, project: Project, clone: Clone) -> None:
    commit = clone.change("services/api-gateway/main.py", "two\n")
    clone.done("push", "origin", "develop")
    assert heads(stage, project)["develop"] == commit


def test_a_new_branch_a_light_and_an_annotated_tag_arrive(
    stage: Stage, project: Project, clone: Clone
) -> None:
    commit = clone.change("a", "1")
    clone.done("tag", "light")
    clone.done("tag", "-a", "v1.0.0", "-m", "one")
    clone.done("push", "origin", "HEAD:feature/x", "light", "v1.0.0")
    assert heads(stage, project)["feature/x"] == commit
    light, annotated = (stage.seen(project).tags.get(name) for name in ("light", "v1.0.0"))
    assert (light.target, light.message) == (commit, None)
    assert annotated.target != commit
    assert (annotated.commit["id"], annotated.message) == (commit, "one")


def test_ls_remote_by_protocol_v2_lists_peeled_tags(
    stage: Stage, project: Project, clone: Clone
) -> None:
    clone.done("tag", "-a", "v1.0.0", "-m", "one")
    clone.done("push", "origin", "v1.0.0")
    listed = clone.done("-c", "protocol.version=2", "ls-remote", "origin")
    assert "refs/tags/v1.0.0^{}" in listed
    traced = clone.git("-c", "protocol.version=2", "ls-remote", "--tags", "origin")
    assert "refs/heads/" not in traced.stdout


def test_a_force_push_to_an_unprotected_branch_goes_through(
    stage: Stage, project: Project, clone: Clone
) -> None:
    base = clone.done("rev-parse", "HEAD")
    clone.change("a", "1")
    clone.done("push", "origin", "HEAD:feature")
    clone.done("push", "--force", "origin", f"{base}:feature")
    assert heads(stage, project)["feature"] == base


def test_a_force_push_to_a_protected_branch_is_refused(
    stage: Stage, project: Project, clone: Clone
) -> None:
    base = clone.done("rev-parse", "HEAD")
    commit = clone.change("a", "1")
    clone.done("push", "origin", "develop")
    said = clone.refused("push", "--force", "origin", f"{base}:develop")
    assert "not allowed to force push code to a protected branch on this project" in said
    assert "pre-receive hook declined" in said
    assert heads(stage, project)["develop"] == commit


def test_where_force_push_is_allowed_it_goes_through(
    stage: Stage, project: Project, clone: Clone
) -> None:
    project.protected_branches["develop"].allow_force_push = True
    base = clone.done("rev-parse", "HEAD")
    clone.change("a", "1")
    clone.done("push", "origin", "develop")
    clone.done("push", "--force", "origin", f"{base}:develop")
    assert heads(stage, project)["develop"] == base


def test_nobody_pushes_to_a_branch_that_takes_merge_requests_only(
    stage: Stage, project: Project, clone: Clone
) -> None:
    before = heads(stage, project)["staging"]
    clone.change("a", "1")
    said = clone.refused("push", "origin", "HEAD:staging")
    assert "not allowed to push code to protected branches on this project" in said
    assert heads(stage, project)["staging"] == before


def test_one_refused_ref_refuses_the_whole_push(
    stage: Stage, project: Project, clone: Clone
) -> None:
    clone.change("a", "1")
    clone.refused("push", "origin", "HEAD:feature", "HEAD:staging")
    assert "feature" not in heads(stage, project)


def test_a_branch_is_deleted_but_not_the_default_one(
    stage: Stage, project: Project, clone: Clone
) -> None:
    clone.done("push", "origin", "HEAD:feature")
    clone.done("push", "origin", ":feature")
    assert "feature" not in heads(stage, project)
    said = clone.refused("push", "origin", ":main")
    assert "default branch of a project cannot be deleted" in said


def test_a_protected_branch_is_not_deleted_by_git(
    stage: Stage, project: Project, clone: Clone
) -> None:
    said = clone.refused("push", "origin", ":staging")
    assert "not allowed to delete protected branches" in said


def test_a_protected_tag_is_made_by_those_who_may_and_never_moved(
    stage: Stage, project: Project, clone: Clone
) -> None:
    stage.world.protect_tag(project, "v*", 40)
    clone.done("tag", "v1.0.0")
    assert "not allowed to create this tag" in clone.refused("push", "origin", "v1.0.0")
    clone.done("push", stage.remote(project, "mia"), "v1.0.0")
    clone.change("a", "1")
    clone.done("tag", "-f", "v1.0.0")
    said = clone.refused("push", "--force", stage.remote(project, "mia"), "v1.0.0")
    assert "Protected tags cannot be updated." in said
    said = clone.refused("push", stage.remote(project, "mia"), ":v1.0.0")
    assert "only delete protected tags using the web interface" in said


def test_an_unprotected_tag_is_moved_by_maintainers_only(
    stage: Stage, project: Project, clone: Clone
) -> None:
    clone.done("push", "origin", "HEAD:refs/tags/nightly")
    commit = clone.change("a", "1")
    said = clone.refused("push", "--force", "origin", "HEAD:refs/tags/nightly")
    assert "not allowed to change existing tags" in said
    clone.done("push", "--force", stage.remote(project, "mia"), "HEAD:refs/tags/nightly")
    assert stage.seen(project).tags.get("nightly").commit["id"] == commit


def test_a_reporter_reads_and_does_not_write(stage: Stage, project: Project, clone: Clone) -> None:
    clone.done("fetch", stage.remote(project, "rea"))
    said = clone.refused("push", stage.remote(project, "rea"), "HEAD:feature")
    assert "403" in said


def test_without_a_token_or_with_a_wrong_one_git_is_asked_who_it_is(
    stage: Stage, project: Project, clone: Clone
) -> None:
    assert "terminal prompts disabled" in clone.refused("ls-remote", stage.remote(project, None))
    wrong = stage.remote(project).replace(stage.tokens["dana"], "glpat-wrong")
    assert "Authentication failed" in clone.refused("ls-remote", wrong)


def test_a_private_project_is_not_there_for_strangers(
    stage: Stage, project: Project, clone: Clone
) -> None:
    assert "not found" in clone.refused("ls-remote", stage.remote(project, "olaf"))


def test_a_push_of_two_megabytes_arrives(stage: Stage, project: Project, clone: Clone) -> None:
    noise = bytes((i * i * 31 + i // 7) % 251 for i in range(2_000_000))
    (clone.folder / "large.bin").write_bytes(noise)
    clone.done("add", "large.bin")
    clone.done("-c", "core.compression=0", "commit", "-q", "-m", "large")
    clone.done("-c", "pack.compression=0", "push", "origin", "develop")
    assert stage.seen(project).files.get("large.bin", ref="develop").size == len(noise)
