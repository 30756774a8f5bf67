"""GitLab, the registry, the metrics servers and Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Repository
from flowmaster_delivery.model.checkup import Finding, Topic
from flowmaster_delivery.model.errors import Denied, NotConfigured, NotFound, Unreachable
from flowmaster_delivery.policy.checkup.forge import groups_of, of_group, of_hooks, of_token
from flowmaster_delivery.policy.checkup.grading import failed, fine, not_checked
from flowmaster_delivery.policy.checkup.servers import of_dagster, of_series
from flowmaster_delivery.ports.checkup import Doors


def forge(doors: Doors, now: datetime) -> Iterator[Finding]:
    yield fine(Topic.GITLAB, "server", f"GitLab {doors.forge.server().version}")
    yield from of_token(doors.forge.token(), now)


def groups(catalog: Catalog, doors: Doors) -> Iterator[Finding]:
    for group, needed in groups_of(catalog).items():
        try:
            yield of_group(group, len(doors.forge.members(group)), needed)
        except NotFound:
            mend = "create it, or correct the group in the catalog, or let our user see it"
            yield failed(Topic.GITLAB, f"group {group}", "there is no such group for us", mend)


def project(repository: Repository, doors: Doors) -> Iterator[Finding]:
    about = f"project {repository.project}"
    refs = doors.forge.refs(repository)
    if repository.main not in refs.branches:
        mend = "correct `main` of the repository in the catalog"
        yield failed(Topic.GITLAB, about, f"it has no branch {repository.main}", mend)
    else:
        yield fine(Topic.GITLAB, about, "its branches and tags are read by git")
    try:
        yield of_hooks(repository.project, doors.forge.hooks(repository))
    except Denied:
        why = "only maintainers may list webhooks; look at Settings, Webhooks"
        yield not_checked(Topic.GITLAB, f"webhook of {repository.project}", why)


def registry(image: str, catalog: Catalog, doors: Doors) -> Iterator[Finding]:
    """Of one image: rights are those of its project. Only releases are written, by their tags."""
    doors.registry.check_pull(image)
    yield fine(Topic.REGISTRY, image, "we may pull")
    if not catalog.fed_by_versions():
        return
    if doors.registry_user is None:
        why = "FLOWMASTER_REGISTRY_USER is not set here, and nobody unknown may tag"
        yield not_checked(Topic.REGISTRY, image, why)
        return
    doors.registry.check_push(image)
    yield fine(Topic.REGISTRY, image, "we may tag")


def images_of(catalog: Catalog) -> tuple[str, ...]:
    """One image of each project."""
    first: dict[str, str] = {}
    for service in catalog.services.values():
        if service.kind in (Kind.DEPLOYMENT, Kind.JOB):
            first.setdefault(service.repository, service.image)
    return tuple(first.values())


def metrics(environment: Environment, doors: Doors, now: datetime) -> Iterator[Finding]:
    rule, about = environment.metrics, environment.name
    if rule is None:
        yield not_checked(Topic.METRICS, about, "the catalog names no metrics server there")
        return
    door = doors.metrics(environment)
    names = (rule.requests, f"{rule.duration}_bucket", rule.cpu, rule.memory, rule.limits)
    series = {}
    for name in names:
        found = door.query(f"count({name})", now)
        series[name] = found[0].value if found else 0.0
    yield of_series(about, series)


def dagster(catalog: Catalog, doors: Doors) -> Iterator[Finding]:
    try:
        facts = doors.dagster.facts()
    except Unreachable as error:
        if doors.dagster_named:
            raise
        raise NotConfigured(
            f"{error}; set FLOWMASTER_DAGSTER_URL to check one elsewhere"
        ) from error
    return of_dagster(facts, catalog.services)
