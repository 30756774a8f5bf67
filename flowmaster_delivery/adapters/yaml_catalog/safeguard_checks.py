"""What must hold of safeguards: a rule that could never judge would protect nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from flowmaster_delivery.adapters.yaml_catalog.documents import Way
from flowmaster_delivery.adapters.yaml_catalog.entries import Entries, Fault
from flowmaster_delivery.adapters.yaml_catalog.safeguards import SafeguardsEntry
from flowmaster_delivery.adapters.yaml_catalog.schema import EnvironmentEntry, ServiceEntry
from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.errors import nearest
from flowmaster_delivery.model.verification import SUITES, Validation


def of_service(way: Way, entry: ServiceEntry, entries: Entries) -> Iterator[Fault]:
    for index, name in enumerate(entry.migrations):
        job = entries.services.get(name)
        if name not in entries.names["services"]:
            hint = nearest(name, entries.names["services"])
            yield (*way, "migrations", index), f"there is no service {name!r}; {hint}"
        elif job and job.kind is not Kind.JOB:
            yield (*way, "migrations", index), f"{name!r} is of kind {job.kind}, and no job"
    for index, test in enumerate(entry.smoke):
        if bool(test.steps) == bool(test.image):
            yield (*way, "smoke", index), "needs either 'steps' or an 'image'"
    for name, own in entry.safeguards.items():
        if name not in entries.names["environments"]:
            hint = nearest(name, entries.names["environments"])
            yield (*way, "safeguards", name), f"there is no environment {name!r}; {hint}"
        elif environment := entries.environments.get(name):
            yield from _measured((*way, "safeguards", name), own, environment)


def of_environment(
    way: Way, entry: EnvironmentEntry, repositories: Sequence[str]
) -> Iterator[Fault]:
    yield from _measured(way, entry, entry)
    if entry.suites and entry.suites.repository not in repositories:
        name = entry.suites.repository
        hint = nearest(name, repositories)
        yield (*way, "suites", "repository"), f"there is no repository {name!r}; {hint}"
    if entry.override:
        for index, gate in enumerate(entry.override.gates):
            if gate not in entry.gates:
                yield (*way, "override", "gates", index), f"{gate.value!r} is not asked for here"
    if entry.hotfix and entry.upstream is None:
        yield (*way, "hotfix"), "shortens a soak, and there is no upstream environment to soak in"


def _measured(way: Way, own: SafeguardsEntry, environment: EnvironmentEntry) -> Iterator[Fault]:
    """What needs figures or pipelines that the environment says nothing of; times that are none."""
    over = own.rollback
    for name, window in (("error_rate", over.error_rate.window), ("latency", over.latency.window)):
        if window <= timedelta(0):
            yield (*way, "rollback", name, "window"), "must be longer than 0s"
    if own.performance.window <= timedelta(0):
        yield (*way, "performance", "window"), "must be longer than 0s"
    if Validation.PERFORMANCE in own.validation and environment.metrics is None:
        yield (*way, "validation"), "'performance' needs the environment's metrics: url: …"
    if own.canary and own.canary.enabled:
        if environment.metrics is None:
            yield (*way, "canary"), "needs the environment's metrics: url: …, to judge it by"
        if min(own.canary.window, own.canary.look_every) <= timedelta(0):
            yield (*way, "canary"), "window and look_every are longer than 0s"
    for suite in SUITES:
        if suite in own.validation and environment.suites is None:
            yield (*way, "validation"), f"{suite.value!r} needs the environment's suites: …"
