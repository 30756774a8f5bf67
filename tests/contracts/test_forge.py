"""The forge on the sandbox's GitLab: real git repositories, people, pipelines, merge requests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.adapters.wire import Patience
from flowmaster_delivery.model.catalog import Environment, RefKind, RefRule, Repository
from flowmaster_delivery.model.errors import Denied, NotFound
from flowmaster_delivery.model.source import PipelineState
from tests.sandbox.gitlab.stage import GROUP, Stage, eventually, running

SENIORS = f"{GROUP}/seniors"
NUMBERS = count(1)


@dataclass
class Work:
    """A project of the stage, and the hands of people in it, by GitLab's own API."""

    stage: Stage
    project: Any
    repository: Repository
    first: str

    def seen_by(self, name: str) -> Any:
        return self.stage.seen(self.project, name)

    def files(self, branch: str, files: dict[str, str], message: str, by: str) -> str:
        """Write files to a branch, those that are there already included."""
        known = {entry["path"] for entry in self.listed(branch)}
        actions = [
            {"action": "update" if path in known else "create", "file_path": path, "content": text}
            for path, text in files.items()
        ]
        about = {"branch": branch, "commit_message": message, "actions": actions}
        return str(self.seen_by(by).commits.create(about).id)

    def listed(self, branch: str) -> Any:
        shown = self.seen_by("root")
        return shown.repository_tree(ref=branch, recursive=True, get_all=True)

    def commit(self, branch: str, path: str, message: str = "change", by: str = "root") -> str:
        return self.files(branch, {path: f"{next(NUMBERS)}\n"}, message, by)

    def branch(self, name: str = "", ref: str = "main") -> str:
        name = name or f"work-{next(NUMBERS)}"
        self.seen_by("root").branches.create({"branch": name, "ref": ref})
        return name

    def tag(self, name: str, ref: str, message: str = "") -> None:
        self.seen_by("root").tags.create({"tag_name": name, "ref": ref, "message": message})

    def merged(self, by: str = "dana", approvers: tuple[str, ...] = (), **how: Any) -> Any:
        """A merge request from a new branch into main, approved, and merged by a maintainer."""
        branch = self.branch()
        self.commit(branch, "services/api-gateway/main.py", by=by)
        about = {"source_branch": branch, "target_branch": "main", "title": "Work"}
        iid = self.seen_by(by).mergerequests.create(about).iid
        for name in approvers:
            self.seen_by(name).mergerequests.get(iid).approve()
        self.seen_by("mia").mergerequests.get(iid).merge(**how)
        return self.seen_by(by).mergerequests.get(iid)

    @property
    def folder(self) -> Path:
        """The bare repository of the project."""
        return Path(self.project.repository.path)

    def git(self, *arguments: str, told: str | None = None) -> str:
        """What the real git says in the bare repository."""
        command = ["git", "--git-dir", str(self.folder), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, input=told)
        return done.stdout.strip()


def new_work(stage: Stage) -> Work:
    project = stage.project()
    first = project.repository.branches()["main"].commit
    return Work(stage, project, Repository("app", project.full_path), first)


def forge_of(stage: Stage, token: str, heard: list[tuple[str, str]]) -> GitLabForge:
    return GitLabForge(
        stage.url,
        lambda: token,
        patience=Patience(attempts=2, budget=2, first_pause=0.01),
        on_request=lambda method, path: heard.append((method, path)),
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("gitlab")) as stage:
        yield stage


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    """The requests that the forge made."""
    return []


@pytest.fixture
def work(stage: Stage) -> Work:
    return new_work(stage)


@pytest.fixture
def forge(stage: Stage, heard: list[tuple[str, str]]) -> Iterator[GitLabForge]:
    forge = forge_of(stage, stage.tokens["root"], heard)
    yield forge
    forge.close()


def test_the_files_of_a_folder_come_with_their_contents(work: Work, forge: GitLabForge) -> None:
    made = work.files(
        "develop", {"ops/a.yaml": "a: ü\n", "ops/sub/b.yaml": "", "x": "1"}, "m", "root"
    )
    found = forge.files(work.repository, made, "ops")
    assert found == {"a.yaml": "a: ü\n".encode(), "sub/b.yaml": b""}
    with pytest.raises(NotFound):
        forge.files(work.repository, made, "absent")


