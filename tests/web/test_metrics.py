"""Metrics of the platform: what each scrape tells, and what it costs."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from flowmaster_delivery.flows.watch.vigil import Looked
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Hold
from flowmaster_delivery.model.pulse import DaemonBeat, RunSeen, SensorBeat
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.web import app as application
from flowmaster_delivery.web.app import metrics_of
from flowmaster_delivery.web.metrics.serving import a_registry, served
from flowmaster_delivery.web.metrics.watching import WatchMetrics
from tests.fakes.office import START, TOKEN, FakeOffice
from tests.programs import promtool

Samples = dict[str, float]
"""`name{label="value"}` to its value."""


def samples(registry: CollectorRegistry) -> Samples:
    text = generate_latest(registry).decode()
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _named(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


@pytest.fixture
def registry(office: FakeOffice) -> Iterator[CollectorRegistry]:
    made = a_registry("server")
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        made.register(metrics_of(client.app))  # type: ignore[arg-type]
        yield made


def an_incident(name: str, state: IncidentState) -> Incident:
    return Incident(
        name, "production", ("service-0",), Trigger.HEALTH, Action.ASK, state, START, START, "x"
    )


def a_hold(name: str, service: str, environment: str = "production") -> Hold:
    return Hold(name, service, environment, "sam", "x", START)


def test_the_parts_that_work_are_told_with_what_is_installed(registry: CollectorRegistry) -> None:
    found = samples(registry)
    assert found['flowmaster_up{part="server"}'] == 1
    assert found["flowmaster_storage_up"] == found["flowmaster_launching_up"] == 1
    (build,) = [name for name in found if name.startswith("flowmaster_build_info")]
    assert 'dagster="1.' in build
    assert 'version="0.' in build


def test_loops_and_sensors_are_told_by_when_they_last_came_round(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    half = timedelta(seconds=30)
    office.pulse.daemons_ = [DaemonBeat("SENSOR", START), DaemonBeat("SCHEDULER", None)]
    office.pulse.sensors_ = [
        SensorBeat("intake", True, half, START, failing=True),
        SensorBeat("ship", False, timedelta(seconds=3), None, failing=False),
        SensorBeat("of_long_ago", True, half, START, failing=False),
    ]
    found = samples(registry)
    beat = "flowmaster_daemon_heartbeat_timestamp_seconds"
    assert found[f'{beat}{{loop="SENSOR"}}'] == START.timestamp()
    assert found[f'{beat}{{loop="SCHEDULER"}}'] == 0
    tick = "flowmaster_sensor_last_tick_timestamp_seconds"
    assert found[f'{tick}{{sensor="intake"}}'] == START.timestamp()
    assert found[f'{tick}{{sensor="ship"}}'] == 0
    assert found['flowmaster_sensor_failing{sensor="intake"}'] == 1
    assert found['flowmaster_sensor_running{sensor="ship"}'] == 0
    assert found['flowmaster_sensor_interval_seconds{sensor="ship"}'] == 3
    assert not [name for name in found if "of_long_ago" in name]


def test_a_sensor_that_was_never_seen_is_told_as_one_that_never_ticked(
    registry: CollectorRegistry,
) -> None:
    found = samples(registry)
    assert found['flowmaster_sensor_last_tick_timestamp_seconds{sensor="health_watch"}'] == 0
    assert found['flowmaster_sensor_running{sensor="health_watch"}'] == 1


def test_runs_are_counted_by_environment_and_state_and_the_oldest_in_the_queue_is_told(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    minutes = timedelta(minutes=1)
    office.pulse.active = [
        RunSeen("queued", "production", "ship", START - 3 * minutes),
        RunSeen("queued", "production", "ship", START - 9 * minutes),
        RunSeen("started", "production", "ship", START - 60 * minutes),
        RunSeen("started", "gone", "", START),
    ]
    office.pulse.failed = [
        RunSeen("failure", "dev", "delivery", START - 5 * minutes),
        RunSeen("failure", "dev", "of another kind", START - 5 * minutes),
        RunSeen("failure", "dev", "delivery", START - 61 * minutes),
    ]
    found = samples(registry)
    assert found['flowmaster_runs{environment="production",state="queued"}'] == 2
    assert found['flowmaster_runs{environment="production",state="started"}'] == 1
    assert found['flowmaster_runs{environment="none",state="started"}'] == 1
    assert found['flowmaster_runs{environment="dev",state="queued"}'] == 0
    assert found['flowmaster_runs_queued_age_seconds{environment="production"}'] == 540
    assert found['flowmaster_runs_queued_age_seconds{environment="dev"}'] == 0
    failed = "flowmaster_runs_failed_last_hour"
    assert found[f'{failed}{{environment="dev",purpose="delivery"}}'] == 1
    assert found[f'{failed}{{environment="dev",purpose="none"}}'] == 1


def test_incidents_and_holds_are_counted_as_they_stand(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    for incident in (an_incident("a", IncidentState.ASKED), an_incident("b", IncidentState.ASKED)):
        office.history.record(incident)
    office.history.record(an_incident("b", IncidentState.LEFT))
    released = replace(a_hold("h1", "service-1"), released_at=START, released_by="sam")
    for hold in (a_hold("h0", "service-0"), released, a_hold("h2", EVERY_SERVICE, "dev")):
        office.history.record(hold)
    found = samples(registry)
    assert found['flowmaster_incidents{environment="production",state="asked"}'] == 1
    assert found['flowmaster_incidents{environment="production",state="left"}'] == 1
    assert found['flowmaster_incidents{environment="dev",state="asked"}'] == 0
    assert found['flowmaster_holds{environment="production"}'] == 1
    assert found['flowmaster_environment_held{environment="dev"}'] == 1
    assert found['flowmaster_environment_held{environment="production"}'] == 0


def test_webhooks_are_counted_by_their_answer(office: FakeOffice) -> None:
    registry = a_registry("server")
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        registry.register(metrics_of(client.app))  # type: ignore[arg-type]
        assert samples(registry)['flowmaster_webhooks_total{code="401"}'] == 0
        client.post("/webhooks/gitlab", json={}, headers={"x-gitlab-token": TOKEN})
        client.post("/webhooks/gitlab", json={}, headers={"x-gitlab-token": "wrong"})
        client.post("/webhooks/gitlab", json={}, headers={"x-gitlab-token": "wrong"})
        found = samples(registry)
    assert found['flowmaster_webhooks_total{code="202"}'] == 1
    assert found['flowmaster_webhooks_total{code="401"}'] == 2
    assert found["flowmaster_hints_waiting"] == 0
    assert found["flowmaster_hints_capacity"] == 1_000


def test_a_database_that_is_away_is_told_and_what_is_in_it_is_not(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    office.pulse.fails = Unreachable("gone")
    found = samples(registry)
    assert found["flowmaster_storage_up"] == 0
    assert found['flowmaster_up{part="server"}'] == 1
    assert not [name for name in found if name.startswith(("flowmaster_runs", "flowmaster_sensor"))]


def test_a_scrape_waits_for_no_database(
    office: FakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "CONDITION_PATIENCE", 0.01)
    answers = threading.Event()
    registry = a_registry("server")
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        registry.register(metrics_of(client.app))  # type: ignore[arg-type]
        office.pulse.before = lambda: _wait_for(answers)
        assert samples(registry)["flowmaster_storage_up"] == 0
        answers.set()


def _wait_for(event: threading.Event) -> None:
    assert event.wait(20)


def test_scrapes_in_a_row_cost_one_reading_and_nothing_of_gitlab_or_a_cluster(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    """The office's cluster fails the test when it is touched."""
    samples(registry)
    asked = office.pulse.asked
    calls = list(office.forge.calls)
    for _ in range(10):
        samples(registry)
    assert office.pulse.asked == asked
    assert office.forge.calls == calls


