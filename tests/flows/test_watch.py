"""The watch: what it records, what it acts on, and what it leaves to people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.analysis import Figure
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.promotion import EVERY_SERVICE
from flowmaster_delivery.model.rollback import Trigger
from tests.flows.watch_world import LOOK, NAMES, A, B, C, World


@pytest.fixture
def world() -> World:
    return World()


def test_the_third_failure_in_a_row_rolls_back_in_the_same_look(world: World) -> None:
    world.look()
    world.breaks("api")
    world.look(2)
    assert world.incidents == ()
    world.look()
    (incident,) = world.incidents
    assert incident.state is IncidentState.ROLLING_BACK
    world.act()
    (incident,) = world.incidents
    assert (incident.state, incident.trigger) == (IncidentState.ROLLED_BACK, Trigger.HEALTH)
    assert world.runs() == B
    assert "3 looks in a row failed: pod api-new answered 503" in incident.reason


def test_a_look_waits_for_no_rollback_and_begins_none_twice(world: World) -> None:
    world.breaks("api")
    world.look(6)
    assert len(world.spawned) == 1
    assert len(world.incidents) == 1


def test_two_failures_and_a_good_look_are_no_case(world: World) -> None:
    world.breaks("api")
    world.look(2)
    world.cluster.answers.clear()
    world.look()
    world.breaks("api")
    world.look(2)
    assert world.incidents == ()


def test_the_count_survives_a_restart(world: World) -> None:
    world.breaks("api")
    world.look(2)
    world.watch = world.a_watch()
    world.look()
    assert len(world.incidents) == 1


def test_looks_that_could_not_be_made_never_count(world: World) -> None:
    world.look()
    world.cluster.answers["api"] = Unreachable("the API server is away")
    world.look(20)
    world.cluster.failing["workloads"] = [Unreachable("gone")] * 20
    world.look(20)
    assert world.incidents == ()


def test_what_failed_during_its_rollout_does_not_count(world: World) -> None:
    """Two looks fail while the run is still at it; the third comes after its end."""
    world.look()
    world.cluster.deploy(world.services[0], world.catalog.reference(world.services[0], C))
    world.breaks("api")
    world.look(2)
    world.brought("api", C, "v1.2.0")
    world.look()
    assert world.incidents == ()
    world.look(5)
    assert [incident.from_digest for incident in world.incidents] == [C]


def test_what_is_still_on_its_way_is_nobodys_case(world: World) -> None:
    world.look()
    world.cluster.deploy(world.services[0], world.catalog.reference(world.services[0], C))
    world.breaks("api")
    world.look(10)
    assert world.incidents == ()


def test_a_deployment_that_is_gone_goes_back_to_nothing(world: World) -> None:
    world.look()
    del world.cluster.deployments["api"]
    world.look(5)
    assert world.incidents == ()
    assert world.history.observations("api", "production")[0].state is HealthState.MISSING


def test_when_more_than_its_share_fails_the_environment_is_held_and_nothing_rolled_back(
    world: World,
) -> None:
    world.breaks("api", "auth")
    world.look(8)
    assert world.spawned == []
    (incident,) = world.incidents
    assert (incident.state, incident.services) == (IncidentState.LEFT, ("api", "auth"))
    assert "2 of 5 services fail at once: api, auth" in incident.reason
    (hold,) = world.history.holds()
    assert (hold.service, hold.id) == (EVERY_SERVICE, incident.id)
    assert world.told() == ["environment_ill"]


def test_while_it_is_held_nothing_acts_by_itself_and_the_no_is_told_once(world: World) -> None:
    world.breaks("api", "auth")
    world.look(4)
    del world.cluster.answers["auth"]
    world.look(20)
    assert world.spawned == []
    assert world.told() == ["environment_ill", "incident_opened"]


def test_a_single_blip_of_many_is_no_illness(world: World) -> None:
    world.look()
    world.breaks(*NAMES)
    world.look(2)
    world.cluster.answers.clear()
    world.look()
    assert world.history.holds() == ()


def test_errors_over_the_limit_roll_back_with_the_figure_as_evidence(world: World) -> None:
    world.metrics.tell("api-", requests=1_000, error_rate=0.08)
    world.look()
    world.act()
    (incident,) = world.incidents
    assert (incident.trigger, incident.state) == (Trigger.ERROR_RATE, IncidentState.ROLLED_BACK)
    (judged,) = incident.judgements
    assert judged.measurement.value == pytest.approx(0.08)
    assert judged.measurement.query
    assert world.runs() == B


def test_errors_below_the_limit_do_nothing(world: World) -> None:
    world.metrics.tell("api-", requests=1_000, error_rate=0.04)
    world.look(5)
    assert world.incidents == ()


def test_a_metrics_server_that_is_away_rolls_nothing_back_and_health_decides_still(
    world: World,
) -> None:
    world.metrics.fails = Unreachable("no answer")
    world.look(5)
    assert world.incidents == ()
    world.breaks("api")
    world.look(3)
    assert [incident.trigger for incident in world.incidents] == [Trigger.HEALTH]


def test_a_service_twice_as_slow_as_when_it_was_verified_asks_once(world: World) -> None:
    world.verified("api", A, 0.1, Figure.LATENCY_P95)
    world.metrics.tell("api-", requests=1_000, p95=0.9)
    world.look(10)
    (incident,) = world.incidents
    assert (incident.state, incident.trigger) == (IncidentState.ASKED, Trigger.LATENCY)
    assert world.told() == ["rollback_asked"]
    assert world.spawned == []
    (judged,) = incident.judgements
    assert judged.baseline is not None
    assert judged.baseline.value == pytest.approx(0.1)


def test_a_verified_image_without_figures_is_measured_once_and_compared_with_that(
    world: World,
) -> None:
    world.verified("api", A, 0.1, Figure.CPU)
    world.metrics.tell("api-", requests=1_000, p95=0.05)
    world.look(3)
    known = world.history.verifications("api", "production")
    assert [len(one.figures) for one in known] == [1, 1]
    assert known[0].figures[0].measurement.value == pytest.approx(0.05, rel=0.5)
    world.metrics.tell("api-", p95=0.9)
    world.look()
    assert [incident.state for incident in world.incidents] == [IncidentState.ASKED]


def test_without_a_verified_period_slowness_is_not_judged(world: World) -> None:
    world.metrics.tell("api-", requests=1_000, p95=5.0)
    world.look(5)
    assert world.incidents == ()


def test_at_the_deadline_it_is_told_louder_and_nothing_else(world: World) -> None:
    world.verified("api", A, 0.1, Figure.LATENCY_P95)
    world.metrics.tell("api-", requests=1_000, p95=0.9)
    world.look(120)
    assert world.told() == ["rollback_asked", "rollback_escalated"]
    assert world.spawned == []


def test_what_is_asked_about_and_then_breaks_does_not_wait_for_the_answer(world: World) -> None:
    world.verified("api", A, 0.1, Figure.LATENCY_P95)
    world.metrics.tell("api-", requests=1_000, p95=0.9)
    world.look()
    world.breaks("api")
    world.look(3)
    (incident,) = world.incidents
    assert (incident.state, incident.trigger) == (IncidentState.ROLLING_BACK, Trigger.HEALTH)
    assert len(incident.judgements) == 1


def test_what_a_killed_process_left_is_carried_on_by_the_next(world: World) -> None:
    world.breaks("api")
    world.look(3)
    world.spawned.clear()
    world.watch = world.a_watch()
    world.look(6)
    world.act()
    (incident,) = world.incidents
    assert (incident.state, world.runs()) == (IncidentState.ROLLED_BACK, B)


def test_a_healthy_fleet_costs_a_heartbeat_and_nothing_else(world: World) -> None:
    for name in NAMES:
        world.metrics.tell(f"{name}-", requests=1_000, error_rate=0.0, p95=0.05)
    world.look()
    before = len(world.history.records)
    world.look(90)
    rows = len(world.history.records) - before
    assert rows == 3 * len(NAMES)
    assert rows / len(NAMES) * (86_400 / 1_800) * 29 * 3 < 15_000


def test_figures_of_all_services_cost_a_number_of_queries_that_does_not_grow(
    world: World,
) -> None:
    world.look()
    assert len(world.metrics.asked) == 3


def test_a_look_reads_no_history_of_single_services_while_all_is_well(world: World) -> None:
    for name in NAMES:
        world.verified(name, A, 0.1, Figure.LATENCY_P95)
    world.look()
    calls: list[str] = []
    for method in ("deployments", "verifications", "observations"):
        original = getattr(world.history, method)

        def counted(*given: object, _of: object = original, _name: str = method) -> object:
            calls.append(_name)
            return _of(*given)  # type: ignore[operator]

        setattr(world.history, method, counted)
    world.look(10)
    assert calls == []


def test_an_environment_that_cannot_be_looked_at_keeps_no_other_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = replace(world.environment, name="staging")
    places = {"staging": staging, "production": world.environment}
    watch = Watch(replace(world.catalog, environments=places), world.cluster.time.now)
    read = world.history.observations

    def away(service: str, environment: str, **more: object) -> tuple[HealthObservation, ...]:
        if environment == "staging":
            raise Unreachable("gone")
        return read(service, environment, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.history, "observations", away)
    world.cluster.time.sleep(LOOK.total_seconds())
    recorded, said = watch.look(world.ports, world.cluster.time.now())
    assert said == ["staging could not be looked at: gone"]
    assert recorded == len(world.services)


def test_what_cannot_be_tidied_up_is_said_and_keeps_no_look_from_the_record(world: World) -> None:
    world.cluster.failing["canaries"] = [Unreachable("gone")]
    world.cluster.time.sleep(LOOK.total_seconds())
    recorded, said = world.watch.look(world.ports, world.cluster.time.now())
    assert recorded > 0
    assert said == ["production: what is left half-done stays so: gone"]


def test_what_breaks_beside_the_watch_is_said_and_carried_on(world: World) -> None:
    def breaks() -> None:
        raise RuntimeError("a bug of ours")

    world.breaks("api")
    world.look(3)
    world.cluster.on_call["acquire"] = breaks
    world.act()
    (incident,) = world.incidents
    assert incident.state is IncidentState.ROLLING_BACK
    assert f"incident {incident.id}: RuntimeError: a bug of ours" in world.look()
    world.look(6)
    world.act()
    (incident,) = world.incidents
    assert (incident.state, world.runs()) == (IncidentState.ROLLED_BACK, B)