def test_refs_are_those_of_git_with_annotated_tags_peeled(work: Work, forge: GitLabForge) -> None:
    later = work.commit("develop", "README.md")
    work.tag("v1.0.0", "main", "annotated")
    work.tag("light", "develop")
    refs = forge.refs(work.repository)
    assert refs.branches == {"main": work.first, "staging": work.first, "develop": later}
    assert refs.tags == {"v1.0.0": work.first, "light": later}


def test_a_moved_tag_is_seen_where_it_is_now(work: Work, forge: GitLabForge) -> None:
    work.tag("v1.0.0", "main")
    later = work.commit("develop", "README.md")
    work.seen_by("root").tags.delete("v1.0.0")
    work.tag("v1.0.0", later)
    assert forge.refs(work.repository).tags == {"v1.0.0": later}


def test_an_idle_look_is_three_requests_and_quick_with_5000_tags(
    work: Work, forge: GitLabForge, heard: list[tuple[str, str]]
) -> None:
    lines = "".join(f"create refs/tags/v1.0.{n} {work.first}\n" for n in range(5000))
    work.git("update-ref", "--stdin", told=lines)
    started = time.monotonic()
    assert len(forge.refs(work.repository).tags) == 5000
    assert time.monotonic() - started < 1
    forge.pipelines(work.repository)
    assert len(heard) == 3


def test_a_project_that_is_not_there_is_not_found(forge: GitLabForge) -> None:
    nowhere = Repository("nowhere", f"{GROUP}/nowhere")
    for read in (forge.refs, forge.pipelines):
        with pytest.raises((NotFound, Denied)):
            read(nowhere)


def test_a_wrong_token_is_denied_everywhere(stage: Stage, work: Work) -> None:
    forge = forge_of(stage, "glpat-nobody", [])
    with pytest.raises(Denied, match="read_repository"):
        forge.refs(work.repository)
    with pytest.raises(Denied, match="FLOWMASTER_GITLAB_TOKEN_FILE"):
        forge.pipelines(work.repository)
    forge.close()


def test_a_pipeline_of_a_push_is_read_with_its_jobs(work: Work, forge: GitLabForge) -> None:
    sha = work.commit("develop", "services/api-gateway/main.py")
    newest = eventually(
        lambda: [p for p in forge.pipelines(work.repository) if p.state is PipelineState.SUCCESS]
    )[0]
    assert (newest.commit, newest.ref) == (sha, "develop")
    assert newest.url.startswith(work.stage.url)
    assert forge.pipelines_of(work.repository, sha)[0] == newest
    assert forge.pipelines_of(work.repository, work.first) == ()
    jobs = {job.name: job for job in forge.jobs(work.repository, newest.id)}
    assert jobs["docker:api-gateway"].stage == "package"
    assert jobs["docker:api-gateway"].state is PipelineState.SUCCESS


def test_a_pipeline_is_started_once_with_its_variables_and_again_with_others(
    work: Work, forge: GitLabForge
) -> None:
    told = {"SUITE": "contract", "COMMIT": work.first}
    made = forge.start_pipeline(work.repository, "develop", told)
    assert (made.ref, made.commit) == ("develop", work.first)
    assert forge.start_pipeline(work.repository, "develop", told).id == made.id
    other = forge.start_pipeline(work.repository, "develop", {**told, "SUITE": "e2e"})
    assert other.id != made.id
    assert forge.start_pipeline(work.repository, "main", told).id not in (made.id, other.id)
    ended = eventually(lambda: (p := forge.pipeline(work.repository, made.id)).finished and p)
    assert ended.state is PipelineState.SUCCESS
    assert forge.start_pipeline(work.repository, "develop", told) == ended
    with pytest.raises(NotFound):
        forge.pipeline(work.repository, 10**9)


