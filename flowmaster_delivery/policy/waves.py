"""Waves: which services roll out side by side, and in which order the groups follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from flowmaster_delivery.model.catalog import Service


def waves(
    services: Iterable[Service], known: Mapping[str, Service] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Names of the services, every dependency in an earlier wave than what depends on it.

    `known` are all services of the catalog: a dependency counts through services that are not
    selected, too. Each service stands in the earliest wave that it can. Within a wave the order is
    that of `services`. The catalog has no circles (its loader refuses them); graphlib.CycleError
    where it has.
    """
    selected = {service.name: service for service in services}
    every = {**(known or {}), **selected}
    needs = {name: [d for d in s.depends_on if d in every] for name, s in every.items()}
    depth: dict[str, int] = {}
    for name in TopologicalSorter(needs).static_order():
        depth[name] = max((depth[d] + (d in selected) for d in needs[name]), default=0)
    count = max((depth[name] for name in selected), default=-1) + 1
    return tuple(
        tuple(name for name in selected if depth[name] == number) for number in range(count)
    )
