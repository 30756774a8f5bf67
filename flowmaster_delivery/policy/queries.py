"""Queries: each figure in PromQL, of exactly the pods that are meant.

Pods are told apart by their template, as a Deployment names them `<workload>-<hash>-<suffix>`;
those of a template are asked for whether they still run or not. Every part is grouped by pod, so
what is asked of all services at once can be told apart afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from flowmaster_delivery.model.analysis import Figure, MetricsRule
from flowmaster_delivery.model.rollout import Pod

SUFFIX = "[a-z0-9]+"
"""What the cluster puts behind the template's hash."""
QUANTILE = 0.95
BY_POD = ("pod",)
BY_BUCKET = ("pod", "le")
BY_CONTAINER = ("pod", "container")

SPECIAL = re.compile(r"[.+*?()|\[\]{}^$\\]")
OF_CONTAINERS = {"container": '!=""'}
"""cAdvisor counts whole pods too, as a container without a name."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for one figure: `parts` as they are sent, and `whole`, one expression that
    comes to the same value, for people to ask again."""

    parts: tuple[str, ...]
    whole: str


def prefixes(pods: Iterable[Pod]) -> tuple[str, ...]:
    """`<workload>-<template hash>-` of each template; the name of a pod that shows none."""
    return tuple(sorted({_prefix(pod) for pod in pods}))


def of_pods(
    rule: MetricsRule, namespace: str, pods: Iterable[str], figure: Figure, window: timedelta
) -> Query:
    """A figure of the pods with these prefixes, and of no other. There must be one at least."""
    pattern = "|".join(_pattern(prefix) for prefix in pods)
    return _query(rule, {"namespace": _is(namespace), "pod": f"=~{_text(pattern)}"}, figure, window)


def of_fleet(rule: MetricsRule, namespace: str, figure: Figure, window: timedelta) -> Query:
    """A figure of all pods of a namespace: as many queries whatever the number of services."""
    return _query(rule, {"namespace": _is(namespace), "pod": '!=""'}, figure, window)


def _query(rule: MetricsRule, where: Mapping[str, str], figure: Figure, window: timedelta) -> Query:
    """`where` leads from a label to its operator and text."""
    where = {**{label: _is(value) for label, value in rule.labels.items()}, **where}
    match figure:
        case Figure.ERROR_RATE:
            return _error_rate(rule, where, window)
        case Figure.LATENCY_P95:
            counts = f"increase({_select(f'{rule.duration}_bucket', where, window)})"
            whole = f"histogram_quantile({QUANTILE}, sum by (le) ({counts}))"
            return Query((_grouped("sum", BY_BUCKET, counts),), whole)
        case Figure.CPU:
            used = f"rate({_select(rule.cpu, {**where, **OF_CONTAINERS}, window)})"
            return _share(rule, where, _grouped("sum", BY_CONTAINER, used), "cpu")
        case Figure.MEMORY:
            used = _select(rule.memory, {**where, **OF_CONTAINERS})
            return _share(rule, where, _grouped("max", BY_CONTAINER, used), "memory")


def _error_rate(rule: MetricsRule, where: Mapping[str, str], window: timedelta) -> Query:
    """No series of failures beside requests means that none failed."""
    requests = f"increase({_select(rule.requests, where, window)})"
    of_failures = {**where, rule.code: '=~"5.."'}
    failed = f"increase({_select(rule.requests, of_failures, window)})"
    parts = (_grouped("sum", BY_POD, requests), _grouped("sum", BY_POD, failed))
    return Query(parts, f"(sum({failed}) or vector(0)) / sum({requests})")


def _share(rule: MetricsRule, where: Mapping[str, str], used: str, resource: str) -> Query:
    of_resource = {**where, "resource": _is(resource)}
    limit = _grouped("max", BY_CONTAINER, _select(rule.limits, of_resource))
    return Query((used, limit), f"max({used} / {limit})")


def _grouped(aggregate: str, labels: Iterable[str], inner: str) -> str:
    return f"{aggregate} by ({', '.join(labels)}) ({inner})"


def _select(name: str, where: Mapping[str, str], window: timedelta | None = None) -> str:
    matchers = ",".join(f"{label}{matcher}" for label, matcher in where.items())
    span = f"[{int(window.total_seconds())}s]" if window is not None else ""
    return f"{name}{{{matchers}}}{span}"


def _prefix(pod: Pod) -> str:
    """The cluster shortens the names of pods with long ones: then the hash may be cut off."""
    template = pod.name.rpartition("-")[0]
    known = pod.template_hash and template.endswith(f"-{pod.template_hash}")
    return f"{template}-" if known else pod.name


def _pattern(prefix: str) -> str:
    """Nothing in a name is a wildcard."""
    name = SPECIAL.sub(r"\\\g<0>", prefix)
    return name + SUFFIX if prefix.endswith("-") else name


def _is(value: str) -> str:
    return f"={_text(value)}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
