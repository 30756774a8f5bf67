"""Measuring: figures of pods as the metrics server has them, and what they mean for their limits.

Nothing here raises for the server's trouble: a measurement says why it could not be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from flowmaster_delivery.model.analysis import (
    Figure,
    Judgement,
    Limit,
    Measurement,
    MetricsRule,
    Sample,
)
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import DeliveryError, Transient
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.policy.analysis import SHORTEST, judge, usable
from flowmaster_delivery.policy.figures import assigned, of_answers
from flowmaster_delivery.policy.queries import of_fleet, of_pods, prefixes
from flowmaster_delivery.ports import Ports


def measure(
    service: Service,
    environment: Environment,
    pods: Iterable[Pod],
    figure: Figure,
    window: timedelta,
    ports: Ports,
    now: datetime,
) -> Measurement:
    """One figure of exactly these pods' templates over the window that ends now.

    Without pods, or in a window too short, nothing is asked and there is no data.
    """
    look = _Look(environment, ports, now)
    return look.at({service.name: pods}, figure, window)[service.name]


def measure_fleet(
    environment: Environment,
    pods_by_service: Mapping[str, Sequence[Pod]],
    figure: Figure,
    window: timedelta,
    ports: Ports,
    now: datetime,
) -> Mapping[str, Measurement]:
    """One figure of many services: one or two queries, whatever their number."""
    return _Look(environment, ports, now).at(pods_by_service, figure, window)


def judgements(
    limits: Iterable[Limit],
    service: Service,
    environment: Environment,
    pods: Iterable[Pod],
    ports: Ports,
    now: datetime,
    *,
    beside: Iterable[Pod] = (),
    recorded: Mapping[Figure, Measurement] | None = None,
    window_from: datetime | None = None,
) -> tuple[Judgement, ...]:
    """Every limit judged by one measurement of these pods each.

    The baseline is what `beside` came to in the same window, or else the one on record. Windows
    begin at `window_from`, when the rollout was complete, at the earliest.
    """
    look = _Look(environment, ports, now)
    own, others = tuple(pods), tuple(beside)

    def of(which: Iterable[Pod], limit: Limit) -> Measurement:
        window = clipped(limit.window, window_from, now)
        return look.at({service.name: which}, limit.figure, window)[service.name]

    def baseline(limit: Limit) -> Measurement | None:
        known = (recorded or {}).get(limit.figure)
        found = of(others, limit) if others else None
        return found if found and (found.error or usable(found, limit) or not known) else known

    return tuple(
        judge(of(own, limit), limit, baseline(limit) if limit.times_baseline else None)
        for limit in limits
    )


def clipped(window: timedelta, window_from: datetime | None, now: datetime) -> timedelta:
    """As much of the window as lies after `window_from`, in whole seconds."""
    most = window if window_from is None else min(window, now - window_from)
    return timedelta(seconds=max(int(most.total_seconds()), 0))


class _Look:
    """Measurements of one moment. A server that was in trouble once is not waited for again."""

    def __init__(self, environment: Environment, ports: Ports, now: datetime) -> None:
        self._environment, self._ports, self._now = environment, ports, now
        self._trouble: Transient | None = None

    def at(
        self, pods: Mapping[str, Iterable[Pod]], figure: Figure, window: timedelta
    ) -> dict[str, Measurement]:
        """A figure by service; one service is asked for by its pods, many all at once."""
        blank = Measurement(figure, "", window, self._now)
        wanted = {service: prefixes(own) for service, own in pods.items()}
        measurements = dict.fromkeys(wanted, blank)
        known = {service: own for service, own in wanted.items() if own}
        if known and window >= SHORTEST:
            try:
                measurements |= self._measured(self._environment.measured_by(), known, blank)
            except DeliveryError as error:
                measurements |= dict.fromkeys(known, replace(blank, error=str(error)))
        return measurements

    def _measured(
        self, rule: MetricsRule, wanted: Mapping[str, tuple[str, ...]], blank: Measurement
    ) -> dict[str, Measurement]:
        namespace, figure, window = self._environment.namespace, blank.figure, blank.window
        queries = {
            service: of_pods(rule, namespace, own, figure, window)
            for service, own in wanted.items()
        }
        asked = of_fleet(rule, namespace, figure, window)
        if len(queries) == 1:
            asked = next(iter(queries.values()))
        named = {service: replace(blank, query=query.whole) for service, query in queries.items()}
        try:
            parts = [assigned(self._ask(part), wanted) for part in asked.parts]
        except DeliveryError as error:
            return {service: replace(one, error=str(error)) for service, one in named.items()}
        return {
            service: _filled(one, [part[service] for part in parts])
            for service, one in named.items()
        }

    def _ask(self, expression: str) -> tuple[Sample, ...]:
        if self._trouble is not None:
            raise self._trouble
        try:
            return self._ports.metrics(self._environment).query(expression, self._now)
        except Transient as error:
            self._trouble = error
            raise


def _filled(blank: Measurement, answers: Sequence[Sequence[Sample]]) -> Measurement:
    value, requests = of_answers(blank.figure, answers)
    return replace(blank, value=value, requests=requests)