def test_trees_are_those_of_git(work: Work, forge: GitLabForge) -> None:
    paths = ["services/api-gateway", "services/auth-service", "shared/proto", "README.md", "."]
    found = forge.trees(work.repository, work.first, [*paths, "services/none", "no/where"])
    for path in paths:
        spec = f"{work.first}:{'' if path == '.' else path}"
        assert found[path] == work.git("rev-parse", spec), path
    assert found["services/none"] is None
    assert found["no/where"] is None


def test_trees_of_many_services_cost_one_request_for_each_folder(
    work: Work, forge: GitLabForge, heard: list[tuple[str, str]]
) -> None:
    names = [f"service-{n}" for n in range(30)]
    files = {f"services/{name}/main.py": name for name in names}
    head = work.files("develop", files, "thirty", "root")
    found = forge.trees(work.repository, head, [f"services/{name}" for name in names])
    assert None not in found.values()
    assert len(heard) == 1


def test_trees_of_a_folder_with_more_than_a_page_are_whole(work: Work, forge: GitLabForge) -> None:
    names = [f"service-{n:03}" for n in range(230)]
    files = {f"services/{name}/main.py": name for name in names}
    head = work.files("develop", files, "many", "root")
    found = forge.trees(work.repository, head, [f"services/{name}" for name in names])
    assert None not in found.values()


def test_trees_of_a_commit_that_is_not_there_are_not_found(work: Work, forge: GitLabForge) -> None:
    with pytest.raises(NotFound):
        forge.trees(work.repository, "0" * 39 + "1", ["services/api-gateway"])


def test_a_commit_names_its_people_and_parents(work: Work, forge: GitLabForge) -> None:
    sha = work.commit("develop", "README.md", "docs: more", by="devi")
    found = forge.commit(work.repository, sha)
    assert (found.id, found.title, found.parents) == (sha, "docs: more", (work.first,))
    assert found.author_email == "devi@example.org"
    assert found.at.utcoffset() is not None
    with pytest.raises(NotFound):
        forge.commit(work.repository, "0" * 39 + "1")


def test_commits_between_are_those_of_git_log(work: Work, forge: GitLabForge) -> None:
    gateway = work.commit("develop", "services/api-gateway/main.py")
    auth = work.commit("develop", "services/auth-service/main.py")
    proto = work.commit("develop", "shared/proto/a.proto")
    between = forge.commits_between(work.repository, work.first, proto)
    assert [found.id for found in between] == [proto, auth, gateway]
    paths = ["services/api-gateway", "shared/proto"]
    touching = forge.commits_between(work.repository, work.first, proto, paths)
    assert [found.id for found in touching] == [proto, gateway]
    assert len(forge.commits_between(work.repository, None, proto)) == 4
    assert forge.commits_between(work.repository, proto, work.first) == ()


def test_commits_since_one_that_is_gone_are_not_found(work: Work, forge: GitLabForge) -> None:
    with pytest.raises(NotFound):
        forge.commits_between(work.repository, "0" * 39 + "1", work.first)


def test_first_parents_leave_out_what_was_merged(work: Work, forge: GitLabForge) -> None:
    merged = work.merged(approvers=("sam",))
    tip = merged.merge_commit_sha
    found = forge.first_parents(work.repository, tip, 10)
    assert [commit.id for commit in found] == [tip, work.first]
    assert len(forge.first_parents(work.repository, tip, 1)) == 1


def test_main_contains_what_was_merged_and_nothing_else(work: Work, forge: GitLabForge) -> None:
    elsewhere = work.commit("develop", "README.md")
    merged = work.merged()
    assert forge.contains(work.repository, "main", merged.merge_commit_sha) is True
    assert forge.contains(work.repository, "main", merged.sha) is True
    assert forge.contains(work.repository, "main", elsewhere) is False
    with pytest.raises(NotFound):
        forge.contains(work.repository, "gone", elsewhere)


def test_protection_is_told_and_a_missing_branch_is_not_found(
    work: Work, forge: GitLabForge
) -> None:
    assert forge.branch_is_protected(work.repository, "main") is True
    assert forge.branch_is_protected(work.repository, work.branch()) is False
    with pytest.raises(NotFound):
        forge.branch_is_protected(work.repository, "gone")


