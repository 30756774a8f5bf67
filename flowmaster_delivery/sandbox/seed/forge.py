"""Seeding GitLab: people, groups, repositories with their history, pipelines that are over."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from flowmaster_delivery.model.catalog import Catalog, Kind, Repository, Service
from flowmaster_delivery.sandbox.gitlab import PER_SERVICE, SINGLE, Ci, CiService, pipelines
from flowmaster_delivery.sandbox.gitlab.records import HOOK_TRIGGERS, ZEROS, Hook, now
from flowmaster_delivery.sandbox.gitlab.state import Group, Member, Project, User
from flowmaster_delivery.sandbox.gitlab.world import World, identity
from flowmaster_delivery.sandbox.seed.people import (
    AUTHOR,
    DEVELOPER,
    MAINTAINER,
    PEOPLE,
    ROOT,
    Persona,
)
from flowmaster_delivery.sandbox.seed.trees import files_of

FIRST_VERSION = "v1.0.0"
NOBODY = 0
HOOKED = ("push_events", "tag_push_events", "merge_requests_events", "pipeline_events")
AGE = timedelta(hours=1)
"""How long ago the seeded pipelines began."""
STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where the projects' webhooks go, and what proves that they come from this GitLab."""

    url: str
    secret: str
    signing_token: str

    @classmethod
    def of(cls, url: str) -> Hooks:
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(url, secrets.token_urlsafe(24), f"whsec_{key}")


@dataclass(frozen=True, slots=True)
class Origin:
    """A seeded repository, and its only commit, which the first version is a tag of."""

    repository: Repository
    project: Project
    commit: str


def add_user(world: World, persona: Persona, *, admin: bool = False) -> tuple[User, str]:
    """The person, with a token that may do whatever the person may."""
    user = world.create_user(persona.username, persona.name, persona.email, admin=admin)
    return user, world.state.new_token(user, "sandbox")[1]


def add_people(world: World, catalog: Catalog) -> dict[str, str]:
    """Users with their tokens, as members of the groups that the catalog speaks of."""
    seniors = {e.approvals.group for e in catalog.environments.values() if e.approvals.group}
    groups = [_group(world, path) for path in sorted(_groups(catalog) | seniors)]
    tokens = {}
    for persona in PEOPLE:
        user, tokens[persona.username] = add_user(world, persona)
        for group in groups:
            if group.full_path not in seniors or persona.senior:
                group.members[user.id] = Member(user.id, persona.role)
    return tokens


def add_repositories(world: World, catalog: Catalog, hooks: Hooks) -> Iterator[Origin]:
    """Every repository of the catalog, with branches, release, passed pipelines and webhook."""
    root, author = _named(world, ROOT), _named(world, AUTHOR)
    for repository in catalog.repositories.values():
        group_path, _, name = repository.project.rpartition("/")
        group = _group(world, group_path)
        project = world.create_project(group, name, root, default_branch=repository.main)
        project.ci = _ci(repository, catalog)
        commit = _commit(project, author, repository, catalog)
        _protect(world, project, repository)
        _run_pipelines(world, project, author, commit)
        _add_hook(world, project, hooks)
        yield Origin(repository, project, commit)


def image_name(service: Service, repository: Repository) -> str:
    """What stands behind the project's path in the registry."""
    return service.image.removeprefix(f"{repository.project}/")


def _commit(project: Project, author: User, repository: Repository, catalog: Catalog) -> str:
    """The one commit, with all branches and the first version at it."""
    git, person = project.repository, identity(author)
    first, *others = project.ci.branches
    message = f"feat: {repository.name} as it was released first\n"
    commit = git.write_commit(first, files_of(repository, catalog), message, person, None)
    for branch in others:
        git.update_ref(f"refs/heads/{branch}", commit)
    git.create_tag(FIRST_VERSION, commit, f"Release {FIRST_VERSION}", person)
    git.forget_refs()
    return commit


def _ci(repository: Repository, catalog: Catalog) -> Ci:
    services = catalog.services_of(repository.name)
    built = tuple(
        CiService(service.name, image_name(service, repository), _folders(service))
        for service in services
        if service.kind is not Kind.MANIFESTS
    )
    templates = SINGLE if len(services) == 1 else PER_SERVICE
    return Ci(built, templates, _branches(repository, catalog), suites=_tests(repository, catalog))


def _tests(repository: Repository, catalog: Catalog) -> bool:
    """Whether it is the repository of some environment's contract and end-to-end tests."""
    rules = [e.suites for e in catalog.environments.values() if e.suites]
    return any(rule.repository == repository.name for rule in rules)


def _folders(service: Service) -> tuple[str, ...]:
    return tuple("" if path in (".", "./") else path for path in service.paths)


def _branches(repository: Repository, catalog: Catalog) -> tuple[str, ...]:
    """Those that feed environments, upstream first, and the main one."""
    found = [e.ref.branch for e in catalog.environments.values() if e.ref.branch]
    return tuple(dict.fromkeys((*found, repository.main)))


def _protect(world: World, project: Project, repository: Repository) -> None:
    """The strategy's rules: nobody pushes to main or staging, releases are made by seniors.

    Developers push to the integration branch without a merge request: the strategy asks for one
    there as well, but a story that begins with `git push` needs a branch to push to.
    """
    first, *others = project.ci.branches
    world.protect_branch(project, first, DEVELOPER, DEVELOPER)
    for branch in others:
        merge = MAINTAINER if branch == repository.main else DEVELOPER
        world.protect_branch(project, branch, NOBODY, merge)
    world.protect_tag(project, "v*", MAINTAINER)


def _run_pipelines(world: World, project: Project, author: User, commit: str) -> None:
    """Only the first branch's pipeline builds images: the others stand at the same commit."""
    at, first = now() - AGE, project.ci.branches[0]
    for ref in (*project.ci.branches, FIRST_VERSION):
        before = ZEROS if ref == first else commit
        pipeline = pipelines.start(world, project, author, ref=ref, sha=commit, before=before)
        pipeline.created_at = at
        while pipeline.active:
            at += STEP
            pipelines.advance(world, project, pipeline, at)


def _add_hook(world: World, project: Project, hooks: Hooks) -> None:
    triggers = {name: name in HOOKED for name in HOOK_TRIGGERS}
    number = world.state.next_id("hook")
    project.hooks[number] = Hook(number, hooks.url, hooks.secret, hooks.signing_token, triggers)


def _groups(catalog: Catalog) -> set[str]:
    """Groups of the projects, and those whose members operate environments."""
    of_projects = {r.project.rpartition("/")[0] for r in catalog.repositories.values()}
    return of_projects | {e.operators for e in catalog.environments.values() if e.operators}


def _group(world: World, path: str) -> Group:
    """The group, made with those above it where it is not there."""
    above = path.rpartition("/")[0]
    if above:
        _group(world, above)
    return world.state.group_at(path) or world.create_group(path)


def _named(world: World, persona: Persona) -> User:
    found = world.state.user_named(persona.username)
    if found is None:
        raise LookupError(f"the sandbox's GitLab has no user {persona.username!r}")
    return found
