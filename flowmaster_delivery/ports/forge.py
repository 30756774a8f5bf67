"""GitLab and the registry: where source, people and images are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.source import (
    Commit,
    ForgeDeployment,
    Job,
    MergeRequest,
    Person,
    Pipeline,
    Refs,
)


class Forge(Protocol):
    """GitLab. Each call costs a number of requests that does not grow with services or tags."""

    def refs(self, repository: Repository) -> Refs:
        """All branches and tags, by git's protocol v2: two requests."""

    def pipelines(self, repository: Repository) -> tuple[Pipeline, ...]:
        """The newest pipelines (up to 100), newest first: one request."""

    def pipelines_of(self, repository: Repository, commit: str) -> tuple[Pipeline, ...]:
        """Pipelines of one commit, newest first."""

    def jobs(self, repository: Repository, pipeline: int) -> tuple[Job, ...]: ...

    def pipeline(self, repository: Repository, pipeline: int) -> Pipeline:
        """Raise NotFound where there is no such pipeline."""

    def start_pipeline(
        self, repository: Repository, ref: str, variables: Mapping[str, str]
    ) -> Pipeline:
        """Start a pipeline of a ref with variables. Safe to repeat: one of the newest that was
        started with the very same variables is answered instead of a second one."""

    def trees(
        self, repository: Repository, commit: str, paths: Iterable[str]
    ) -> Mapping[str, str | None]:
        """Git object id of each path at the commit, None where it does not exist there.

        One request per different parent folder, whatever the number of paths.
        """

    def files(self, repository: Repository, commit: str, folder: str) -> Mapping[str, bytes]:
        """Every file below a folder by its path within it; Malformed where there are too many."""

    def commit(self, repository: Repository, commit: str) -> Commit:
        """Raise NotFound where GitLab has no such commit."""

    def commits_between(
        self, repository: Repository, base: str | None, head: str, paths: Sequence[str] = ()
    ) -> tuple[Commit, ...]:
        """Commits in `head` and not in `base`, newest first; only those that touch `paths`, if any.

        From the first commit on where `base` is None; at most 1,000.
        """

    def first_parents(self, repository: Repository, commit: str, limit: int) -> tuple[Commit, ...]:
        """The commit and its first-parent ancestors, newest first."""

    def contains(self, repository: Repository, ref: str, commit: str) -> bool:
        """Whether the commit is an ancestor of (or is) the head of `ref`."""

    def branch_is_protected(self, repository: Repository, branch: str) -> bool: ...

    def merge_request_of(
        self, repository: Repository, commit: str, target: str
    ) -> MergeRequest | None:
        """The merged merge request into `target` that brought the commit, with its approvals."""

    def members(self, group: str) -> frozenset[str]:
        """Usernames of the active people who are direct members of the group.

        Those of the groups above it are not, as in GitLab's own approval rules: else every
        developer of the top group would be in each of its subgroups.
        """

    def person_by_email(self, email: str) -> Person | None: ...

    def person_of(self, token: str) -> Person:
        """Whose token it is; raise Denied where it is nobody's. The token is not kept."""

    def record_deployment(
        self, repository: Repository, environment: Environment, commit: str, ref: str, status: str
    ) -> ForgeDeployment:
        """Write a deployment back (running, success, failed, canceled), creating or updating.

        Safe to repeat: an unfinished deployment of the same commit and environment is reused.
        """

    def url(
        self, repository: Repository, *, commit: str | None = None, tag: str | None = None
    ) -> str:
        """The page of a repository, a commit or a tag, for people."""


class Registry(Protocol):
    """The OCI registry. `image` is a path without host and tag."""

    def digest_of(self, image: str, tag: str) -> RegistryImage | None:
        """What a tag stands for; None where there is no such tag or repository."""

    def read(self, image: str, digest: str) -> RegistryImage | None:
        """The image of a digest with its labels; None where the registry does not have it."""

    def tag(self, image: str, digest: str, tag: str) -> None:
        """Let a tag stand for the digest. Raise Refused where it stands for another one already."""

    def has_signature(self, image: str, digest: str) -> bool:
        """Whether a signature is attached to the digest (referrers API or tag schema)."""