@pytest.mark.parametrize("squash", [False, True])
def test_a_merged_request_is_found_by_its_commit_with_its_approvals(
    work: Work, forge: GitLabForge, squash: bool
) -> None:
    merged = work.merged(approvers=("dana", "sam"), squash=squash)
    ends = [merged.merge_commit_sha, *([merged.squash_commit_sha] if squash else [])]
    for commit in filter(None, ends):
        found = forge.merge_request_of(work.repository, commit, "main")
        assert found is not None
        assert (found.iid, found.head) == (merged.iid, merged.sha)
        assert found.author.username == "dana"
        assert {given.by.username for given in found.approvals} == {"dana", "sam"}
        assert found.head_changed_at is not None
        assert all(given.at >= found.head_changed_at for given in found.approvals)


def test_an_approval_that_was_withdrawn_is_gone(work: Work, forge: GitLabForge) -> None:
    branch = work.branch()
    work.commit(branch, "README.md")
    about = {"source_branch": branch, "target_branch": "main", "title": "Work"}
    mine = work.seen_by("dana").mergerequests.create(about)
    for change in ("approve", "unapprove"):
        getattr(work.seen_by("sam").mergerequests.get(mine.iid), change)()
    work.seen_by("mia").mergerequests.get(mine.iid).merge()
    tip = forge.refs(work.repository).branches["main"]
    found = forge.merge_request_of(work.repository, tip, "main")
    assert found is not None
    assert found.approvals == ()


def test_a_commit_that_nobody_merged_has_no_merge_request(work: Work, forge: GitLabForge) -> None:
    assert forge.merge_request_of(work.repository, work.first, "main") is None
    merged = work.merged()
    assert forge.merge_request_of(work.repository, merged.merge_commit_sha, "staging") is None


def test_a_member_of_the_group_above_is_no_member_of_the_group(forge: GitLabForge) -> None:
    assert "dana" in forge.members(GROUP)
    assert forge.members(SENIORS) == {"sam"}
    with pytest.raises(NotFound):
        forge.members(f"{GROUP}/nobody")


def test_people_are_known_by_token_and_by_address(stage: Stage, forge: GitLabForge) -> None:
    sam = forge.person_of(stage.tokens["sam"])
    assert sam.username == "sam"
    assert forge.person_by_email("sam@example.org") == sam
    assert forge.person_by_email("nobody@example.org") is None
    with pytest.raises(Denied):
        forge.person_of("glpat-nobody")


def test_a_deployment_is_written_back_once_and_then_updated(work: Work, forge: GitLabForge) -> None:
    rule = RefRule(RefKind.BRANCH, "develop")
    dev = Environment("dev", "flowmaster-dev", rule, base_url="https://dev.example.com")
    commit = work.commit("develop", "README.md")
    running = forge.record_deployment(work.repository, dev, commit, "develop", "running")
    again = forge.record_deployment(work.repository, dev, commit, "develop", "running")
    done = forge.record_deployment(work.repository, dev, commit, "develop", "success")
    same = forge.record_deployment(work.repository, dev, commit, "develop", "success")
    assert {running.id, again.id, done.id, same.id} == {running.id}
    assert same.status == "success"
    shown = work.seen_by("dana").environments.list(get_all=True)
    assert [(e.name, e.tier, e.external_url) for e in shown] == [
        ("dev", "development", "https://dev.example.com")
    ]


def test_a_rollback_is_a_deployment_of_its_own(work: Work, forge: GitLabForge) -> None:
    dev = Environment("dev", "flowmaster-dev", RefRule(RefKind.BRANCH, "develop"))
    newer = work.commit("develop", "README.md")
    ids = [
        forge.record_deployment(work.repository, dev, commit, "develop", "success").id
        for commit in (work.first, newer, work.first)
    ]
    assert len(set(ids)) == 3


def test_a_failed_deployment_says_so(work: Work, forge: GitLabForge) -> None:
    dev = Environment("dev", "flowmaster-dev", RefRule(RefKind.BRANCH, "develop"))
    forge.record_deployment(work.repository, dev, work.first, "develop", "running")
    failed = forge.record_deployment(work.repository, dev, work.first, "develop", "failed")
    assert failed.status == "failed"
