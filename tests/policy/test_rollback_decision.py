"""What is to be done about a case, and the invariants that hold over any sequence of events."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Hold
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.rollback import (
    Case,
    Decision,
    Past,
    decide,
    incident_id,
    verified_before,
    what_brought,
)
from tests.builders import NOON

MINUTE = timedelta(minutes=1)
RULE = RollbackRule()


def a_record(digest: str, at: datetime = NOON - 60 * MINUTE, **fields: object) -> DeploymentRecord:
    given: dict[str, object] = {"method": Method.ROLLOUT, "outcome": Outcome.SUCCESS}
    record = DeploymentRecord(
        service="api",
        environment="production",
        method=Method.ROLLOUT,
        outcome=Outcome.SUCCESS,
        digest=digest,
        previous_digest=None,
        fingerprint="",
        commit="",
        started_at=at,
        finished_at=at,
        asked_by="sam",
        run_id="run-1",
    )
    return replace(record, **{**given, **fields})  # type: ignore[arg-type]


A, B = a_record("A", NOON - 120 * MINUTE), a_record("B")
PAST = Past((B, A), back=A)


def a_case(trigger: Trigger = Trigger.HEALTH, **fields: object) -> Case:
    case = Case("api", "production", trigger, "3 looks in a row failed", NOON - MINUTE, "B")
    return replace(case, **fields)  # type: ignore[arg-type]


def an_incident(state: IncidentState, **fields: object) -> Incident:
    incident = Incident(
        id=incident_id("api", "production", "B", B),
        environment="production",
        services=("api",),
        trigger=Trigger.HEALTH,
        action=Action.AUTOMATIC,
        state=state,
        opened_at=NOON - 10 * MINUTE,
        updated_at=NOON - 10 * MINUTE,
        reason="it failed",
    )
    return replace(incident, **fields)  # type: ignore[arg-type]


def a_hold(service: str = EVERY_SERVICE, environment: str = "production") -> Hold:
    return Hold("h1", service, environment, "sam", "it is on fire", NOON - MINUTE)


def of(case: Case, past: Past = PAST, rule: RollbackRule = RULE) -> Decision:
    return decide(case, rule, past, NOON)


def test_what_fails_is_rolled_back_by_itself_where_policy_says_so() -> None:
    found = of(a_case())
    assert found.action is Action.AUTOMATIC
    assert found.why == "policy of production: health rolls back by itself"


def test_a_slow_service_asks_a_person() -> None:
    assert of(a_case(Trigger.LATENCY)).action is Action.ASK


def test_a_trigger_that_policy_does_not_name_is_told_and_nothing_is_done() -> None:
    rule = RollbackRule(triggers=(TriggerRule(Trigger.LATENCY, Action.ASK),))
    found = of(a_case(), rule=rule)
    assert found.action is Action.NEVER
    assert "is told, and nothing is done" in found.why


def test_an_image_that_is_still_on_its_way_is_no_case() -> None:
    assert of(a_case(digest="C")).action is None


def test_an_image_that_was_replaced_since_is_no_case() -> None:
    newer = a_record("C", NOON - MINUTE)
    assert of(a_case(), Past((newer, B, A), back=A)).action is None


def test_what_failed_before_the_end_of_the_run_that_brought_the_image_is_no_case() -> None:
    found = of(a_case(at=B.finished_at - MINUTE))
    assert found.action is None
    assert "run-1" in found.why


def test_a_rollback_is_never_rolled_back() -> None:
    back = a_record("A", NOON - 5 * MINUTE, method=Method.ROLLBACK, previous_digest="B")
    older = a_record("O", NOON - 200 * MINUTE)
    found = of(a_case(digest="A"), Past((back, B, A, older), back=older))
    assert found.action is Action.NEVER
    assert "a rollback is never rolled back by itself" in found.why
    assert "flowmaster rollback production --service api --to vX.Y.Z" in found.why


def test_where_nothing_is_verified_people_are_told_the_way_forward() -> None:
    found = of(a_case(), replace(PAST, back=None))
    assert found.action is Action.NEVER
    assert "no verified image to go back to" in found.why
    assert "ship a version that mends it" in found.why


def test_an_environment_that_is_held_as_a_whole_does_nothing_by_itself() -> None:
    found = of(a_case(), replace(PAST, holds=(a_hold(),)))
    assert found.action is Action.NEVER
    assert "h1" in found.why


@pytest.mark.parametrize(
    "hold",
    [a_hold("api"), a_hold(environment="staging"), replace(a_hold(), released_at=NOON)],
    ids=["of the service", "elsewhere", "released"],
)
def test_other_holds_stand_in_no_rollbacks_way(hold: Hold) -> None:
    assert of(a_case(), replace(PAST, holds=(hold,))).action is Action.AUTOMATIC


def test_a_second_rollback_by_itself_within_the_hour_asks() -> None:
    earlier = an_incident(IncidentState.ROLLED_BACK, id="earlier")
    found = of(a_case(), replace(PAST, incidents=(earlier,)))
    assert found.action is Action.ASK
    assert "once in 1 h" in found.why


def test_a_clock_that_went_back_does_not_open_the_window_again() -> None:
    later = an_incident(IncidentState.ROLLED_BACK, id="later", updated_at=NOON + 90 * MINUTE)
    assert of(a_case(), replace(PAST, incidents=(later,))).action is Action.ASK


def test_after_the_hour_it_may_roll_back_by_itself_again() -> None:
    earlier = an_incident(IncidentState.ROLLED_BACK, id="e", updated_at=NOON - 60 * MINUTE)
    assert of(a_case(), replace(PAST, incidents=(earlier,))).action is Action.AUTOMATIC


@pytest.mark.parametrize("trigger", [Trigger.PERSON, Trigger.CANARY])
def test_what_a_person_or_a_canary_took_back_does_not_use_up_the_hour(trigger: Trigger) -> None:
    earlier = an_incident(IncidentState.ROLLED_BACK, id="earlier", trigger=trigger)
    assert of(a_case(), replace(PAST, incidents=(earlier,))).action is Action.AUTOMATIC


def test_what_is_being_rolled_back_is_left_alone() -> None:
    past = replace(PAST, incidents=(an_incident(IncidentState.ROLLING_BACK),))
    assert of(a_case(), past).action is None


def test_nobody_is_asked_twice() -> None:
    past = replace(PAST, incidents=(an_incident(IncidentState.ASKED),))
    assert of(a_case(Trigger.LATENCY), past).action is None


def test_what_grows_worse_does_not_wait_for_the_answer() -> None:
    asked = an_incident(IncidentState.ASKED, trigger=Trigger.LATENCY, action=Action.ASK)
    assert of(a_case(), replace(PAST, incidents=(asked,))).action is Action.AUTOMATIC


def test_what_a_person_decided_to_live_with_is_not_brought_again() -> None:
    left = an_incident(IncidentState.LEFT, dismissed=(Trigger.LATENCY,), decided_by="sofia")
    past = replace(PAST, incidents=(left,))
    found = of(a_case(Trigger.LATENCY), past)
    assert (found.action, "sofia decided" in found.why) == (None, True)
    assert of(a_case(), past).action is Action.AUTOMATIC


def test_what_a_person_lived_with_in_another_image_is_asked_anew() -> None:
    left = an_incident(IncidentState.LEFT, id="other", dismissed=(Trigger.LATENCY,))
    assert of(a_case(Trigger.LATENCY), replace(PAST, incidents=(left,))).action is Action.ASK


def test_a_rollback_that_failed_is_not_tried_again() -> None:
    past = replace(PAST, incidents=(an_incident(IncidentState.FAILED),))
    assert of(a_case(), past).action is None


def test_the_same_no_is_told_once() -> None:
    alone = replace(PAST, back=None)
    first = of(a_case(), alone)
    told = an_incident(IncidentState.LEFT, why=first.why)
    assert of(a_case(), replace(alone, incidents=(told,))).action is None


def test_another_no_is_told_again() -> None:
    told = an_incident(IncidentState.LEFT, why="there was another reason")
    past = replace(PAST, back=None, incidents=(told,))
    assert of(a_case(), past).action is Action.NEVER


def test_an_incident_has_one_id_whoever_opens_it_and_another_for_each_change() -> None:
    assert incident_id("api", "p", "B", B) == incident_id("api", "p", "B", replace(B, version="v"))
    again = replace(B, finished_at=NOON)
    ids = {incident_id("api", "p", "B", one) for one in (B, again, None)}
    assert len(ids) == 3


# Any sequence of events


OF_WHAT_RUNS = [t for t in Trigger if t not in (Trigger.CANARY, Trigger.PERSON)]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ship"), st.sampled_from("ABCD")),
        st.tuples(st.just("fail"), st.sampled_from(OF_WHAT_RUNS)),
        st.tuples(st.just("back"), st.booleans()),
        st.tuples(st.just("pass"), st.integers(1, 90)),
        st.tuples(st.just("release"), st.just(0)),
    ),
    max_size=40,
)


class World:
    """One service whose decisions are carried out at once, in a world of pure records."""

    def __init__(self, rule: RollbackRule) -> None:
        self.rule, self.now = rule, NOON
        self.records: list[DeploymentRecord] = []
        self.incidents: dict[str, Incident] = {}
        self.holds: tuple[Hold, ...] = ()
        self.by_itself: list[datetime] = []

    def past(self, digest: str | None) -> Past:
        newest_first = tuple(reversed(self.records))
        back = verified_before(newest_first, (), frozenset("ABCD"), None, digest)
        return Past(newest_first, tuple(self.incidents.values()), self.holds, back)

    def ship(self, digest: str) -> None:
        self.records.append(a_record(digest, self.now, run_id=f"run-{len(self.records)}"))

    def fail(self, trigger: Trigger, *, rollback_fails: bool = False) -> None:
        if not self.records:
            return
        digest = self.records[-1].digest
        case = a_case(trigger, at=self.now, digest=digest)
        past = self.past(digest)
        found = decide(case, self.rule, past, self.now)
        brought = what_brought(digest, past.records)
        identity = incident_id("api", "production", digest, brought)
        if found.action is None:
            return
        if found.action is Action.AUTOMATIC:
            assert past.back is not None
            assert past.back.digest != digest
            assert brought is not None
            assert brought.method is not Method.ROLLBACK, "a rollback of a rollback"
            self.by_itself.append(self.now)
            self._go(past.back.digest, digest, fails=rollback_fails)
        state = {
            Action.ASK: IncidentState.ASKED,
            Action.NEVER: IncidentState.LEFT,
            Action.AUTOMATIC: IncidentState.FAILED if rollback_fails else IncidentState.ROLLED_BACK,
        }[found.action]
        known = self.incidents.get(identity)
        if found.action is not Action.AUTOMATIC:
            assert known is None or (known.state, known.why) != (state, found.why), "told twice"
        self.incidents[identity] = an_incident(
            state, id=identity, action=found.action, why=found.why, trigger=trigger,
            opened_at=self.now, updated_at=self.now,
        )  # fmt: skip

    def _go(self, to: str, left: str, *, fails: bool) -> None:
        outcome = Outcome.FAILURE if fails else Outcome.SUCCESS
        self.records.append(
            a_record(to, self.now, method=Method.ROLLBACK, previous_digest=left, outcome=outcome)
        )
        if fails:
            self.holds = (*self.holds, a_hold())

    def take(self, name: str, value: object) -> None:
        match name, value:
            case "ship", str(digest):
                self.ship(digest)
            case "fail", Trigger() as trigger:
                self.fail(trigger)
            case "back", bool(fails):
                self.fail(Trigger.HEALTH, rollback_fails=fails)
            case "pass", int(minutes):
                self.now += minutes * MINUTE
            case _:
                self.holds = ()
        self.now += timedelta(seconds=20)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_no_sequence_of_events_rolls_back_twice_in_a_window_or_in_a_circle(
    events: list[tuple[str, object]],
) -> None:
    world = World(RULE)
    for name, value in events:
        world.take(name, value)
    gaps = [b - a for a, b in zip(world.by_itself, world.by_itself[1:], strict=False)]
    assert all(gap >= RULE.once_in for gap in gaps)
    assert len(world.by_itself) <= sum(name == "ship" for name, _ in events)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_no_rollback_by_itself_goes_to_an_image_that_was_rolled_back_from(
    events: list[tuple[str, object]],
) -> None:
    world, left = World(RULE), set[str]()
    for name, value in events:
        before = len(world.records)
        world.take(name, value)
        for record in world.records[before:]:
            if record.method is Method.ROLLBACK:
                assert record.digest not in left
                left.add(str(record.previous_digest))
            else:
                left.discard(record.digest)


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.sampled_from(OF_WHAT_RUNS))
def test_after_a_rollback_that_failed_nothing_acts_by_itself_until_a_person_releases_the_hold(
    events: list[tuple[str, object]], trigger: Trigger
) -> None:
    world = World(RULE)
    for name, value in events:
        world.take(name, value)
    world.holds = (a_hold(),)
    world.now += timedelta(days=1)
    before = len(world.by_itself)
    world.fail(trigger)
    world.ship("A")
    world.now += MINUTE
    world.fail(trigger)
    assert len(world.by_itself) == before


@given(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=12), st.sampled_from(OF_WHAT_RUNS))
def test_every_decision_says_why(ships: list[str], trigger: Trigger) -> None:
    world = World(RULE)
    for digest in ships:
        world.ship(digest)
        world.now += MINUTE
    past = world.past(ships[-1])
    found = decide(a_case(trigger, at=world.now, digest=ships[-1]), RULE, past, world.now)
    assert found.why
