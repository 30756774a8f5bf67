"""What GitLab knows: people, commits, refs, pipelines, merge requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom GitLab knows; `username` is the identity, `id` never changes."""

    id: int
    username: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    title: str
    author_name: str
    author_email: str
    committer_email: str
    at: datetime
    """The committer's own clock: shown, never compared."""
    parents: tuple[str, ...] = ()
    url: str = ""

    @property
    def short(self) -> str:
        return self.id[:8]


@dataclass(frozen=True, slots=True)
class Refs:
    """Every branch and tag of a repository at one moment. Tags are resolved to their commits."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]


class PipelineState(StrEnum):
    """What a pipeline or job is; unknown words of GitLab are read as RUNNING (not finished)."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Pipeline:
    id: int
    ref: str
    commit: str
    state: PipelineState
    url: str = ""
    is_tag: bool = False
    source: str = ""

    @property
    def finished(self) -> bool:
        return self.state in (
            PipelineState.SUCCESS,
            PipelineState.FAILED,
            PipelineState.CANCELED,
            PipelineState.SKIPPED,
        )


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    stage: str
    state: PipelineState
    allow_failure: bool = False


@dataclass(frozen=True, slots=True)
class MergeApproval:
    """One person's approval of a merge request, and when it was given."""

    by: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merged merge request. `head` is the source commit that was merged."""

    iid: int
    title: str
    author: Person
    source_branch: str
    target_branch: str
    head: str
    head_changed_at: datetime | None
    """When the source branch last got its present head, where GitLab tells."""
    merged_commit: str | None
    approvals: tuple[MergeApproval, ...]
    url: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForgeDeployment:
    """A deployment as GitLab's pages show it: written back, never read as evidence."""

    id: int
    environment: str
    commit: str
    ref: str
    status: str
