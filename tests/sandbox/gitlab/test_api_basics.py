"""Who may ask, what is not there, paging, and parameters: what every endpoint has in common."""

from __future__ import annotations

import gitlab
import httpx
import pytest
from gitlab.exceptions import GitlabAuthenticationError, GitlabCreateError, GitlabGetError

from tests.sandbox.gitlab.stage import Stage


def api(stage: Stage, path: str, name: str = "root", **more: object) -> httpx.Response:
    headers = {"PRIVATE-TOKEN": stage.tokens[name]}
    return httpx.get(f"{stage.url}/api/v4{path}", headers=headers, timeout=10, **more)  # type: ignore[arg-type]


def test_a_wrong_token_is_refused(stage: Stage) -> None:
    with pytest.raises(GitlabAuthenticationError):
        gitlab.Gitlab(stage.url, private_token="glpat-wrong", timeout=10).auth()


def test_without_a_token_a_private_project_is_not_there(stage: Stage) -> None:
    project = stage.project()
    answer = httpx.get(f"{stage.url}/api/v4/projects/{project.id}", timeout=10)
    assert (answer.status_code, answer.json()) == (404, {"message": "404 Project Not Found"})


def test_bearer_and_private_token_both_say_who_asks(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {stage.tokens['dana']}"}
    assert httpx.get(f"{stage.url}/api/v4/user", headers=headers).json()["username"] == "dana"
    assert api(stage, "/user", "devi").json()["username"] == "devi"


def test_a_revoked_token_and_a_blocked_user_are_refused(stage: Stage) -> None:
    root = stage.client()
    user = root.users.create(
        {"username": "temp", "name": "T", "email": "temp@example.org", "reset_password": True}
    )
    token = user.personal_access_tokens.create({"name": "t", "scopes": ["api"]})
    theirs = gitlab.Gitlab(stage.url, private_token=token.token, timeout=10)
    theirs.auth()
    user.block()
    with pytest.raises(GitlabAuthenticationError):
        theirs.auth()
    user.unblock()
    root.http_delete(f"/personal_access_tokens/{token.id}")
    with pytest.raises(GitlabAuthenticationError):
        theirs.auth()


def test_a_token_reaches_as_far_as_its_scopes(stage: Stage) -> None:
    project, dana = stage.project(), stage.people["dana"]
    text = stage.world.state.new_token(dana, "narrow", ("read_user",))[1]
    headers = {"PRIVATE-TOKEN": text}
    api_url = f"{stage.url}/api/v4"
    assert httpx.get(f"{api_url}/user", headers=headers).json()["username"] == "dana"
    answer = httpx.get(f"{api_url}/projects/{project.id}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    refs = f"{stage.url}/{project.full_path}.git/info/refs?service=git-upload-pack"
    assert httpx.get(refs, auth=("dana", text)).status_code == 401
    reading = {"PRIVATE-TOKEN": stage.world.state.new_token(dana, "reads", ("read_api",))[1]}
    branches = f"{api_url}/projects/{project.id}/repository/branches"
    assert httpx.get(branches, headers=reading).status_code == 200
    wanted = {"branch": "x", "ref": "main"}
    assert httpx.post(branches, headers=reading, json=wanted).status_code == 403


def test_an_expired_token_is_refused(stage: Stage) -> None:
    dana = stage.people["dana"]
    text = stage.world.state.new_token(dana, "old", ("api",), "2020-01-01")[1]
    with pytest.raises(GitlabAuthenticationError):
        gitlab.Gitlab(stage.url, private_token=text, timeout=10).auth()


def test_only_administrators_make_tokens_for_others(stage: Stage) -> None:
    dana, devi = stage.client("dana"), stage.people["devi"].id
    with pytest.raises(GitlabCreateError) as refused:
        dana.users.get(devi, lazy=True).personal_access_tokens.create(
            {"name": "t", "scopes": ["api"]}
        )
    assert refused.value.response_code == 403


def test_the_version_says_sandbox(stage: Stage) -> None:
    assert "sandbox" in stage.client().version()[0]


def test_a_project_is_found_by_its_encoded_path(stage: Stage) -> None:
    project = stage.project()
    assert stage.client("dana").projects.get(project.full_path).id == project.id


def test_a_stranger_does_not_see_a_private_project(stage: Stage) -> None:
    with pytest.raises(GitlabGetError, match="404 Project Not Found"):
        stage.client("olaf").projects.get(stage.project().id)


def test_too_low_a_role_is_forbidden(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    with pytest.raises(GitlabCreateError) as refused:
        seen.protectedbranches.create({"name": "x"})
    assert refused.value.response_code == 403


def test_an_unknown_route_and_a_wrong_method_are_told_apart(stage: Stage) -> None:
    assert api(stage, "/nonsense").status_code == 404
    headers = {"PRIVATE-TOKEN": stage.tokens["root"]}
    assert httpx.delete(f"{stage.url}/api/v4/user", headers=headers).status_code == 405


def test_invalid_json_is_a_bad_request(stage: Stage) -> None:
    headers = {"PRIVATE-TOKEN": stage.tokens["root"], "Content-Type": "application/json"}
    answer = httpx.post(f"{stage.url}/api/v4/groups", headers=headers, content=b"{oops")
    assert answer.status_code == 400


def test_a_missing_parameter_is_named(stage: Stage) -> None:
    headers = {"PRIVATE-TOKEN": stage.tokens["root"]}
    answer = httpx.post(f"{stage.url}/api/v4/groups", headers=headers, json={"name": "x"})
    assert (answer.status_code, answer.json()) == (400, {"error": "path is missing"})


def test_an_oversized_body_is_refused(stage: Stage) -> None:
    headers = {"PRIVATE-TOKEN": stage.tokens["root"], "Content-Type": "application/json"}
    body = b" " * (16 * 1024 * 1024 + 1)
    answer = httpx.post(f"{stage.url}/api/v4/groups", headers=headers, content=body, timeout=20)
    assert answer.status_code == 413


def test_parameters_come_in_the_query_too_and_truth_values_as_text(stage: Stage) -> None:
    root = stage.client()
    group = root.groups.list(search="flow-master", get_all=True)[0]
    made = root.projects.create(
        {}, name="by-query", namespace_id=group.id, only_allow_merge_if_pipeline_succeeds=True
    )
    assert made.only_allow_merge_if_pipeline_succeeds is True
    assert root.projects.get("flow-master/by-query").empty_repo is True


def test_without_a_namespace_a_project_is_ones_own(stage: Stage) -> None:
    dana = stage.client("dana")
    made = dana.projects.create({"name": "Mine Alone", "initialize_with_readme": True})
    assert (made.path_with_namespace, made.namespace["kind"]) == ("dana/mine-alone", "user")
    assert made.files.raw("README.md", ref="main") == b"# Mine Alone\n"
    assert "dana" not in [g.full_path for g in dana.groups.list(get_all=True)]
    spaces = {n.full_path: n.kind for n in dana.namespaces.list(get_all=True)}
    assert (spaces["dana"], spaces["flow-master"]) == ("user", "group")
    with pytest.raises(GitlabGetError):
        stage.client("devi").projects.get("dana/mine-alone")


def test_a_group_is_made_changed_and_deleted_by_its_owner(stage: Stage) -> None:
    dana = stage.client("dana")
    made = dana.groups.create({"name": "Team", "path": "team"})
    below = dana.groups.create({"name": "Sub", "path": "sub", "parent_id": made.id})
    assert below.full_path == "team/sub"
    made.name = "The team"
    made.save()
    assert stage.client().groups.get("team").name == "The team"
    with pytest.raises(GitlabGetError, match="404 Group Not Found"):
        stage.client("devi").groups.get("team")
    made.delete()
    with pytest.raises(GitlabGetError):
        dana.groups.get("team")


def test_a_path_is_taken_once_and_checked(stage: Stage) -> None:
    root = stage.client()
    project = stage.project()
    group = root.groups.get("flow-master")
    for path in (project.path, "bad path", "x.git"):
        with pytest.raises(GitlabCreateError) as refused:
            root.projects.create({"name": "x", "path": path, "namespace_id": group.id})
        assert refused.value.response_code == 400


def test_pages_have_their_headers_and_links_to_the_host_asked(stage: Stage) -> None:
    project = stage.project()
    for number in range(5):
        project.repository.update_ref(
            f"refs/heads/b{number}", project.repository.branches()["main"].commit
        )
    path = f"/projects/{project.id}/repository/branches"
    answer = api(stage, path, params={"per_page": 3, "page": 2})
    assert answer.headers["X-Total"] == "8"
    assert answer.headers["X-Total-Pages"] == "3"
    assert (answer.headers["X-Next-Page"], answer.headers["X-Prev-Page"]) == ("3", "1")
    assert answer.links["next"]["url"].startswith(stage.url)
    assert len(stage.seen(project).branches.list(per_page=3, get_all=True)) == 8


def test_a_page_past_the_end_is_empty(stage: Stage) -> None:
    project = stage.project()
    answer = api(stage, f"/projects/{project.id}/repository/tags", params={"page": 2})
    assert (answer.status_code, answer.json()) == (200, [])


def test_branches_by_keyset_come_all_and_once(stage: Stage) -> None:
    project = stage.project()
    main = project.repository.branches()["main"].commit
    for number in range(4):
        project.repository.update_ref(f"refs/heads/k{number}", main)
    seen = stage.seen(project)
    listed = seen.branches.list(pagination="keyset", per_page=2, iterator=True)
    names = [branch.name for branch in listed]
    assert names == sorted(project.repository.branches())


def test_projects_by_keyset_come_all_and_once(stage: Stage) -> None:
    made = [stage.project().id for _ in range(3)]
    found = stage.client().projects.list(
        pagination="keyset", order_by="id", sort="asc", per_page=2, iterator=True
    )
    ids = [project.id for project in found]
    assert ids == sorted(set(ids))
    assert set(made) <= set(ids)


def test_users_are_found_by_name_and_by_email_for_administrators(stage: Stage) -> None:
    root, dana = stage.client(), stage.client("dana")
    assert [u.username for u in root.users.list(username="sam", get_all=True)] == ["sam"]
    by_email = root.users.list(search="sam@example.org", get_all=True)
    assert [u.email for u in by_email] == ["sam@example.org"]
    assert dana.users.list(search="@example", get_all=True) == []
    assert not hasattr(dana.users.list(username="sam", get_all=True)[0], "email")


def test_members_include_inherited_ones_only_when_asked(stage: Stage) -> None:
    root = stage.client()
    group = root.groups.get("flow-master/seniors")
    assert {m.username for m in group.members.list(get_all=True)} == {"sam"}
    everyone = {m.username for m in group.members_all.list(get_all=True)}
    assert {"sam", "dana", "mia"} <= everyone
    with pytest.raises(GitlabCreateError, match="Member already exists") as refused:
        group.members.create({"user_id": stage.people["sam"].id, "access_level": 30})
    assert refused.value.response_code == 409


def test_a_member_comes_and_goes(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "root")
    olaf = stage.people["olaf"].id
    seen.members.create({"user_id": olaf, "access_level": 20})
    assert stage.client("olaf").projects.get(seen.id).id == seen.id
    seen.members.delete(olaf)
    with pytest.raises(GitlabGetError):
        stage.client("olaf").projects.get(seen.id)


def test_a_token_tells_of_itself(stage: Stage) -> None:
    token = stage.client("dana").personal_access_tokens.get("self")
    assert (token.user_id, token.active) == (stage.people["dana"].id, True)


def test_premium_endpoints_are_not_there_on_the_free_tier(stage: Stage) -> None:
    seen = stage.seen(stage.project())
    with pytest.raises(GitlabGetError) as refused:
        seen.approvals.get()
    assert refused.value.response_code == 404
    assert stage.ask("/metadata")["enterprise"] is False


def test_a_web_address_leads_to_a_page(stage: Stage) -> None:
    project = stage.project()
    commit = stage.seen(project).commits.list(per_page=1, get_all=False)[0]
    page = httpx.get(commit.web_url)
    assert (page.status_code, "first" in page.text) == (200, True)
    assert httpx.get(f"{stage.url}/no/such/-/commit/1").status_code == 404
