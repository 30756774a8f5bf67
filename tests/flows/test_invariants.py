"""Whatever people, crashes, outages and bad images do, in whatever order, these hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flowmaster_delivery.flows.approval import approve
from flowmaster_delivery.flows.holds import release
from flowmaster_delivery.flows.incidents.people import Wish, by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.rollout import CHANGE_CAUSE
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.rollout import Workload
from flowmaster_delivery.model.source import Person
from flowmaster_delivery.policy.rollout import fence
from tests.fakes.away import FAR_ENDS, Outage
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.mortal import Process
from tests.flows.killing_promotion import RULE, VERSION, Run, Stage
from tests.flows.killing_rollback import sick_while_it_is_new, watch

KILLS = st.one_of(st.none(), st.tuples(st.integers(0, 330), st.booleans()))
"""Nowhere, or at a call, before or after its effect."""
SOFIA = Person(3, "sofia")


class WatchedCluster(FakeCluster):
    """Remembers for each image that was brought whether anybody had consented at that moment."""

    stage: Stage
    consented: bool = True
    against: list[str]

    def set_image(
        self,
        service: Service,
        reference: str,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        done = super().set_image(
            service, reference, resource_version=resource_version, annotations=annotations
        )
        forwards = str(annotations[CHANGE_CAUSE]).startswith("rollout")
        held = any(hold.active for hold in self.stage.platform.history.holds())
        if forwards and (held or not self.consented):
            self.against.append(f"{reference} was brought, held: {held}")
        return done


class Delivery(RuleBasedStateMachine):
    @initialize(canary=st.sampled_from([RULE, None]), bad=st.booleans())
    def begin(self, canary: object, bad: bool) -> None:
        cluster = WatchedCluster()
        cluster.against = []
        self.stage = Stage(bad, canary, cluster=cluster)  # type: ignore[arg-type]
        cluster.stage = self.stage
        self.cluster, self.runs, self.token = cluster, 0, 0
        self.well = self.cluster.answers

    def named(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def process(self, kill: tuple[int, bool] | None) -> Process:
        return Process(*kill) if kill else Process()

    @rule(kill=KILLS)
    def promotes(self, kill: tuple[int, bool] | None) -> None:
        with suppress(Killed, DeliveryError):
            Run(self.stage, self.named(), self.process(kill)).go()
        self.passes(60)

    @rule(kill=KILLS)
    def rolls_back(self, kill: tuple[int, bool] | None) -> None:
        run = Run(self.stage, self.named(), self.process(kill))
        with suppress(Killed, DeliveryError):
            incident = by_person(self.stage.api, self.stage.production, Wish(), run.work)
            record = carried_out(incident, run.work)
            run.ports.history.record(record)
            close(incident, record, run.work)
        self.passes(60)

    @rule(kill=KILLS, looks=st.integers(1, 6))
    def is_watched(self, kill: tuple[int, bool] | None, looks: int) -> None:
        with suppress(Killed):
            watch(self.stage, self.named(), self.process(kill), looks=looks)

    @rule()
    def turns_bad(self) -> None:
        self.cluster.answers = sick_while_it_is_new(self.stage)

    @rule()
    def is_mended(self) -> None:
        self.cluster.answers = self.well

    @rule(away=st.sampled_from([*((name,) for name in FAR_ENDS), FAR_ENDS]))
    def something_goes_away(self, away: tuple[str, ...]) -> None:
        self.stage.outage = Outage(away, self.cluster.time, seconds=300)

    @rule()
    def everything_is_back(self) -> None:
        self.stage.outage = None

    @precondition(lambda self: self.stage.outage is None)
    @rule(withdraw=st.booleans())
    def somebody_thinks_again(self, withdraw: bool) -> None:
        stage, now = self.stage, self.cluster.time.now()
        approve(
            stage.production, VERSION, SOFIA, stage.platform.catalog, stage.ports, now,
            withdraw=withdraw,
        )  # fmt: skip
        self.cluster.consented = not withdraw

    @precondition(lambda self: self.stage.outage is None)
    @rule()
    def holds_are_released(self) -> None:
        history, now = self.stage.platform.history, self.cluster.time.now()
        for hold in history.holds():
            if hold.active:
                release(hold.id, "sam", "mended", history, now)

    @rule(seconds=st.sampled_from([60, 600, 4_000]))
    def passes(self, seconds: float) -> None:
        """Staging is looked at all the while, and is well."""
        time, history = self.cluster.time, self.stage.platform.history
        last = history.observations("api", "staging", limit=1)[0]
        for _ in range(int(seconds // 600) + 1):
            time.sleep(min(seconds, 600))
            history.record(
                HealthObservation(
                    "api", "staging", HealthState.HEALTHY, last.digest, last.fingerprint, time.now()
                )
            )

    @invariant()
    def there_is_one_service_and_one_canary_at_most(self) -> None:
        assert set(self.cluster.deployments) <= {"api", "api-canary"}
        assert "api" in self.cluster.deployments

    @invariant()
    def it_runs_the_old_or_the_new_image_of_staging(self) -> None:
        stage = self.stage
        found = self.cluster.deployments["api"].images["api"].rpartition("@")[2]
        assert found in (stage.digest(stage.old), stage.digest(stage.new))

    @invariant()
    def tokens_only_grow(self) -> None:
        token = fence(self.cluster.deployments["api"])
        assert token >= self.token
        self.token = token

    @invariant()
    def nothing_was_brought_without_consent_or_against_a_hold(self) -> None:
        assert self.cluster.against == []

    def teardown(self) -> None:
        """When all is well again and the watch has looked, nothing is left half-done."""
        self.stage.outage = None
        self.cluster.answers = self.well
        self.passes(timedelta(hours=4).total_seconds())
        watch(self.stage, "last", Process(), looks=8)
        history, live = self.stage.platform.history, self.cluster.deployments["api"]
        assert set(self.cluster.deployments) == {"api"}
        states = {incident.state for incident in history.incidents("production")}
        assert IncidentState.ROLLING_BACK not in states
        seen = history.observations("api", "production", limit=1)[0]
        assert seen.digest == live.images["api"].rpartition("@")[2]


def test_whatever_happens_the_invariants_hold() -> None:
    run_state_machine_as_test(
        Delivery, settings=settings(max_examples=60, stateful_step_count=12, deadline=None)
    )
