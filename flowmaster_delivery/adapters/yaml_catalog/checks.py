"""What must hold between the entries of a catalog, and within one beyond its form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from croniter import croniter

from flowmaster_delivery.adapters.yaml_catalog.documents import Way
from flowmaster_delivery.adapters.yaml_catalog.entries import Entries, Fault
from flowmaster_delivery.adapters.yaml_catalog.safeguard_checks import (
    of_environment,
    of_service,
)
from flowmaster_delivery.adapters.yaml_catalog.schema import (
    EnvironmentEntry,
    FreezeEntry,
    RepositoryEntry,
    ServiceEntry,
)
from flowmaster_delivery.adapters.yaml_catalog.values import spelled
from flowmaster_delivery.model.catalog import GateName, Kind
from flowmaster_delivery.model.errors import nearest

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME_RULE = "up to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
RBAC = "rbac.authorization.k8s.io"
NEVER_APPLIED = frozenset({"secrets", "serviceaccounts"})
RESERVED = frozenset({"release", "holds", "incidents"})
"""First parts of asset keys that are no services."""


def check(entries: Entries) -> Iterator[Fault]:
    """Every contradiction; nothing where the catalog is sound."""
    yield from _names(entries)
    yield from _repositories(entries)
    yield from _services(entries)
    yield from _environments(entries)
    yield from _retention(entries)


def _names(entries: Entries) -> Iterator[Fault]:
    for section, names in entries.names.items():
        for name in names:
            if not NAME.fullmatch(name):
                yield (section, name), f"{name!r} is no name; {NAME_RULE}"
            elif section == "services" and name in RESERVED:
                yield (section, name), f"{name!r} is a name of the platform's own; choose another"


def _retention(entries: Entries) -> Iterator[Fault]:
    """What a soak counts is not removed under it."""
    kept = entries.retention.heartbeats
    for name, environment in entries.environments.items():
        soak = environment.soak
        reach = soak.earned_for + max(soak.standard, soak.critical) + timedelta(days=1)
        if kept < reach:
            words = f"is shorter than the {spelled(reach)} that the soak of {name!r} looks back"
            yield ("retention", "heartbeats"), words


def _repositories(entries: Entries) -> Iterator[Fault]:
    projects = {name: entry.project for name, entry in entries.repositories.items()}
    yield from _twice("repositories", "project", projects)


def _services(entries: Entries) -> Iterator[Fault]:
    known = entries.names["services"]
    images, workloads = {}, {}
    for name, entry in entries.services.items():
        way: Way = ("services", name)
        if entry.repository not in entries.names["repositories"]:
            hint = nearest(entry.repository, entries.names["repositories"])
            yield (*way, "repository"), f"there is no repository {entry.repository!r}; {hint}"
        for index, other in enumerate(entry.depends_on):
            if other not in known:
                hint = nearest(other, known)
                yield (*way, "depends_on", index), f"there is no service {other!r}; {hint}"
        yield from _paths(way, entry)
        yield from _applied(way, entry)
        yield from of_service(way, entry, entries)
        images[name] = image_of(name, entry, entries.repositories)
        workloads[name] = f"{entry.kind.value} {entry.workload or name}"
    yield from _twice("services", "image", images)
    yield from _twice("services", "workload", workloads)
    needs = {name: entry.depends_on for name, entry in entries.services.items()}
    for cycle in _cycles(needs):
        yield ("services", cycle[0], "depends_on"), f"goes in a circle: {' → '.join(cycle)}"


def image_of(name: str, entry: ServiceEntry, repositories: Mapping[str, RepositoryEntry]) -> str:
    """The service's registry path: its own, or GitLab's `group/project/image`."""
    if entry.image:
        return entry.image
    repository = repositories.get(entry.repository)
    return f"{repository.project}/{name}".lower() if repository else name


def _paths(way: Way, entry: ServiceEntry) -> Iterator[Fault]:
    seen = {entry.path}
    for index, path in enumerate(entry.shared_paths):
        if path in seen:
            yield (*way, "shared_paths", index), f"{path!r} is named twice"
        seen.add(path)


def _applied(way: Way, entry: ServiceEntry) -> Iterator[Fault]:
    """What is named here becomes a right of the platform's."""
    if entry.applies and entry.kind is not Kind.MANIFESTS:
        yield (
            (*way, "applies"),
            f"is for kind 'manifests', and this is of kind {entry.kind.value!r}",
        )
    for index, name in enumerate(entry.applies):
        plural, _, group = name.partition(".")
        if (not group and plural in NEVER_APPLIED) or group == RBAC:
            words = f"{name!r} would let the platform read secrets or give itself rights"
            yield (*way, "applies", index), f"{words}; leave it to people or another controller"


