"""Commits, trees and branches, from GitLab's recorded shapes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.adapters.gitlab.code import tree_id
from flowmaster_delivery.adapters.gitlab.shapes import TreeShape
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import NotFound
from tests.fakes.far_end import FarEnd, Reply

REPOSITORY = "/api/v4/projects/flow-master%2Fplatform/repository"
COMMITS = f"{REPOSITORY}/commits"
TREE = f"{REPOSITORY}/tree"
BASE = f"{REPOSITORY}/merge_base"
A, B, C = "a" * 40, "b" * 40, "c" * 40
GONE = Reply({"message": "404 Commit Not Found"}, 404)


def commit(sha: str, **more: object) -> dict[str, object]:
    return {
        "id": sha,
        "title": f"feat: {sha[:2]}",
        "author_name": "Dana",
        "author_email": "dana@example.com",
        "committer_email": "devi@example.com",
        "committed_date": "2026-11-23T06:00:00.000+01:00",
        "parent_ids": [],
        "web_url": f"https://gitlab/-/commit/{sha}",
        **more,
    }


def entry(name: str, object_id: str, kind: str = "tree") -> dict[str, str]:
    mode = "040000" if kind == "tree" else "100644"
    return {"id": object_id, "name": name, "type": kind, "path": name, "mode": mode}


def asked_for(far_end: FarEnd, key: str) -> list[str | None]:
    return [asked.query.get(key, [None])[0] for asked in far_end.asked]


def test_a_commit_is_read_in_utc_with_its_people(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(f"{COMMITS}/{A}", Reply(commit(A, parent_ids=[B, C])))
    found = forge.commit(repository, A)
    assert found.at == datetime(2026, 11, 23, 5, tzinfo=UTC)
    assert found.at.tzinfo is UTC
    assert found.parents == (B, C)
    assert (found.author_email, found.committer_email) == ("dana@example.com", "devi@example.com")


def test_a_commit_that_is_not_there_is_not_found(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(f"{COMMITS}/{A}", GONE)
    with pytest.raises(NotFound):
        forge.commit(repository, A)


def test_trees_cost_one_request_for_each_parent_folder(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, counted: list[tuple[str, str]]
) -> None:
    names = [f"service-{n}" for n in range(22)]
    listing = [entry(name, f"{n:040x}") for n, name in enumerate(names)]
    far_end.say(TREE, Reply(listing))
    found = forge.trees(repository, A, [f"services/{name}" for name in names])
    assert found["services/service-3"] == f"{3:040x}"
    assert len(counted) == 1
    assert asked_for(far_end, "path") == ["services"]
    assert asked_for(far_end, "ref") == [A]


def test_a_path_that_the_commit_has_not_is_none(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(TREE, Reply([entry("api", A)]))
    assert forge.trees(repository, A, ["services/none", "services/api/"]) == {
        "services/none": None,
        "services/api/": A,
    }


def test_a_folder_that_the_commit_has_not_is_none_for_all_in_it(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(TREE, Reply({"message": "404 Tree Not Found"}, 404))
    far_end.say(f"{COMMITS}/{A}", Reply(commit(A)))
    assert forge.trees(repository, A, ["shared/proto"]) == {"shared/proto": None}


def test_trees_of_a_commit_that_is_not_there_are_no_empty_ones(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(TREE, Reply({"message": "404 Tree Not Found"}, 404))
    far_end.say(f"{COMMITS}/{A}", GONE)
    with pytest.raises(NotFound, match="Commit"):
        forge.trees(repository, A, ["shared/proto"])


def test_the_root_of_an_unknown_project_is_not_found(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(TREE, Reply({"message": "404 Project Not Found"}, 404))
    with pytest.raises(NotFound, match="Project"):
        forge.trees(repository, A, ["."])


def test_a_root_has_the_id_that_git_gives_it(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    # git mktree of these three entries, git 2.39
    blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    listing = [entry("a", empty), entry("a.b", blob, "blob"), entry("a0", blob, "blob")]
    far_end.say(TREE, Reply(listing))
    expected = "6c5eb816ec8cace4aaf30d9245ab712256f64058"
    found = forge.trees(repository, A, ["."])["."]
    assert found == expected


def test_the_empty_tree_is_known() -> None:
    assert tree_id([]) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_a_tree_of_sha256_has_an_id_of_sha256() -> None:
    shape = TreeShape(id="d" * 64, name="a", type="blob", mode="100644")
    assert len(tree_id([shape])) == 64


def test_commits_between_are_a_range(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([commit(B), commit(C)]))
    assert [found.id for found in forge.commits_between(repository, A, B)] == [B, C]
    assert asked_for(far_end, "ref_name") == [f"{A}..{B}"]


def test_commits_of_paths_are_those_that_touch_one_of_them_newest_first(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([commit(C), commit(B), commit(A)]), Reply([commit(A), commit(C)]))
    found = forge.commits_between(repository, None, C, ["services/api", "services/api/src"])
    assert [touching.id for touching in found] == [C, A]
    assert asked_for(far_end, "path") == [None, "services/api"]


def test_commits_of_the_whole_repository_ask_for_no_path(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([commit(C)]))
    assert len(forge.commits_between(repository, A, C, ["services/api", "."])) == 1
    assert asked_for(far_end, "path") == [None]


def test_no_commits_between_two_that_exist_is_empty(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([]))
    far_end.say(f"{COMMITS}/{A}", Reply(commit(A)))
    far_end.say(f"{COMMITS}/{B}", Reply(commit(B)))
    assert forge.commits_between(repository, B, A) == ()


def test_no_commits_since_one_that_is_gone_is_not_found(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([]))
    far_end.say(f"{COMMITS}/{A}", GONE)
    with pytest.raises(NotFound):
        forge.commits_between(repository, A, B)


def test_a_thousand_commits_are_enough(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    link = {"Link": f'<{far_end.url}{COMMITS}?page=2>; rel="next"'}
    far_end.say(COMMITS, Reply([commit(f"{n:040x}") for n in range(300)], headers=link))
    assert len(forge.commits_between(repository, None, A)) == 1000


def test_first_parents_are_asked_for_as_such(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([commit(A), commit(B)]))
    assert [found.id for found in forge.first_parents(repository, A, 50)] == [A, B]
    query = far_end.asked[0].query
    assert query == {"ref_name": [A], "first_parent": ["true"], "per_page": ["50"]}


def test_first_parents_of_nothing_are_not_found(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(COMMITS, Reply([]))
    with pytest.raises(NotFound):
        forge.first_parents(repository, A, 50)


@pytest.mark.parametrize(("base", "expected"), [(A, True), (B, False)])
def test_a_ref_contains_a_commit_that_is_their_merge_base(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, base: str, expected: bool
) -> None:
    far_end.say(BASE, Reply(commit(base)))
    assert forge.contains(repository, "main", A) is expected
    assert far_end.asked[0].query == {"refs[]": ["main", A]}


def test_histories_without_a_common_ancestor_do_not_contain_each_other(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(BASE, Reply({"message": "404 Merge Base Not Found"}, 404))
    far_end.say(f"{COMMITS}/main", Reply(commit(B)))
    far_end.say(f"{COMMITS}/{A}", Reply(commit(A)))
    assert forge.contains(repository, "main", A) is False


def test_a_branch_that_is_gone_contains_nothing_and_says_so(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(BASE, Reply({"message": "404 Project Not Found"}, 404))
    far_end.say(f"{COMMITS}/main", GONE)
    with pytest.raises(NotFound):
        forge.contains(repository, "main", A)


def test_protection_is_what_gitlab_says_of_the_branch(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(f"{REPOSITORY}/branches/release%2F1", Reply({"name": "x", "protected": True}))
    assert forge.branch_is_protected(repository, "release/1") is True


def test_a_branch_that_is_not_there_is_not_unprotected(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(f"{REPOSITORY}/branches/main", Reply({"message": "404 Branch Not Found"}, 404))
    with pytest.raises(NotFound):
        forge.branch_is_protected(repository, "main")
