"""A forge in memory: repositories are lists of commits, each with its tree of paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.errors import DeliveryError, Denied, NotFound
from flowmaster_delivery.model.source import (
    Commit,
    ForgeDeployment,
    Job,
    MergeRequest,
    Person,
    Pipeline,
    PipelineState,
    Refs,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeForge:
    """Commits are ordered oldest first in `log[repository]`; `parents` are first parents."""

    log: dict[str, list[str]] = field(default_factory=dict)
    trees_at: dict[str, dict[str, str]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    made_pipelines: dict[str, list[Pipeline]] = field(default_factory=dict)
    made_jobs: dict[int, tuple[Job, ...]] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)
    merge_requests: dict[str, MergeRequest] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    protected: set[str] = field(default_factory=lambda: {"main", "staging", "develop"})
    deployments: list[ForgeDeployment] = field(default_factory=list)
    broken: dict[str, DeliveryError] = field(default_factory=dict)
    """Repository name to the error that every call about it raises."""
    people_away: DeliveryError | None = None
    """What every question about people and groups raises."""
    calls: list[str] = field(default_factory=list)
    started: dict[int, dict[str, str]] = field(default_factory=dict)
    """Variables of the pipelines that were started, by number."""
    ends: list[tuple[dict[str, str], PipelineState]] = field(default_factory=list)
    """How a pipeline ends that was started with at least these variables; else it succeeds."""

    # What tests say

    def push(
        self,
        repository: str,
        branch: str,
        commit: str,
        files: Mapping[str, str],
        *,
        author: str = "dana@flowmaster.test",
        ci: PipelineState | None = PipelineState.SUCCESS,
    ) -> str:
        """Add a commit to a branch; `files` are paths with the content that is new."""
        commit = commit.ljust(40, "0")
        before = self.branches.setdefault(repository, {}).get(branch)
        self.trees_at[commit] = {**self.trees_at.get(before or "", {}), **files}
        self.log.setdefault(repository, []).append(commit)
        self.branches[repository][branch] = commit
        self.authors[commit] = author
        if ci:
            self.run_ci(repository, branch, commit, ci)
        return commit

    def run_ci(self, repository: str, ref: str, commit: str, state: PipelineState) -> Pipeline:
        made = self.made_pipelines.setdefault(repository, [])
        number = 100 + sum(len(p) for p in self.made_pipelines.values())
        pipeline = Pipeline(number, ref, commit, state, url=f"http://forge/pipelines/{number}")
        made.insert(0, pipeline)
        self.made_jobs[number] = (Job("test", "test", state), Job("docker", "package", state))
        return pipeline

    def tag(self, repository: str, name: str, commit: str) -> None:
        self.tags.setdefault(repository, {})[name] = commit.ljust(40, "0")

    # The port

    def _called(self, what: str, repository: Repository) -> None:
        self.calls.append(f"{what} {repository.name}")
        if repository.name in self.broken:
            raise self.broken[repository.name]

    def refs(self, repository: Repository) -> Refs:
        self._called("refs", repository)
        name = repository.name
        return Refs(dict(self.branches.get(name, {})), dict(self.tags.get(name, {})))

    def pipelines(self, repository: Repository) -> tuple[Pipeline, ...]:
        self._called("pipelines", repository)
        return tuple(self.made_pipelines.get(repository.name, []))

    def pipelines_of(self, repository: Repository, commit: str) -> tuple[Pipeline, ...]:
        self._called("pipelines_of", repository)
        return tuple(p for p in self.made_pipelines.get(repository.name, []) if p.commit == commit)

    def jobs(self, repository: Repository, pipeline: int) -> tuple[Job, ...]:
        self._called("jobs", repository)
        return self.made_jobs[pipeline]

    def pipeline(self, repository: Repository, pipeline: int) -> Pipeline:
        self._called("pipeline", repository)
        for found in self.made_pipelines.get(repository.name, []):
            if found.id == pipeline:
                return found
        raise NotFound(f"{repository.name} has no pipeline {pipeline}")

    def start_pipeline(
        self, repository: Repository, ref: str, variables: Mapping[str, str]
    ) -> Pipeline:
        self._called("start_pipeline", repository)
        for number, known in self.started.items():
            if known == dict(variables):
                return self.pipeline(repository, number)
        state = next(
            (end for told, end in self.ends if told.items() <= variables.items()),
            PipelineState.SUCCESS,
        )
        made = self.run_ci(repository.name, ref, "7e57".ljust(40, "0"), state)
        self.started[made.id] = dict(variables)
        return made

    def trees(
        self, repository: Repository, commit: str, paths: Iterable[str]
    ) -> Mapping[str, str | None]:
        self._called("trees", repository)
        tree = self.trees_at[commit]
        return {path: tree.get(path) for path in paths}

    def files(self, repository: Repository, commit: str, folder: str) -> Mapping[str, bytes]:
        self._called("files", repository)
        prefix = f"{folder.strip('/')}/"
        return {
            path.removeprefix(prefix): content.encode()
            for path, content in self.trees_at[commit].items()
            if path.startswith(prefix)
        }

    def commit(self, repository: Repository, commit: str) -> Commit:
        self._called("commit", repository)
        if commit not in self.trees_at:
            raise NotFound(f"{repository.name} has no commit {commit}")
        author = self.authors[commit]
        return Commit(commit, f"change {commit[:4]}", author, author, author, EPOCH)

    def commits_between(
        self, repository: Repository, base: str | None, head: str, paths: Sequence[str] = ()
    ) -> tuple[Commit, ...]:
        self._called("commits_between", repository)
        log = self.log[repository.name]
        start = log.index(base) + 1 if base in log else 0
        within = reversed(log[start : log.index(head) + 1])
        return tuple(
            self.commit(repository, c) for c in within if self._touches(repository, c, paths)
        )

    def _touches(self, repository: Repository, commit: str, paths: Sequence[str]) -> bool:
        log = self.log[repository.name]
        at = log.index(commit)
        before = self.trees_at[log[at - 1]] if at else {}
        return not paths or any(self.trees_at[commit].get(p) != before.get(p) for p in paths)

    def first_parents(self, repository: Repository, commit: str, limit: int) -> tuple[Commit, ...]:
        self._called("first_parents", repository)
        log = self.log[repository.name]
        line = list(reversed(log[: log.index(commit) + 1]))[:limit]
        return tuple(self.commit(repository, c) for c in line)

    def contains(self, repository: Repository, ref: str, commit: str) -> bool:
        self._called("contains", repository)
        log = self.log[repository.name]
        head = self.branches[repository.name].get(ref, ref)
        return commit in log and head in log and log.index(commit) <= log.index(head)

    def branch_is_protected(self, repository: Repository, branch: str) -> bool:
        self._called("protected", repository)
        return branch in self.protected

    def merge_request_of(
        self, repository: Repository, commit: str, target: str
    ) -> MergeRequest | None:
        self._called("merge_request", repository)
        return self.merge_requests.get(commit)

    def _asked_of_people(self, call: str) -> None:
        self.calls.append(call)
        if self.people_away is not None:
            raise self.people_away

    def members(self, group: str) -> frozenset[str]:
        self._asked_of_people(f"members {group}")
        return frozenset(self.groups.get(group, set()))

    def person_by_email(self, email: str) -> Person | None:
        self._asked_of_people(f"person {email}")
        return self.people.get(email)

    def person_of(self, token: str) -> Person:
        self._asked_of_people("person of a token")
        if token not in self.tokens:
            raise Denied("GitLab does not know this token; make a new one")
        return self.tokens[token]

    def record_deployment(
        self, repository: Repository, environment: Environment, commit: str, ref: str, status: str
    ) -> ForgeDeployment:
        self._called("deployment", repository)
        made = ForgeDeployment(len(self.deployments) + 1, environment.name, commit, ref, status)
        self.deployments.append(made)
        return made

    def url(
        self, repository: Repository, *, commit: str | None = None, tag: str | None = None
    ) -> str:
        return f"http://forge/{repository.project}/{commit or tag or ''}"
