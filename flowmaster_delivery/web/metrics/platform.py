"""What the server tells: Dagster's loops, sensors and runs, incidents, holds, webhooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowmaster_delivery.model.condition import Condition
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.pulse import RunSeen
from flowmaster_delivery.policy.submission import Purpose
from flowmaster_delivery.web.fresh import Fresh
from flowmaster_delivery.web.hints import Hints

STATES = ("not_started", "queued", "starting", "started", "canceling")
USUAL = (202, 401)
"""Answers to webhooks that are told before there was one."""
NONE = "none"
"""The environment of a run that names none of the catalog's, the purpose of one that has none."""


class PlatformMetrics(Collector):
    """Collected at each scrape. Where the database gives no answer, `flowmaster_storage_up` is 0
    and what is in it is not told: old figures would look like new ones."""

    def __init__(
        self,
        environments: Iterable[str],
        watch_apart: bool,
        condition: Fresh[Condition],
        launching: Fresh[object],
        hints: Hints,
        webhooks: Mapping[int, int],
        token_expires: Callable[[], date | None],
        now: Callable[[], datetime],
    ) -> None:
        self._environments, self._watch_apart = tuple(environments), watch_apart
        self._condition, self._launching = condition, launching
        self._hints, self._webhooks = hints, webhooks
        self._token_expires, self._now = token_expires, now

    def collect(self) -> Iterator[Metric]:
        yield from self._of_the_server()
        yield _gauge(
            "launching_up", "1 where a run could be launched now.", _answers(self._launching)
        )
        try:
            condition = self._condition.get()
        except DeliveryError:
            yield _gauge("storage_up", "1 where the database gives an answer.", 0)
            return
        yield _gauge("storage_up", "1 where the database gives an answer.", 1)
        yield from _of_daemons(condition)
        yield from _of_sensors(condition)
        yield from self._of_runs(condition)
        yield from self._of_people(condition)

    def _of_the_server(self) -> Iterator[Metric]:
        webhooks = CounterMetricFamily(
            "flowmaster_webhooks", "Webhooks by the answer that they got.", labels=["code"]
        )
        # From 0 on, so that the first ones are an increase.
        for code, count in sorted({**dict.fromkeys(USUAL, 0), **self._webhooks}.items()):
            webhooks.add_metric([str(code)], count)
        yield webhooks
        yield _gauge(
            "hints_waiting", "Refs that a webhook named and that wait.", self._hints.waiting
        )
        yield _gauge("hints_capacity", "How many may wait.", self._hints.capacity)
        expected = dict.fromkeys(self._environments, float(self._watch_apart))
        what = "1 where a process of the watch must be there, 0 where a sensor does its work."
        yield _family("watch_expected", what, ("environment",), _keyed(expected))
        expires = self._token_expires()
        if expires is not None:
            at = datetime.combine(expires, time.min, UTC).timestamp()
            what = "When GitLab takes the platform's token no more; absent where it is not known."
            yield _gauge("gitlab_token_expiry_timestamp_seconds", what, at)

    def _of_runs(self, condition: Condition) -> Iterator[Metric]:
        count = Counter((self._place(run), run.state) for run in condition.active_runs)
        yield _family(
            "runs",
            "Runs that are not over.",
            ("environment", "state"),
            (((e, s), count[e, s]) for e in self._places() for s in STATES),
        )
        now = self._now()
        oldest = dict.fromkeys(self._places(), 0.0)
        for run in condition.active_runs:
            if run.state == "queued":
                place = self._place(run)
                oldest[place] = max(oldest[place], (now - run.since).total_seconds())
        what = "How long the oldest run in the queue has waited; 0 where none waits."
        yield _family("runs_queued_age_seconds", what, ("environment",), _keyed(oldest))
        failed = Counter((self._place(run), _purpose(run)) for run in condition.failed_runs)
        purposes = (*Purpose, NONE)
        yield _family(
            "runs_failed_last_hour",
            "Runs that failed within the last hour, refused ones included.",
            ("environment", "purpose"),
            (((e, str(p)), failed[e, str(p)]) for e in self._places() for p in purposes),
        )

    def _of_people(self, condition: Condition) -> Iterator[Metric]:
        incidents = (
            ((e, str(s)), condition.incidents.get((e, s), 0))
            for e in self._environments
            for s in IncidentState
        )
        what = "Of the newest incidents, those in each state."
        yield _family("incidents", what, ("environment", "state"), incidents)
        held = {e: float(e in condition.held) for e in self._environments}
        what = "1 where an environment is held as a whole: nothing in it acts by itself."
        yield _family("environment_held", what, ("environment",), _keyed(held))
        holds = {e: condition.holds.get(e, 0) for e in self._environments}
        yield _family("holds", "Holds that stand.", ("environment",), _keyed(holds))

    def _places(self) -> tuple[str, ...]:
        return (*self._environments, NONE)

    def _place(self, run: RunSeen) -> str:
        return run.environment if run.environment in self._environments else NONE


def _of_daemons(condition: Condition) -> Iterator[Metric]:
    beats = {one.name: _seconds(one.at) for one in condition.daemons}
    what = "When each loop of the daemon left its last heartbeat; 0 where it left none."
    yield _family("daemon_heartbeat_timestamp_seconds", what, ("loop",), _keyed(beats))


def _of_sensors(condition: Condition) -> Iterator[Metric]:
    label, sensors = ("sensor",), condition.sensors
    yield _family(
        "sensor_last_tick_timestamp_seconds",
        "When the last tick began that came to its end well; 0 where none has.",
        label,
        _keyed({one.name: _seconds(one.ticked) for one in sensors}),
    )
    every = {one.name: one.every.total_seconds() for one in sensors}
    yield _family("sensor_interval_seconds", "Between two ticks.", label, _keyed(every))
    running = {one.name: float(one.running) for one in sensors}
    yield _family("sensor_running", "0 where a person stopped it.", label, _keyed(running))
    failing = {one.name: float(one.failing) for one in sensors}
    yield _family("sensor_failing", "1 where its last tick failed.", label, _keyed(failing))


def _purpose(run: RunSeen) -> str:
    return run.purpose if run.purpose in set(Purpose) else NONE


def _answers(asked: Fresh[object]) -> float:
    try:
        asked.get()
    except DeliveryError:
        return 0
    return 1


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _keyed(values: Mapping[str, float]) -> Iterator[tuple[Sequence[str], float]]:
    return (((name,), value) for name, value in values.items())


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"flowmaster_{name}", what, value=value)


def _family(
    name: str, what: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    made = GaugeMetricFamily(f"flowmaster_{name}", what, labels=labels)
    for key, value in values:
        made.add_metric(key, value)
    return made
