"""The health watch: looks at all services of all environments, records changes and a heartbeat."""

import threading
from datetime import datetime

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from flowmaster_delivery.defs.resources import Platform
from flowmaster_delivery.flows.health import look_all
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.policy.health import worth_recording
from flowmaster_delivery.ports import History, Ports

Seen = dict[str, HealthObservation]
"""Service to an observation."""


class Watch:
    """What this process saw last, and recorded last, of each environment.

    A new process begins with what is on record.
    """

    def __init__(self, platform: Platform) -> None:
        self._catalog, self._now = platform.catalog, platform.now
        self._seen: dict[str, Seen] = {}
        self._recorded: dict[str, Seen] = {}
        self._looked: dict[str, datetime] = {}
        self._guard = threading.Lock()

    def look(self, ports: Ports, now: datetime) -> tuple[int, list[str]]:
        """Look where it is time to; how much was recorded, and which environments failed."""
        recorded, failures = 0, []
        with self._guard:
            for environment in self._catalog.environments.values():
                if not self._is_due(environment, now):
                    continue
                try:
                    recorded += self._look_at(environment, ports, now)
                except DeliveryError as error:
                    failures.append(f"{environment.name} could not be looked at: {error}")
        return recorded, failures

    def _is_due(self, environment: Environment, now: datetime) -> bool:
        last = self._looked.get(environment.name)
        return last is None or now - last >= environment.health.look_every

    def _look_at(self, environment: Environment, ports: Ports, now: datetime) -> int:
        name = environment.name
        known = self._recorded.setdefault(name, {}) or self._known(environment, ports.history)
        self._recorded[name] = known
        previous = self._seen.get(name, known)
        seen = look_all(environment, self._catalog, ports, previous=previous, now=self._now)
        self._looked[name] = now
        self._seen[name] = {observation.service: observation for observation in seen}
        news = [
            observation
            for observation in seen
            if worth_recording(
                known.get(observation.service),
                observation,
                environment.health.heartbeat,
                environment.health.failures_in_a_row,
            )
        ]
        for observation in news:
            ports.history.record(observation)
            known[observation.service] = observation
        return len(news)

    def _known(self, environment: Environment, history: History) -> Seen:
        found = {
            name: history.observations(name, environment.name, limit=1)
            for name in self._catalog.services
        }
        return {name: observations[0] for name, observations in found.items() if observations}


def health_sensor(platform: Platform, interval: int) -> SensorDefinition:
    watch = Watch(platform)

    @sensor(
        name="health_watch",
        minimum_interval_seconds=interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Health of every service in every environment: changes and a heartbeat.",
    )
    def health_watch(context: SensorEvaluationContext) -> SkipReason:
        recorded, failures = watch.look(platform.ports(platform.instance(context)), platform.now())
        for failure in failures:
            context.log.error(failure)
        return SkipReason("; ".join([f"{recorded} observations recorded", *failures]))

    return health_watch
