"""Who may push, tag and merge what: protected refs and roles, in GitLab's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from flowmaster_delivery.sandbox.gitlab.records import (
    ADMIN,
    DEVELOPER,
    MAINTAINER,
    ZEROS,
    ProtectedRef,
)
from flowmaster_delivery.sandbox.gitlab.state import Project

NO_PUSH = "You are not allowed to push code to this project."
NO_PUSH_PROTECTED = "You are not allowed to push code to protected branches on this project."
NO_FORCE = "You are not allowed to force push code to a protected branch on this project."
NO_DELETE_PROTECTED = (
    "You are not allowed to delete protected branches from this project. "
    "Only a project maintainer or owner can delete a protected branch."
)
NO_DELETE_BY_GIT = "You can only delete protected branches using the web interface."
NO_DELETE_DEFAULT = "The default branch of a project cannot be deleted."
NO_TAG_CREATE = "You are not allowed to create this tag as it is protected."
NO_TAG_UPDATE = "Protected tags cannot be updated."
NO_TAG_CHANGE = "You are not allowed to change existing tags on this project."
NO_TAG_DELETE_BY_GIT = "You can only delete protected tags using the web interface."
NO_TAG_DELETE = (
    "You are not allowed to delete protected tags from this project. "
    "Only a project maintainer or owner can delete a protected tag."
)


@dataclass(frozen=True, slots=True)
class RefChange:
    """A ref that moves from `old` to `new`; 40 zeros stand for none."""

    ref: str
    old: str
    new: str

    @property
    def created(self) -> bool:
        return self.old == ZEROS

    @property
    def deleted(self) -> bool:
        return self.new == ZEROS

    @property
    def branch(self) -> str | None:
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None

    @property
    def tag(self) -> str | None:
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else None


def protections(rules: Iterable[ProtectedRef], name: str) -> list[ProtectedRef]:
    return [rule for rule in rules if rule.name == name or fnmatchcase(name, rule.name)]


def reaches(role: int, level: int) -> bool:
    """Whether a role meets a protection's level, where 0 means nobody but administrators."""
    return role >= ADMIN or (level > 0 and role >= level)


def may_push_branch(project: Project, role: int, branch: str) -> bool:
    rules = protections(project.protected_branches.values(), branch)
    if not rules:
        return role >= DEVELOPER
    return any(reaches(role, rule.push) for rule in rules)


def may_merge_into(project: Project, role: int, branch: str) -> bool:
    rules = protections(project.protected_branches.values(), branch)
    if not rules:
        return role >= DEVELOPER
    return any(reaches(role, rule.merge) or reaches(role, rule.push) for rule in rules)


def may_create_tag(project: Project, role: int, tag: str) -> bool:
    rules = protections(project.protected_tags.values(), tag)
    if not rules:
        return role >= DEVELOPER
    return any(reaches(role, rule.push) for rule in rules)


def refusal(project: Project, role: int, change: RefChange) -> str | None:
    """Why `git push` may not make this change; None where it may."""
    if change.tag is not None:
        return _tag_refusal(project, role, change, change.tag)
    if change.branch is not None:
        return _branch_refusal(project, role, change, change.branch)
    return NO_PUSH


def _branch_refusal(project: Project, role: int, change: RefChange, branch: str) -> str | None:
    if role < DEVELOPER:
        return NO_PUSH
    if change.deleted and branch == project.default_branch:
        return NO_DELETE_DEFAULT
    protected = bool(protections(project.protected_branches.values(), branch))
    if change.deleted and protected:
        return NO_DELETE_BY_GIT if role >= MAINTAINER else NO_DELETE_PROTECTED
    if not may_push_branch(project, role, branch):
        return NO_PUSH_PROTECTED
    return None


def _tag_refusal(project: Project, role: int, change: RefChange, tag: str) -> str | None:
    if role < DEVELOPER:
        return NO_PUSH
    if not protections(project.protected_tags.values(), tag):
        changes = not change.created and not change.deleted
        return NO_TAG_CHANGE if changes and role < MAINTAINER else None
    if change.deleted:
        return NO_TAG_DELETE_BY_GIT if role >= MAINTAINER else NO_TAG_DELETE
    if not change.created:
        return NO_TAG_UPDATE
    return None if may_create_tag(project, role, tag) else NO_TAG_CREATE


def refs_without_force(project: Project, changes: Sequence[RefChange]) -> list[str]:
    """Refs among the changes that must move forward only."""
    refs = []
    for change in changes:
        if change.branch is None or change.created or change.deleted:
            continue
        rules = protections(project.protected_branches.values(), change.branch)
        if rules and not any(rule.allow_force_push for rule in rules):
            refs.append(change.ref)
    return refs