def _environments(entries: Entries) -> Iterator[Fault]:
    known = entries.names["environments"]
    places = {
        name: f"{entry.namespace} on {entry.context or 'the current context'}"
        for name, entry in entries.environments.items()
    }
    yield from _twice("environments", "namespace", places)
    for name, entry in entries.environments.items():
        way: Way = ("environments", name)
        if entry.upstream is not None and entry.upstream not in known:
            hint = nearest(entry.upstream, known)
            yield (*way, "upstream"), f"there is no environment {entry.upstream!r}; {hint}"
        if (entry.ref.branch is None) == (entry.ref.tag is None):
            yield (*way, "ref"), "needs one of 'branch: NAME' and 'tag: vX.Y.Z'"
        yield from _gates(way, entry)
        yield from _health(way, entry)
        yield from of_environment(way, entry, entries.names["repositories"])
        for index, freeze in enumerate(entry.freezes):
            yield from _freeze((*way, "freezes", index), freeze)
    needs = {n: (e.upstream,) if e.upstream else () for n, e in entries.environments.items()}
    for cycle in _cycles(needs):
        yield ("environments", cycle[0], "upstream"), f"goes in a circle: {' → '.join(cycle)}"


def _gates(way: Way, entry: EnvironmentEntry) -> Iterator[Fault]:
    """A rule that no gate asks for would protect nothing, and nobody would see it."""
    gates = entry.gates
    soak = max(entry.soak.standard, entry.soak.critical)
    rules: Sequence[tuple[GateName, str, bool]] = (
        (GateName.SOAK, "soak", soak > timedelta(0)),
        (GateName.APPROVALS, "approvals", entry.approvals.count > 0),
        (GateName.FREEZE, "freezes", bool(entry.freezes)),
    )
    for gate, name, given in rules:
        if given and gate not in gates:
            yield (*way, name), f"is never asked for: add {gate.value!r} to the gates"
    if GateName.APPROVALS in gates and entry.approvals.count == 0:
        yield (*way, "gates"), "'approvals' is required, but approvals.count is 0"
    if entry.approvals.count and not entry.approvals.group:
        yield (*way, "approvals"), "needs the GitLab group whose members count"
    for gate in (GateName.SOAK, GateName.UPSTREAM_HEALTHY):
        if gate in gates and entry.upstream is None:
            yield (*way, "gates"), f"{gate.value!r} needs an upstream environment"
    if GateName.TAG_UNMOVED in gates and entry.ref.tag is None:
        yield (*way, "gates"), "'tag_unmoved' needs 'ref: {tag: vX.Y.Z}'"
    for gate in sorted({gate for gate in gates if gates.count(gate) > 1}):
        yield (*way, "gates"), f"{gate.value!r} is named twice"


def _health(way: Way, entry: EnvironmentEntry) -> Iterator[Fault]:
    rule = entry.health
    if min(rule.timeout, rule.look_every, entry.rollout_timeout) <= timedelta(0):
        yield (*way, "health"), "timeouts and look_every are longer than 0s"
    if rule.heartbeat < rule.look_every:
        yield (*way, "health", "heartbeat"), "is shorter than look_every: it could not be kept"


def _freeze(way: Way, freeze: FreezeEntry) -> Iterator[Fault]:
    recurring = (freeze.start, freeze.duration)
    dated = (freeze.first_day, freeze.until)
    if not _one_of(recurring, dated):
        yield way, "needs either 'start' and 'duration' or 'first_day' and 'until'"
    if freeze.start is not None and not (
        len(freeze.start.split()) == 5 and croniter.is_valid(freeze.start)
    ):
        yield (*way, "start"), f"{freeze.start!r} is no cron expression of five fields"
    if freeze.duration is not None and freeze.duration <= timedelta(0):
        yield (*way, "duration"), "is longer than 0s"
    if freeze.first_day and freeze.until and freeze.until < freeze.first_day:
        yield (*way, "until"), "lies before first_day"
    if not _zone_exists(freeze.zone):
        hint = nearest(freeze.zone, available_timezones())
        yield (*way, "zone"), f"there is no time zone {freeze.zone!r}; {hint}"


def _one_of(one: tuple[object, object], other: tuple[object, object]) -> bool:
    """All of one and nothing of the other."""
    given = [[value is not None for value in pair] for pair in (one, other)]
    return sorted(given) == [[False, False], [True, True]]


def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _twice(section: str, what: str, values: Mapping[str, str]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for name, value in values.items():
        if value in first:
            yield (section, name, what), f"{value!r} is that of {first[value]!r} too"
        first.setdefault(value, name)


def _cycles(needs: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Circles of dependencies, each once, as the names on the way round."""
    left = {name: set(others) for name, others in needs.items()}
    while True:
        try:
            tuple(TopologicalSorter(left).static_order())
        except CycleError as error:
            way: list[str] = list(reversed(error.args[1]))
            yield tuple(way)
            left[way[0]].discard(way[1])
        else:
            return
