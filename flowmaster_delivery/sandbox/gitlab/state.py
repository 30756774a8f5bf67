"""What this GitLab knows beside git: people, groups, projects and all that hangs on a project.

Mutable on purpose: it stands for a database. Only `GitLabSandbox` hands it out, and requests touch
it one at a time.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from flowmaster_delivery.sandbox.gitlab.ci import Ci
from flowmaster_delivery.sandbox.gitlab.repository import GitRepository

Tier = Literal["free", "premium"]
ZEROS = "0" * 40

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER, ADMIN = 10, 20, 30, 40, 50, 60
ROLE_NAMES = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrators"}


def now() -> datetime:
    """The sandbox lives in real time."""
    return datetime.fromtimestamp(time.time(), tz=UTC)


@dataclass(slots=True)
class User:
    id: int
    username: str
    name: str
    email: str
    admin: bool = False
    state: str = "active"
    created_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class Token:
    """A personal access token; only its hash is kept."""

    id: int
    user_id: int
    name: str
    scopes: tuple[str, ...]
    expires_at: str | None = None
    revoked: bool = False
    created_at: datetime = field(default_factory=now)

    @property
    def active(self) -> bool:
        expired = self.expires_at is not None and self.expires_at <= now().date().isoformat()
        return not self.revoked and not expired


@dataclass(slots=True)
class Member:
    user_id: int
    access_level: int
    expires_at: str | None = None
    created_at: datetime = field(default_factory=now)


@dataclass(slots=True)
class Group:
    id: int
    name: str
    full_path: str
    parent_id: int | None = None
    visibility: str = "private"
    members: dict[int, Member] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return self.full_path.rsplit("/", 1)[-1]


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


@dataclass(slots=True)
class Project:
    id: int
    name: str
    full_path: str
    namespace_id: int
    repository: GitRepository
    creator_id: int
    visibility: str = "private"
    default_branch: str = "main"
    description: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    approval_settings: dict[str, Any] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    shares: dict[int, int] = field(default_factory=dict)
    protected_branches: dict[str, ProtectedRef] = field(default_factory=dict)
    protected_tags: dict[str, ProtectedRef] = field(default_factory=dict)
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    approval_rules: dict[int, ApprovalRule] = field(default_factory=dict)
    pipelines: dict[int, Pipeline] = field(default_factory=dict)
    environments: dict[int, Environment] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    variables: list[dict[str, Any]] = field(default_factory=list)
    freeze_periods: dict[int, dict[str, Any]] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    ci: Ci = field(default_factory=Ci)
    created_at: datetime = field(default_factory=now)
    last_activity_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return self.full_path.rsplit("/", 1)[-1]


@dataclass(slots=True)
class State:
    """Everything, and the ids: they grow and are never given twice."""

    tier: Tier = "free"
    users: dict[int, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def next_id(self, kind: str) -> int:
        self._last[kind] += 1
        return self._last[kind]

    def user_named(self, username: str) -> User | None:
        wanted = username.lower()
        return next((u for u in self.users.values() if u.username.lower() == wanted), None)

    def user_by_email(self, email: str) -> User | None:
        wanted = email.lower()
        return next((u for u in self.users.values() if u.email.lower() == wanted), None)

    def group_at(self, full_path: str) -> Group | None:
        wanted = full_path.lower()
        return next((g for g in self.groups.values() if g.full_path.lower() == wanted), None)

    def project_at(self, full_path: str) -> Project | None:
        wanted = full_path.lower()
        return next((p for p in self.projects.values() if p.full_path.lower() == wanted), None)

    def new_token(
        self, user: User, name: str, scopes: tuple[str, ...] = ("api",), expires: str | None = None
    ) -> tuple[Token, str]:
        """A token and its text, which is not kept."""
        text = f"glpat-{secrets.token_urlsafe(20)}"
        token = Token(self.next_id("token"), user.id, name, scopes, expires)
        self.tokens[_hash(text)] = token
        return token, text

    def token_of(self, text: str) -> Token | None:
        """Looked up by hash, so that the time it takes says nothing about the tokens there are."""
        token = self.tokens.get(_hash(text))
        return token if token is not None and token.active else None

    def group_line(self, group_id: int | None) -> Iterator[Group]:
        """The group and those above it."""
        while group_id is not None and (group := self.groups.get(group_id)):
            yield group
            group_id = group.parent_id

    def group_members(self, group: Group) -> dict[int, Member]:
        """All members, inherited ones included; the highest role counts."""
        merged: dict[int, Member] = {}
        for one in self.group_line(group.id):
            _merge(merged, one.members)
        return merged

    def project_members(self, project: Project) -> dict[int, Member]:
        """Direct, inherited and invited members; the highest role counts."""
        merged = dict(project.members)
        for group in self.group_line(project.namespace_id):
            _merge(merged, group.members)
        for group_id, limit in project.shares.items():
            if (shared := self.groups.get(group_id)) is not None:
                everyone = self.group_members(shared)
                _merge(
                    merged,
                    {u: Member(u, min(m.access_level, limit)) for u, m in everyone.items()},
                )
        return merged

    def role(self, user: User | None, project: Project) -> int:
        """Access level of the user in the project: 0 for none, 60 for administrators."""
        if user is None:
            return 0
        if user.admin:
            return ADMIN
        member = self.project_members(project).get(user.id)
        return member.access_level if member else 0

    def sees(self, user: User | None, project: Project) -> bool:
        if project.visibility == "public":
            return True
        if user is None:
            return False
        return project.visibility == "internal" or self.role(user, project) > 0


def _merge(into: dict[int, Member], more: dict[int, Member]) -> None:
    for user_id, member in more.items():
        known = into.get(user_id)
        if known is None or known.access_level < member.access_level:
            into[user_id] = member


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
