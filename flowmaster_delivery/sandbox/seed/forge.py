"""Seeding GitLab: people, groups, repositories with their history, pipelines that are over."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowmaster_delivery.model.catalog import Catalog, Kind, Repository, Service
from flowmaster_delivery.sandbox.gitlab import PER_SERVICE, SINGLE, Ci, CiService, GitLabSandbox
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.seed.people import AUTHOR, DEVELOPER, MAINTAINER, PEOPLE
from flowmaster_delivery.sandbox.seed.trees import files_of

FIRST_VERSION = "v1.0.0"
NOBODY = 0


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
    """A seeded repository, and the images that its first pipeline pushed: digests by name."""

    repository: Repository
    project: Project
    images: dict[str, str]


def add_people(gitlab: GitLabSandbox, catalog: Catalog) -> dict[str, str]:
    """Users with their tokens, as members of the groups that the catalog speaks of."""
    seniors = {e.approvals.group for e in catalog.environments.values() if e.approvals.group}
    groups = [gitlab.add_group(path) for path in sorted(_groups(catalog) | seniors)]
    tokens = {}
    for persona in PEOPLE:
        user = gitlab.add_user(persona.username, persona.name, persona.email)
        tokens[user.username] = gitlab.token(user)
        for group in groups:
            if group.full_path not in seniors or persona.senior:
                gitlab.add_member(group, user, persona.role)
    return tokens


def add_repositories(gitlab: GitLabSandbox, catalog: Catalog, hooks: Hooks) -> Iterator[Origin]:
    """Every repository of the catalog, with branches, release, passed pipelines and webhook."""
    for repository in catalog.repositories.values():
        branches = _branches(repository, catalog)
        project = gitlab.add_project(
            repository.project,
            ci=_ci(repository, catalog.services_of(repository.name), branches),
            default_branch=repository.main,
        )
        _commit(gitlab, project, repository, catalog)
        _protect(gitlab, project, repository)
        images = gitlab.passed_pipeline(project, branches[0])
        for ref in (*branches[1:], FIRST_VERSION):
            gitlab.passed_pipeline(project, ref, images=False)
        gitlab.add_hook(project, hooks.url, token=hooks.secret, signing_token=hooks.signing_token)
        yield Origin(repository, project, images)


def image_name(service: Service, repository: Repository) -> str:
    """What stands behind the project's path in the registry."""
    return service.image.removeprefix(f"{repository.project}/")


def _commit(
    gitlab: GitLabSandbox, project: Project, repository: Repository, catalog: Catalog
) -> None:
    first, *others = project.ci.branches
    message = f"feat: {repository.name} as it was released first"
    files = files_of(repository, catalog)
    gitlab.commit(project, first, files, AUTHOR.username, message)
    for branch in others:
        gitlab.branch(project, branch, first)
    gitlab.tag(project, FIRST_VERSION, first, message=f"Release {FIRST_VERSION}")


def _branches(repository: Repository, catalog: Catalog) -> tuple[str, ...]:
    """Those that feed environments, upstream first, and the main one."""
    found = [e.ref.branch for e in catalog.environments.values() if e.ref.branch]
    return tuple(dict.fromkeys((*found, repository.main)))


def _ci(repository: Repository, services: Sequence[Service], branches: tuple[str, ...]) -> Ci:
    built = tuple(
        CiService(
            service.name,
            image_name(service, repository),
            tuple("" if path in (".", "./") else path for path in service.paths),
        )
        for service in services
        if service.kind is not Kind.MANIFESTS
    )
    return Ci(built, SINGLE if len(services) == 1 else PER_SERVICE, branches)


def _protect(gitlab: GitLabSandbox, project: Project, repository: Repository) -> None:
    """The strategy's rules: nobody pushes to main or staging, releases are made by seniors.

    Developers push to the integration branch without a merge request: the strategy asks for one
    there as well, but a story that begins with `git push` needs a branch to push to.
    """
    first, *others = project.ci.branches
    gitlab.protect_branch(project, first, push=DEVELOPER, merge=DEVELOPER)
    for branch in others:
        merge = MAINTAINER if branch == repository.main else DEVELOPER
        gitlab.protect_branch(project, branch, push=NOBODY, merge=merge)
    gitlab.protect_tag(project, "v*", create=MAINTAINER)


def _groups(catalog: Catalog) -> set[str]:
    """Groups of the projects, and those whose members operate environments."""
    of_projects = {r.project.rpartition("/")[0] for r in catalog.repositories.values()}
    return of_projects | {e.operators for e in catalog.environments.values() if e.operators}
