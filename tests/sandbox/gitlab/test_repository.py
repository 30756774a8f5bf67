"""Refs, commits, trees and files through python-gitlab."""

from __future__ import annotations

import pytest
from gitlab.exceptions import (
    GitlabCreateError,
    GitlabDeleteError,
    GitlabGetError,
    GitlabHttpError,
    GitlabListError,
)

from tests.sandbox.gitlab.stage import Stage


def test_a_tree_lists_gits_own_object_ids(stage: Stage) -> None:
    project = stage.project()
    entries = {
        e["name"]: e
        for e in stage.seen(project).repository_tree("services", ref="develop", get_all=True)
    }
    expected = project.repository.git("rev-parse", "develop:services/api-gateway").decode().strip()
    assert entries["api-gateway"]["id"] == expected
    assert entries["api-gateway"]["type"] == "tree"


def test_a_recursive_tree_has_folders_and_files_over_pages(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    paths = {e["path"] for e in seen.repository_tree(recursive=True, per_page=3, get_all=True)}
    assert {"services", "services/api-gateway/main.py", "README.md"} <= paths


def test_a_tree_of_no_folder_or_no_ref_is_not_found(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    for where in ({"path": "nowhere"}, {"ref": "nowhere"}):
        with pytest.raises(GitlabGetError) as refused:
            seen.repository_tree(**where, get_all=True)
        assert refused.value.response_code == 404


def test_light_and_annotated_tags_differ(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    head = seen.branches.get("main").commit["id"]
    light = seen.tags.create({"tag_name": "light", "ref": "main"})
    annotated = seen.tags.create({"tag_name": "v1.0.0", "ref": "main", "message": "one"})
    assert (light.target, light.message, light.created_at) == (head, None, None)
    assert annotated.target != head
    assert annotated.commit["id"] == head
    assert annotated.created_at is not None


def test_a_tag_that_exists_or_points_nowhere_is_refused(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    seen.tags.create({"tag_name": "v1.0.0", "ref": "main"})
    with pytest.raises(GitlabCreateError, match=r"Tag v1\.0\.0 already exists") as refused:
        seen.tags.create({"tag_name": "v1.0.0", "ref": "main"})
    assert refused.value.response_code == 400
    with pytest.raises(GitlabCreateError, match="Target nowhere is invalid"):
        seen.tags.create({"tag_name": "v1.0.1", "ref": "nowhere"})
    with pytest.raises(GitlabCreateError, match="Tag name invalid"):
        seen.tags.create({"tag_name": "-d", "ref": "main"})


def test_tags_are_ordered_by_version_and_searched(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    for name in ("v1.9.0", "v1.10.0", "v1.2.0", "other"):
        seen.tags.create({"tag_name": name, "ref": "main"})
    by_version = seen.tags.list(order_by="version", search="^v", get_all=True)
    assert [t.name for t in by_version] == ["v1.10.0", "v1.9.0", "v1.2.0"]
    assert [t.name for t in seen.tags.list(search="0$", order_by="name", sort="asc", get_all=True)]
    with pytest.raises(GitlabHttpError):
        stage.client().http_list(
            f"/projects/{seen.id}/repository/tags", query_data={"order_by": "size"}, get_all=True
        )


def test_a_tag_with_a_slash_is_reached_by_its_encoded_name(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    seen.tags.create({"tag_name": "release/1.0", "ref": "main"})
    assert seen.tags.get("release/1.0").name == "release/1.0"
    seen.tags.delete("release/1.0")
    with pytest.raises(GitlabGetError, match="404 Tag Not Found"):
        seen.tags.get("release/1.0")


def test_protected_tags_are_made_and_deleted_by_maintainers(stage: Stage) -> None:
    project = stage.project()
    stage.seen(project).protectedtags.create({"name": "v*", "create_access_level": 40})
    with pytest.raises(GitlabCreateError) as refused:
        stage.seen(project, "dana").tags.create({"tag_name": "v1.0.0", "ref": "main"})
    assert refused.value.response_code == 403
    made = stage.seen(project, "mia").tags.create({"tag_name": "v1.0.0", "ref": "main"})
    assert made.protected is True
    with pytest.raises(GitlabDeleteError) as refused_delete:
        stage.seen(project, "dana").tags.delete("v1.0.0")
    assert refused_delete.value.response_code == 403


def test_branches_are_made_and_deleted_but_not_the_default_one(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    assert seen.branches.create({"branch": "feature/x", "ref": "main"}).name == "feature/x"
    with pytest.raises(GitlabCreateError, match="Branch already exists"):
        seen.branches.create({"branch": "feature/x", "ref": "main"})
    with pytest.raises(GitlabCreateError, match="invalid reference name 'nowhere'"):
        seen.branches.create({"branch": "y", "ref": "nowhere"})
    seen.branches.delete("feature/x")
    with pytest.raises(GitlabDeleteError):
        seen.branches.delete("main")


def test_a_commit_of_several_files_moves_the_branch(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    made = seen.commits.create(
        {
            "branch": "develop",
            "commit_message": "feat: two files\n\nRelates-to: FM-1",
            "actions": [
                {"action": "update", "file_path": "README.md", "content": "new"},
                {"action": "create", "file_path": "b.bin", "content": "AAEC", "encoding": "base64"},
                {"action": "delete", "file_path": "shared/proto/a.proto"},
            ],
        }
    )
    assert seen.branches.get("develop").commit["id"] == made.id
    assert made.trailers == {"Relates-to": "FM-1"}
    assert seen.files.get("b.bin", ref="develop").decode() == b"\x00\x01\x02"
    assert seen.files.raw("README.md", ref="develop") == b"new"
    with pytest.raises(GitlabGetError, match="404 File Not Found"):
        seen.files.get("shared/proto/a.proto", ref="develop")


def test_a_commit_to_where_one_may_not_push_is_refused(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    action = {"action": "create", "file_path": "x", "content": "x"}
    order = {"branch": "staging", "commit_message": "x", "actions": [action]}
    with pytest.raises(GitlabCreateError) as refused:
        seen.commits.create(order)
    assert refused.value.response_code == 403


@pytest.mark.parametrize(
    ("branch", "action"),
    [
        ("develop", {"action": "create", "file_path": "README.md", "content": "x"}),
        ("develop", {"action": "update", "file_path": "nowhere", "content": "x"}),
        ("bad\nname", {"action": "create", "file_path": "x", "content": "x"}),
    ],
)
def test_a_commit_that_does_not_fit_is_refused(
    stage: Stage, branch: str, action: dict[str, str]
) -> None:
    seen = stage.seen(stage.project(), "dana")
    with pytest.raises(GitlabCreateError) as refused:
        seen.commits.create(
            {
                "branch": branch,
                "start_branch": "develop",
                "commit_message": "x",
                "actions": [action],
            }
        )
    assert refused.value.response_code == 400


def test_commits_are_listed_by_range_path_and_first_parent(stage: Stage) -> None:
    project = stage.project()
    seen = stage.seen(project, "dana")
    base = seen.branches.get("develop").commit["id"]
    made = []
    for number, path in enumerate(("services/api-gateway/a", "README2", "services/api-gateway/b")):
        action = {"action": "create", "file_path": path, "content": "x"}
        order = {"branch": "develop", "commit_message": f"c{number}", "actions": [action]}
        made.append(seen.commits.create(order).id)
    listed = seen.commits.list(ref_name=f"{base}..develop", first_parent=True, get_all=True)
    assert [c.id for c in listed] == made[::-1]
    only = {"ref_name": f"{base}..develop", "path": "services/api-gateway"}
    touching = seen.commits.list(query_parameters=only, get_all=True)
    assert [c.id for c in touching] == [made[2], made[0]]
    assert len(seen.commits.list(ref_name="develop", per_page=2, get_all=True)) == 4
    with pytest.raises(GitlabListError):
        list(seen.commits.list(ref_name="nowhere..develop", iterator=True))


def test_a_comparison_has_commits_and_files(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    action = {"action": "update", "file_path": "README.md", "content": "new\n"}
    order = {"branch": "develop", "commit_message": "c", "actions": [action]}
    made = seen.commits.create(order)
    compared = seen.repository_compare("main", "develop")
    assert [c["id"] for c in compared["commits"]] == [made.id]
    assert compared["diffs"][0]["new_path"] == "README.md"
    assert compared["diffs"][0]["diff"] == "@@ -1 +1 @@\n-read me\n+new\n"
    assert seen.repository_compare("develop", "main")["commits"] == []
    assert seen.repository_merge_base(["develop", "main"])["id"] == made.parent_ids[0]


def test_a_commit_knows_its_refs_and_has_no_signature(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    seen.tags.create({"tag_name": "v1.0.0", "ref": "main"})
    commit = seen.commits.get("main")
    refs = {(r["type"], r["name"]) for r in commit.refs(get_all=True)}
    assert {("branch", "main"), ("tag", "v1.0.0")} <= refs
    with pytest.raises(GitlabGetError) as refused:
        commit.signature()
    assert refused.value.response_code == 404
    with pytest.raises(GitlabGetError, match="404 Commit Not Found"):
        seen.commits.get("0123456789" * 4)


def test_a_file_is_written_and_deleted_by_itself(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    about = {"file_path": "docs/a b.md", "branch": "develop", "commit_message": "docs"}
    seen.files.create({**about, "content": "one"})
    file = seen.files.get("docs/a b.md", ref="develop")
    file.content = "two"
    file.save(branch="develop", commit_message="more")
    assert seen.files.raw("docs/a b.md", ref="develop") == b"two"
    file.delete(branch="develop", commit_message="gone")
    with pytest.raises(GitlabGetError):
        seen.files.get("docs/a b.md", ref="develop")


def test_protected_branches_are_listed_made_and_taken_away(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    made = seen.protectedbranches.create({"name": "release/*", "push_access_level": 0})
    assert made.push_access_levels[0]["access_level_description"] == "No one"
    with pytest.raises(GitlabCreateError) as refused:
        seen.protectedbranches.create({"name": "release/*"})
    assert refused.value.response_code == 409
    assert seen.branches.get("main").protected is True
    seen.protectedbranches.delete("release/*")
    assert "release/*" not in [b.name for b in seen.protectedbranches.list(get_all=True)]


def test_variables_are_masked_and_scoped(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    for scope in ("dev", "staging"):
        seen.variables.create({"key": "URL", "value": scope, "environment_scope": scope})
    with pytest.raises(GitlabGetError) as several:
        seen.variables.get("URL")
    assert several.value.response_code == 409
    assert seen.variables.get("URL", filter={"environment_scope": "dev"}).value == "dev"
    with pytest.raises(GitlabCreateError):
        seen.variables.create({"key": "SECRET", "value": "short", "masked": True})