def test_where_no_launching_is_possible_that_is_told(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    office.launcher.broken = Unreachable("no code location")
    assert samples(registry)["flowmaster_launching_up"] == 0


def test_the_number_of_series_does_not_follow_services_or_runs(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    before = len(samples(registry))
    office.pulse.active = [
        RunSeen(f"state {n}", f"environment {n}", f"purpose {n}", START) for n in range(100)
    ]
    again = a_registry("server")
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        again.register(metrics_of(client.app))  # type: ignore[arg-type]
        assert len(samples(again)) == before
    assert before < 200


def test_prometheus_own_linter_has_nothing_to_say(registry: CollectorRegistry) -> None:
    text = generate_latest(registry) + generate_latest(a_watched_registry()[0])
    once = b"\n".join(_without_repeats(text.splitlines())) + b"\n"
    said = subprocess.run(
        [promtool(), "check", "metrics"], input=once, capture_output=True, timeout=30
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, b"")


def _without_repeats(lines: list[bytes]) -> Iterator[bytes]:
    """Both parts tell of themselves by the same names."""
    known: set[bytes] = set()
    for line in lines:
        if line.startswith(b"#") and line in known:
            continue
        known.add(line)
        if b'part="watch"' not in line:
            yield line


def test_metrics_are_served_on_a_port_of_their_own() -> None:
    with served(a_registry("watch"), "127.0.0.1", 0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert 'flowmaster_up{part="watch"} 1.0' in answer.text
    with served(a_registry("watch"), "127.0.0.1", None) as port:
        assert port is None


def a_watched_registry() -> tuple[CollectorRegistry, WatchMetrics]:
    registry = a_registry("watch")
    return registry, WatchMetrics(registry, ("production",))


def a_look(trouble: str = "", *, looking: bool = True, seconds: float = 2.0) -> Looked:
    states = {"api": HealthState.HEALTHY, "web": HealthState.HEALTHY, "db": HealthState.UNKNOWN}
    ended = START + timedelta(seconds=seconds)
    return Looked("production", START, ended, looking, trouble, states=states)


def test_a_watch_that_has_not_looked_yet_tells_so() -> None:
    registry, _ = a_watched_registry()
    found = samples(registry)
    assert found['flowmaster_watch_looking{environment="production"}'] == 0
    assert found['flowmaster_watch_last_success_timestamp_seconds{environment="production"}'] == 0
    looks = 'flowmaster_watch_looks_total{environment="production",outcome='
    assert (found[looks + '"seen"}'], found[looks + '"blind"}']) == (0, 0)


def test_a_look_tells_what_it_saw_and_how_long_it_took() -> None:
    registry, metrics = a_watched_registry()
    metrics.told(a_look())
    found = samples(registry)
    last = found['flowmaster_watch_last_success_timestamp_seconds{environment="production"}']
    assert last == START.timestamp() + 2
    assert found['flowmaster_services{environment="production",state="healthy"}'] == 2
    assert found['flowmaster_services{environment="production",state="degraded"}'] == 0
    took = "flowmaster_watch_look_duration_seconds"
    assert found[f'{took}_sum{{environment="production"}}'] == 2


def test_a_look_that_saw_nothing_is_no_success() -> None:
    registry, metrics = a_watched_registry()
    metrics.told(a_look())
    metrics.told(a_look("the cluster is away", seconds=30))
    found = samples(registry)
    last = found['flowmaster_watch_last_success_timestamp_seconds{environment="production"}']
    assert last == START.timestamp() + 2
    assert found['flowmaster_watch_looks_total{environment="production",outcome="blind"}'] == 1


def test_whoever_stands_by_tells_nothing_of_services() -> None:
    registry, metrics = a_watched_registry()
    metrics.told(a_look())
    metrics.told(a_look(looking=False))
    found = samples(registry)
    assert found['flowmaster_watch_looking{environment="production"}'] == 0
    assert not [name for name in found if name.startswith("flowmaster_services")]


def test_when_a_token_ends_is_told_where_it_is_known(
    office: FakeOffice, registry: CollectorRegistry
) -> None:
    name = "flowmaster_gitlab_token_expiry_timestamp_seconds"
    assert name not in samples(registry)
    knowing = a_registry("server")
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        knowing.register(metrics_of(client.app, lambda: date(2026, 12, 24)))  # type: ignore[arg-type]
        assert samples(knowing)[name] == 1_798_070_400
