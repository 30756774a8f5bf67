"""What was deployed, written back to GitLab, so that its pages are right too.

GitLab has no idempotency key for deployments, so each write looks first at what is there.
"""

from __future__ import annotations

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.shapes import DeploymentShape, EnvironmentShape
from flowmaster_delivery.model.catalog import Environment, RefKind, Repository
from flowmaster_delivery.model.errors import Permanent, Unreachable
from flowmaster_delivery.model.source import ForgeDeployment

UNFINISHED = ("created", "running", "blocked")
TIERS = {"dev": "development", "staging": "staging", "production": "production"}
"""What GitLab's figures count by; for other names it guesses."""
NEWEST = 20


def record(
    client: Client,
    repository: Repository,
    environment: Environment,
    commit: str,
    ref: str,
    status: str,
) -> ForgeDeployment:
    """Let GitLab's newest deployment of the commit have the status; create it where there is none.

    An unfinished one of the same commit is updated, and one that has the status already is left.
    """
    _make_sure_of(client, repository.project, environment)
    found = _matching(client, repository.project, environment, commit, status)
    if found is None:
        found = _create(client, repository.project, environment, commit, ref, status)
    elif found.status != status:
        found = _update(client, repository.project, found, status)
    return found.deployment(environment.name)


def _make_sure_of(client: Client, project: str, environment: Environment) -> None:
    path = project_path(project, "environments")
    known = _environment(client, path, environment.name)
    try:
        if known is None:
            about = {"name": environment.name, **_about(environment)}
            client.write("post", EnvironmentShape, path, about)
        elif environment.base_url and known.external_url != environment.base_url:
            client.write("put", EnvironmentShape, f"{path}/{known.id}", _about(environment))
    except (Permanent, Unreachable):
        if _environment(client, path, environment.name) is None:
            raise


def _environment(client: Client, path: str, name: str) -> EnvironmentShape | None:
    return next(iter(client.first_page(EnvironmentShape, path, {"name": name})), None)


def _about(environment: Environment) -> dict[str, object]:
    about = {"tier": TIERS.get(environment.name), "external_url": environment.base_url}
    return {key: value for key, value in about.items() if value}


def _newest(client: Client, project: str, environment: Environment) -> list[DeploymentShape]:
    query = {"environment": environment.name, "order_by": "id", "sort": "desc"}
    path = project_path(project, "deployments")
    return client.first_page(DeploymentShape, path, query, NEWEST)


def _matching(
    client: Client, project: str, environment: Environment, commit: str, status: str
) -> DeploymentShape | None:
    newest = _newest(client, project, environment)
    if newest and newest[0].sha == commit and newest[0].status == status:
        return newest[0]
    return next((d for d in newest if d.sha == commit and d.status in UNFINISHED), None)


def _create(
    client: Client, project: str, environment: Environment, commit: str, ref: str, status: str
) -> DeploymentShape:
    about = {
        "environment": environment.name,
        "sha": commit,
        "ref": ref,
        "tag": environment.ref.kind is RefKind.VERSION,
        "status": status,
    }
    try:
        return client.write("post", DeploymentShape, project_path(project, "deployments"), about)
    except Unreachable:
        made = _matching(client, project, environment, commit, status)
        if made is None:
            raise
        return made


def _update(client: Client, project: str, found: DeploymentShape, status: str) -> DeploymentShape:
    path = project_path(project, "deployments", str(found.id))
    try:
        return client.write("put", DeploymentShape, path, {"status": status})
    except (Permanent, Unreachable):
        now = client.one(DeploymentShape, path)
        if now.status != status:
            raise
        return now
