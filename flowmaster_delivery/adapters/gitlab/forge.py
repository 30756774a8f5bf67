"""The port `Forge` on GitLab, and what a checkup asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote

from flowmaster_delivery.adapters.gitlab import (
    code,
    deployments,
    files,
    inspecting,
    merge_requests,
    people,
    pipelines,
)
from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.git_refs import GitRefs
from flowmaster_delivery.adapters.gitlab.shapes import JobShape, PipelineShape
from flowmaster_delivery.adapters.wire import OnRequest, Patience, Wire
from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.checkup import HookFacts, ServerFacts, TokenFacts
from flowmaster_delivery.model.source import (
    Commit,
    ForgeDeployment,
    Job,
    MergeRequest,
    Person,
    Pipeline,
    Refs,
)

NEWEST_FIRST = {"order_by": "id", "sort": "desc"}


class GitLabForge:
    """GitLab at `url`, as the user whose token `token()` gives at the time of each call.

    `timeout` in seconds is for each step of a request; reads are repeated within `patience`, writes
    never. Thread-safe. `on_request` hears the method and path of every request, for counting.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        timeout: float = 10.0,
        patience: Patience | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        patience = patience or Patience()
        self._url = url.rstrip("/")
        self._client = Client(
            self._url, token, timeout=timeout, patience=patience, on_request=on_request
        )
        self._wire = Wire("git", self._url, timeout=timeout, on_request=on_request)
        self._git = GitRefs(self._wire, self._url, token, patience=patience)

    def close(self) -> None:
        """Give all connections back; the forge is of no use after."""
        self._client.close()
        self._wire.close()

    def refs(self, repository: Repository) -> Refs:
        return self._git.refs(repository.project)

    def pipelines(self, repository: Repository) -> tuple[Pipeline, ...]:
        path = project_path(repository.project, "pipelines")
        found = self._client.first_page(PipelineShape, path, NEWEST_FIRST)
        return tuple(item.pipeline() for item in found)

    def pipelines_of(self, repository: Repository, commit: str) -> tuple[Pipeline, ...]:
        path = project_path(repository.project, "pipelines")
        found = self._client.first_page(PipelineShape, path, {"sha": commit, **NEWEST_FIRST})
        return tuple(item.pipeline() for item in found)

    def jobs(self, repository: Repository, pipeline: int) -> tuple[Job, ...]:
        """In the order in which GitLab made them; of a retried job only its last run."""
        path = project_path(repository.project, "pipelines", str(pipeline), "jobs")
        found = self._client.all(JobShape, path)
        return tuple(item.job() for item in sorted(found, key=lambda item: item.id))

    def pipeline(self, repository: Repository, pipeline: int) -> Pipeline:
        return pipelines.one(self._client, repository.project, pipeline)

    def start_pipeline(
        self, repository: Repository, ref: str, variables: Mapping[str, str]
    ) -> Pipeline:
        return pipelines.start(self._client, repository.project, ref, variables)

    def trees(
        self, repository: Repository, commit: str, paths: Iterable[str]
    ) -> Mapping[str, str | None]:
        return code.trees(self._client, repository.project, commit, paths)

    def files(self, repository: Repository, commit: str, folder: str) -> Mapping[str, bytes]:
        return files.below(self._client, repository.project, commit, folder)

    def commit(self, repository: Repository, commit: str) -> Commit:
        return code.commit(self._client, repository.project, commit)

    def commits_between(
        self, repository: Repository, base: str | None, head: str, paths: Sequence[str] = ()
    ) -> tuple[Commit, ...]:
        return code.between(self._client, repository.project, base, head, paths)

    def first_parents(self, repository: Repository, commit: str, limit: int) -> tuple[Commit, ...]:
        return code.first_parents(self._client, repository.project, commit, limit)

    def contains(self, repository: Repository, ref: str, commit: str) -> bool:
        return code.contains(self._client, repository.project, ref, commit)

    def branch_is_protected(self, repository: Repository, branch: str) -> bool:
        return code.branch_is_protected(self._client, repository.project, branch)

    def merge_request_of(
        self, repository: Repository, commit: str, target: str
    ) -> MergeRequest | None:
        return merge_requests.that_brought(self._client, repository.project, commit, target)

    def members(self, group: str) -> frozenset[str]:
        return people.members(self._client, group)

    def person_by_email(self, email: str) -> Person | None:
        return people.by_email(self._client, email)

    def person_of(self, token: str) -> Person:
        return people.person_of(self._client, token)

    def record_deployment(
        self, repository: Repository, environment: Environment, commit: str, ref: str, status: str
    ) -> ForgeDeployment:
        return deployments.record(self._client, repository, environment, commit, ref, status)

    def server(self) -> ServerFacts:
        return inspecting.server(self._client)

    def token(self) -> TokenFacts:
        return inspecting.token(self._client)

    def hooks(self, repository: Repository) -> tuple[HookFacts, ...]:
        return inspecting.hooks(self._client, repository.project)

    def url(
        self, repository: Repository, *, commit: str | None = None, tag: str | None = None
    ) -> str:
        home = f"{self._url}/{repository.project}"
        if commit:
            return f"{home}/-/commit/{commit}"
        return f"{home}/-/tags/{quote(tag, safe='')}" if tag else home
