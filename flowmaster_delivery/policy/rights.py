"""Which rights the platform needs on a cluster: those of the calls that it makes, and none besides.

The chart's Roles say the same. tests/contracts/test_rights.py derives them from the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowmaster_delivery.model.canary import Traffic
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.rights import Act, Right, Switches
from flowmaster_delivery.model.rollout import lease_name, watch_lease
from flowmaster_delivery.model.verification import Validation

CORE = ""
APPS = "apps"
BATCH = "batch"
LEASES = "coordination.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
ON_CLUSTER = (Kind.DEPLOYMENT, Kind.JOB, Kind.MANIFESTS)


def switches_of(environment: Environment, catalog: Catalog, *, inside: bool = True) -> Switches:
    """What decides the rights there; `inside` where the platform runs on the same cluster."""
    services = [s for s in catalog.services.values() if s.kind in ON_CLUSTER]
    kinds = {kind: [s for s in services if s.kind is kind] for kind in ON_CLUSTER}
    tried = [s for s in kinds[Kind.DEPLOYMENT] if environment.safeguards_of(s).canary]
    return Switches(
        workloads=tuple(s.workload_name for s in kinds[Kind.DEPLOYMENT]),
        leases=tuple(map(lease_name, (*(s.name for s in services), watch_lease(environment.name)))),
        canaries=tuple(s.canary.workload_name for s in tried),
        routed=tuple(s.canary.workload_name for s in tried if _may_be_routed(s, environment)),
        jobs=tuple(s.workload_name for s in kinds[Kind.JOB]),
        containers=any(_runs_containers(s, environment) for s in services),
        applies=tuple(sorted({a for s in kinds[Kind.MANIFESTS] for a in s.applies})),
        inside=inside,
    )


def rights_of(
    environment: Environment, catalog: Catalog, *, inside: bool = True
) -> tuple[Right, ...]:
    """Of whoever changes an environment: its runs and its watch, in its namespace."""
    return changing_rights(switches_of(environment, catalog, inside=inside))


def changing_rights(on: Switches) -> tuple[Right, ...]:
    """As `rights_of`, for what is switched on."""
    return gathered(
        (
            *_reading(),
            *_waiting(),
            *_leasing(on.leases),
            *_each(APPS, "deployments", ("patch",), (*on.workloads, *on.canaries)),
            *(() if on.inside else _each(CORE, "pods/proxy", ("get",))),
            *_canaries(on.canaries),
            *_routes(on.routed),
            *_jobs(on),
            *_manifests(on.applies),
        )
    )


def viewing_rights() -> tuple[Right, ...]:
    """Of the platform's server, in each environment's namespace: it reads what runs and which
    canaries there are (status, adopt, orders), and changes nothing."""
    return gathered(_reading())


def launching_rights() -> tuple[Right, ...]:
    """Of Dagster's daemon and webserver, in the release's own namespace: runs are Jobs there, which
    both create, look at and end."""
    return gathered(
        (
            *_each(BATCH, "jobs", ("create", "delete")),
            *_each(BATCH, "jobs/status", ("get",)),
            *_each(CORE, "pods", ("list", "delete")),
            *_each(CORE, "events", ("list",)),
        )
    )


def gathered(acts: Iterable[Act]) -> tuple[Right, ...]:
    """The fewest rights that allow the acts. What is allowed of every object names none."""
    wanted = set(acts)
    every = {(a.group, a.resource, a.verb) for a in wanted if not a.name}
    names: dict[tuple[str, str, str], list[str]] = {}
    for act in sorted(wanted):
        key = (act.group, act.resource, act.verb)
        named = names.setdefault(key, [])
        if key not in every:
            named.append(act.name)
    verbs: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, resource, verb), of in names.items():
        verbs.setdefault((group, resource, tuple(of)), []).append(verb)
    return tuple(sorted(Right(g, r, n, tuple(sorted(v))) for (g, r, n), v in verbs.items()))


def acts_of(rights: Iterable[Right]) -> frozenset[Act]:
    """What rights come to, one by one: to compare two sets of them."""
    return frozenset(
        Act(right.group, right.resource, verb, name)
        for right in rights
        for verb in right.verbs
        for name in right.names or ("",)
    )


def missing(needed: Iterable[Right], given: Iterable[Right]) -> tuple[Right, ...]:
    """What is needed and not given."""
    has = tuple(given)
    return gathered(a for a in acts_of(needed) if not any(right.allows(a) for right in has))


def excess(needed: Iterable[Right], given: Iterable[Right]) -> tuple[Right, ...]:
    """What is given and not needed."""
    return missing(given, needed)


def _may_be_routed(service: Service, environment: Environment) -> bool:
    rule = environment.safeguards_of(service).canary
    return rule is not None and rule.traffic is not Traffic.PODS


def _runs_containers(service: Service, environment: Environment) -> bool:
    asked = Validation.SMOKE in environment.safeguards_of(service).validation
    return asked and any(test.image for test in service.smoke)


def _reading() -> Iterator[Act]:
    yield from _each(APPS, "deployments", ("get", "list"))
    yield from _each(APPS, "replicasets", ("list",))
    yield from _each(CORE, "pods", ("list",))


def _waiting() -> Iterator[Act]:
    yield from _each(APPS, "deployments", ("watch",))
    yield from _each(CORE, "pods", ("watch",))


def _leasing(names: tuple[str, ...]) -> Iterator[Act]:
    """What is to be created has no name yet that a Role could know."""
    if names:
        yield from _each(LEASES, "leases", ("create",))
        yield from _each(LEASES, "leases", ("get", "update"), names)


def _canaries(names: tuple[str, ...]) -> Iterator[Act]:
    if names:
        yield from _each(APPS, "deployments", ("create",))
        yield from _each(APPS, "deployments", ("delete",), names)


def _routes(names: tuple[str, ...]) -> Iterator[Act]:
    """A canary by weights is reached through a Service of its own."""
    if names:
        yield from _each(CORE, "services", ("list", "create"))
        yield from _each(CORE, "services", ("get", "delete"), names)
        yield from _each(GATEWAY, "httproutes", ("get", "list", "patch"))


def _jobs(on: Switches) -> Iterator[Act]:
    """dagster-k8s starts the containers of smoke tests, and asks more than we do: it finds its Job
    in a list, copies the log, and tells of events where one failed."""
    if on.jobs or on.containers:
        yield from _each(BATCH, "jobs", ("get", "create"))
        yield from _each(BATCH, "cronjobs", ("get",), None if on.containers else on.jobs)
    if on.containers:
        yield from _each(BATCH, "jobs", ("list",))
        yield from _each(BATCH, "jobs/status", ("get",))
        yield from _each(CORE, "pods/log", ("get",))
        yield from _each(CORE, "events", ("list",))


def _manifests(applies: tuple[str, ...]) -> Iterator[Act]:
    for resource in applies:
        plural, _, group = resource.partition(".")
        yield from _each(group, plural, ("get", "create", "patch"))


def _each(
    group: str, resource: str, verbs: Iterable[str], names: tuple[str, ...] | None = None
) -> Iterator[Act]:
    """An act for each verb and name; of every object where names is None."""
    for verb in verbs:
        for name in ("",) if names is None else names:
            yield Act(group, resource, verb, name)
