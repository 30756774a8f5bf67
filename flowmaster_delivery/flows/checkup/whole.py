"""All that there is to check, as far as it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from flowmaster_delivery.flows.checkup import cluster, home, servers
from flowmaster_delivery.flows.checkup.running import Check
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.checkup import Finding, Topic
from flowmaster_delivery.policy.checkup.grading import fine
from flowmaster_delivery.ports.checkup import Doors


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be looked at."""

    topics: Collection[Topic] = tuple(Topic)
    environments: Collection[str] = ()
    """Those of the catalog where there are none."""
    views: bool = False
    """Whether this process only reads from clusters (as the platform's server does)."""


def checks(catalog: Catalog, doors: Doors, wanted: Wanted, now: cluster.Now) -> tuple[Check, ...]:
    """In the order in which they are told. Raise UnknownName for an environment that nobody has."""
    names = wanted.environments or catalog.environments
    places = [catalog.environment(name) for name in names]
    every = (
        *_own(catalog, doors, places),
        *_clusters(catalog, doors, places, wanted),
        *_servers(catalog, doors, places, now()),
        *_clocks(doors, places, now),
        Check(Topic.AUDIT, "trail", partial(home.audit, doors)),
    )
    return tuple(check for check in every if check.topic in wanted.topics)


def _own(catalog: Catalog, doors: Doors, places: list[Environment]) -> Iterator[Check]:
    yield Check(Topic.SETTINGS, "secrets", partial(home.secrets, doors))
    for place in places:
        if home.names_of(place, catalog):
            look = partial(home.smoke_secrets, place, catalog, doors)
            yield Check(Topic.SETTINGS, f"smoke tests of {place.name}", look)
    yield Check(Topic.CATALOG, "catalog", partial(_of_catalog, catalog))
    yield Check(Topic.STORAGE, "storage", partial(home.storage, doors))


def _clusters(
    catalog: Catalog, doors: Doors, places: list[Environment], wanted: Wanted
) -> Iterator[Check]:
    for place in places:
        look = partial(cluster.cluster, place, catalog, doors, views=wanted.views)
        yield Check(Topic.CLUSTER, place.name, look)


def _servers(
    catalog: Catalog, doors: Doors, places: list[Environment], now: datetime
) -> Iterator[Check]:
    yield Check(Topic.GITLAB, "server", partial(servers.forge, doors, now))
    yield Check(Topic.GITLAB, "groups", partial(servers.groups, catalog, doors))
    for repository in catalog.repositories.values():
        look = partial(servers.project, repository, doors)
        yield Check(Topic.GITLAB, f"project {repository.project}", look)
    for image in servers.images_of(catalog):
        yield Check(Topic.REGISTRY, image, partial(servers.registry, image, catalog, doors))
    for place in places:
        yield Check(Topic.METRICS, place.name, partial(servers.metrics, place, doors, now))
    yield Check(Topic.DAGSTER, "webserver", partial(servers.dagster, catalog, doors))


def _clocks(doors: Doors, places: list[Environment], now: cluster.Now) -> Iterator[Check]:
    yield Check(Topic.CLOCK, "GitLab", partial(cluster.clock, "GitLab", doors.forge.server, now))
    for place in places:
        about = f"cluster of {place.name}"
        look = partial(cluster.cluster_clock, about, place, doors, now)
        yield Check(Topic.CLOCK, about, look)


def _of_catalog(catalog: Catalog) -> Iterator[Finding]:
    seen = (
        f"{len(catalog.services)} services of {len(catalog.repositories)} repositories, "
        f"{len(catalog.environments)} environments"
    )
    yield fine(Topic.CATALOG, catalog.source, seen)
