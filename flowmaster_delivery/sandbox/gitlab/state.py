"""What this GitLab knows beside git: people, groups, projects and all that hangs on a project.

Mutable on purpose: it stands for a database. Only `GitLabSandbox` hands it out, and requests touch
it one at a time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flowmaster_delivery.sandbox.gitlab.ci import Ci
from flowmaster_delivery.sandbox.gitlab.records import (
    ADMIN,
    ApprovalRule,
    Deployment,
    Environment,
    Hook,
    MergeRequest,
    Pipeline,
    ProtectedRef,
    Release,
    Status,
    now,
)
from flowmaster_delivery.sandbox.gitlab.repository import GitRepository

Tier = Literal["free", "premium"]


@dataclass(slots=True)
class User:
    id: int
    username: str
    name: str
    email: str
    admin: bool = False
    state: str = "active"
    email_verified: bool = True
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
    kind: Literal["group", "user"] = "group"
    members: dict[int, Member] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)

    @property
    def path(self) -> str:
        return self.full_path.rsplit("/", 1)[-1]


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
