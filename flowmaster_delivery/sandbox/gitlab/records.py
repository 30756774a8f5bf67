"""What hangs on a project: rules, merge requests, pipelines, deployments, webhooks.

Mutable on purpose, like `state`: they stand for rows of a database.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ZEROS = "0" * 40

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER, ADMIN = 10, 20, 30, 40, 50, 60
ROLE_NAMES = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrators"}


def now() -> datetime:
    """The sandbox lives in real time."""
    return datetime.fromtimestamp(time.time(), tz=UTC)


@dataclass(slots=True)
class ProtectedRef:
    """A protected branch (push, merge) or tag (`push` is who may create it); `name` may be `v*`."""

    id: int
    name: str
    push: int = MAINTAINER
    merge: int = MAINTAINER
    allow_force_push: bool = False


@dataclass(slots=True)
class Job:
    id: int
    name: str
    stage: str
    status: str = "created"
    when: str = "on_success"
    images: tuple[str, ...] = ()
    fails: bool = False
    environment: str | None = None
    created_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    user_id: int = 0


@dataclass(slots=True)
class Pipeline:
    id: int
    iid: int
    project_id: int
    ref: str
    sha: str
    before_sha: str
    source: str
    tag: bool
    user_id: int
    status: str = "created"
    jobs: list[Job] = field(default_factory=list)
    merge_request_iid: int | None = None
    variables: dict[str, str] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.status in ("created", "pending", "running")


@dataclass(slots=True)
class ApprovalGiven:
    user_id: int
    at: datetime


@dataclass(slots=True)
class Version:
    """One state of a merge request's diff."""

    id: int
    head: str
    base: str
    start: str
    at: datetime


@dataclass(slots=True)
class MergeRequest:
    id: int
    iid: int
    project_id: int
    title: str
    source_branch: str
    target_branch: str
    author_id: int
    sha: str
    description: str = ""
    state: str = "opened"
    squash: bool = False
    remove_source_branch: bool = False
    labels: tuple[str, ...] = ()
    reviewer_ids: tuple[int, ...] = ()
    assignee_ids: tuple[int, ...] = ()
    approvals: list[ApprovalGiven] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    patch_id: str = ""
    merge_user_id: int | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    merged_at: datetime | None = None
    closed_at: datetime | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def draft(self) -> bool:
        return self.title.lower().startswith(("draft:", "[draft]", "(draft)"))


@dataclass(slots=True)
class ApprovalRule:
    id: int
    name: str
    approvals_required: int
    rule_type: str = "regular"
    user_ids: tuple[int, ...] = ()
    group_ids: tuple[int, ...] = ()
    protected_branch_ids: tuple[int, ...] = ()


@dataclass(slots=True)
class Environment:
    id: int
    name: str
    external_url: str | None = None
    tier: str = "other"
    description: str | None = None
    state: str = "available"
    auto_stop_setting: str = "always"
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class Deployment:
    id: int
    iid: int
    environment_id: int
    sha: str
    ref: str
    tag: bool
    status: str
    user_id: int
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    finished_at: datetime | None = None


@dataclass(slots=True)
class Release:
    tag_name: str
    name: str
    description: str
    author_id: int
    sha: str
    released_at: datetime
    links: list[dict[str, Any]] = field(default_factory=list)
    created_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class Status:
    """A commit status that somebody outside of the pipelines reported."""

    id: int
    sha: str
    ref: str
    status: str
    name: str
    user_id: int
    description: str | None = None
    target_url: str | None = None
    coverage: float | None = None
    created_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class HookEvent:
    """One delivery of a webhook, as its page shows it."""

    id: int
    trigger: str
    key: str
    body: bytes
    request_headers: dict[str, str]
    response_status: str = ""
    duration: float = 0.0
    at: datetime = field(default_factory=now)


HOOK_TRIGGERS = (
    "push_events",
    "tag_push_events",
    "merge_requests_events",
    "pipeline_events",
    "job_events",
    "deployment_events",
    "releases_events",
    "issues_events",
    "note_events",
)


@dataclass(slots=True)
class Hook:
    id: int
    url: str
    token: str = ""
    signing_token: str = ""
    triggers: dict[str, bool] = field(default_factory=dict)
    branch_filter: str = ""
    enable_ssl_verification: bool = True
    custom_headers: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    backoffs: int = 0
    disabled_until: datetime | None = None
    disabled: bool = False
    events: deque[HookEvent] = field(default_factory=lambda: deque(maxlen=100))
    created_at: datetime = field(default_factory=now)

    def alert_status(self, at: datetime) -> str:
        if self.disabled:
            return "disabled"
        waiting = self.disabled_until is not None and self.disabled_until > at
        return "temporarily_disabled" if waiting else "executable"
