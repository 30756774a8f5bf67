"""The GitLab behind the API: its state, its repositories, and what follows from a change."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowmaster_delivery.sandbox.gitlab.access import protections
from flowmaster_delivery.sandbox.gitlab.answers import (
    ApiError,
    bad,
    forbidden,
    missing,
    unauthorized,
)
from flowmaster_delivery.sandbox.gitlab.ci import Ci
from flowmaster_delivery.sandbox.gitlab.git_records import Person
from flowmaster_delivery.sandbox.gitlab.oauth import OAuthProvider
from flowmaster_delivery.sandbox.gitlab.records import MAINTAINER, OWNER, ProtectedRef
from flowmaster_delivery.sandbox.gitlab.repository import GitRepository
from flowmaster_delivery.sandbox.gitlab.state import Group, Member, Project, State, User
from flowmaster_delivery.sandbox.gitlab.webhooks import Outbox
from flowmaster_delivery.sandbox.orders import Images

PATH = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
DEFAULT_SETTINGS: dict[str, Any] = {
    "merge_method": "merge",
    "squash_option": "default_off",
    "only_allow_merge_if_pipeline_succeeds": False,
    "allow_merge_on_skipped_pipeline": False,
    "only_allow_merge_if_all_discussions_are_resolved": False,
    "remove_source_branch_after_merge": True,
    "ci_forward_deployment_enabled": True,
    "ci_config_path": "",
    "build_timeout": 3600,
    "auto_cancel_pending_pipelines": "enabled",
}
DEFAULT_APPROVALS: dict[str, Any] = {
    "reset_approvals_on_push": True,
    "merge_requests_author_approval": False,
    "merge_requests_disable_committers_approval": False,
    "disable_overriding_approvers_per_merge_request": False,
    "selective_code_owner_removals": False,
    "require_reauthentication_to_approve": False,
    "require_password_to_approve": False,
}


@dataclass(slots=True)
class World:
    """`url` is where people reach this GitLab; repositories live below `data`."""

    data: Path
    images: Images
    url: str
    state: State
    outbox: Outbox = field(default_factory=Outbox)
    oauth: OAuthProvider = field(default_factory=OAuthProvider)
    """Who signs in elsewhere with this GitLab."""
    failing: dict[tuple[int, str], set[str]] = field(default_factory=dict)
    """Jobs that the next pipeline of a project and ref shall fail, by order."""
    failing_with: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """Project, variables and job: every pipeline with at least these variables fails the job."""

    def create_user(self, username: str, name: str, email: str, *, admin: bool = False) -> User:
        if self.state.user_named(username):
            raise bad("Username has already been taken", 409)
        if self.state.user_by_email(email):
            raise bad("Email has already been taken", 409)
        user = User(self.state.next_id("user"), username, name, email, admin)
        self.state.users[user.id] = user
        return user

    def create_group(self, full_path: str, name: str = "", owner: User | None = None) -> Group:
        """A group; those above it must exist."""
        parent_path, _, own = full_path.rpartition("/")
        parent = self.state.group_at(parent_path) if parent_path else None
        if parent_path and parent is None:
            raise missing("Parent Group")
        self._check_path(full_path, own)
        group = Group(
            self.state.next_id("namespace"), name or own, full_path, parent.id if parent else None
        )
        self.state.groups[group.id] = group
        if owner is not None:
            group.members[owner.id] = Member(owner.id, OWNER)
        return group

    def namespace_of(self, user: User) -> Group:
        """Where a user's own projects are: a namespace that is shown as no group."""
        known = self.state.group_at(user.username)
        if known is None:
            known = Group(self.state.next_id("namespace"), user.name, user.username, kind="user")
            known.members[user.id] = Member(user.id, OWNER)
            self.state.groups[known.id] = known
        return known

    def create_project(
        self,
        group: Group,
        path: str,
        creator: User,
        *,
        name: str = "",
        default_branch: str = "main",
    ) -> Project:
        full_path = f"{group.full_path}/{path}"
        self._check_path(full_path, path)
        number = self.state.next_id("project")
        folder = self.data / "repositories" / f"{number}.git"
        shutil.rmtree(folder, ignore_errors=True)
        project = Project(
            id=number,
            name=name or path,
            full_path=full_path,
            namespace_id=group.id,
            repository=GitRepository.create(folder, default_branch),
            creator_id=creator.id,
            default_branch=default_branch,
            settings=dict(DEFAULT_SETTINGS),
            approval_settings=dict(DEFAULT_APPROVALS),
            ci=Ci(),
        )
        project.members[creator.id] = Member(creator.id, OWNER)
        self.protect_branch(project, default_branch)
        self.state.projects[number] = project
        return project

    def _check_path(self, full_path: str, own: str) -> None:
        if not PATH.match(own) or own.endswith((".git", ".atom", ".")):
            raise bad({"path": ["can contain only letters, digits, '_', '-' and '.'."]})
        if self.state.group_at(full_path) or self.state.project_at(full_path):
            raise bad({"path": ["has already been taken"], "name": ["has already been taken"]})

    def protect_branch(
        self,
        project: Project,
        name: str,
        push: int = MAINTAINER,
        merge: int = MAINTAINER,
        *,
        allow_force_push: bool = False,
    ) -> ProtectedRef:
        rule = ProtectedRef(self.state.next_id("rule"), name, push, merge, allow_force_push)
        project.protected_branches[name] = rule
        return rule

    def protect_tag(self, project: Project, name: str, create: int = MAINTAINER) -> ProtectedRef:
        rule = ProtectedRef(self.state.next_id("rule"), name, create)
        project.protected_tags[name] = rule
        return rule

    def find_project(self, user: User | None, identity: str) -> Project:
        """By number or path; one that the user may not see is not there."""
        project = (
            self.state.projects.get(int(identity))
            if identity.isdecimal()
            else self.state.project_at(identity)
        )
        if project is None or not self.state.sees(user, project):
            raise missing("Project")
        return project

    def find_group(self, user: User | None, identity: str) -> Group:
        group = (
            self.state.groups.get(int(identity))
            if identity.isdecimal()
            else self.state.group_at(identity)
        )
        if group is None or group.kind == "user" or not self.sees_group(user, group):
            raise missing("Group")
        return group

    def sees_group(self, user: User | None, group: Group) -> bool:
        if group.visibility == "public" or (user is not None and user.admin):
            return True
        if user is None:
            return False
        return user.id in self.state.group_members(group) or any(
            user.id in project.members
            for project in self.state.projects.values()
            if group in self.state.group_line(project.namespace_id)
        )

    def group_role(self, user: User, group: Group) -> int:
        member = self.state.group_members(group).get(user.id)
        return 60 if user.admin else member.access_level if member else 0

    def require(self, user: User | None, project: Project, role: int) -> User:
        """Raise 401 without a user and 403 where the role is too low."""
        if user is None:
            raise unauthorized()
        if self.state.role(user, project) < role:
            raise forbidden()
        return user

    def is_protected(self, project: Project, ref: str, *, is_tag: bool = False) -> bool:
        rules = project.protected_tags if is_tag else project.protected_branches
        return bool(protections(rules.values(), ref))

    def resolve(self, project: Project, ref: str, what: str = "Commit") -> str:
        """Commit of a ref or id; raise 404 where there is none."""
        sha = project.repository.resolve(ref) if ref else None
        if sha is None:
            raise missing(what)
        return sha

    def user(self, user_id: int | None) -> User | None:
        return self.state.users.get(user_id) if user_id is not None else None

    def web(self, project: Project, *parts: str) -> str:
        """Address of a project's page for people."""
        tail = "/-/" + "/".join(parts) if parts else ""
        return f"{self.url}/{project.full_path}{tail}"

    def clone_url(self, project: Project) -> str:
        return f"{self.url}/{project.full_path}.git"


def identity(user: User) -> Person:
    """The user as git writes authors: what would break its format is left out."""
    name, email = (re.sub(r"[<>\n\r\0]", "", text) for text in (user.name, user.email))
    return Person(name, email)


def first(items: Iterable[Any], error: ApiError) -> Any:
    """The first of them, or the error."""
    for item in itertools.islice(items, 1):
        return item
    raise error
