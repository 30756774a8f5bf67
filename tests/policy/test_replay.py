"""Replay: what another policy would have done, by the record alone, whatever order it comes in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.canary import CanaryRule
from flowmaster_delivery.model.catalog import (
    Catalog,
    Environment,
    FreezeWindow,
    GateName,
    HotfixRule,
    OverrideRule,
    SoakRule,
)
from flowmaster_delivery.model.errors import UnknownName
from flowmaster_delivery.model.facts import GateFacts
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission, Hold, Override
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.timeline import Cut, Timeline
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification
from flowmaster_delivery.policy.gate import evaluate
from flowmaster_delivery.policy.replay import Finding, Replay, Would, replay
from tests.builders import (
    COMMIT,
    NOON,
    a_candidate,
    a_catalog,
    a_look,
    a_service,
    an_approval,
    looks,
    production,
    staging,
)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SINCE, UNTIL = NOON - 90 * 24 * HOUR, NOON + 24 * HOUR
GATES = (GateName.UPSTREAM_HEALTHY, GateName.SOAK, GateName.FREEZE, GateName.HOLD)
SOAKED = looks(NOON - 30 * HOUR, NOON)
LET_IN = Admission(a_candidate(), True, "sam", "", NOON)


def policy(environment: Environment | None = None, services: int = 1) -> Catalog:
    made = environment or production(gates=GATES)
    others = (a_service(f"other-{n}") for n in range(services - 1))
    return a_catalog(services=(a_service(), *others), environments=(staging(upstream=None), made))


def again(*records: object, by: Catalog | None = None, cuts: Iterable[Cut] = ()) -> Replay:
    return replay(Timeline.of(records, cuts), by or policy(), "production", SINCE, UNTIL)


def one(found: Replay) -> Finding:
    (finding,) = found.findings
    return finding


# Promotions


def test_what_had_soaked_long_enough_is_let_in_again() -> None:
    found = again(LET_IN, *SOAKED)
    assert (one(found).would, one(found).as_it_happened) == (Would.LET_IN, True)
    assert found.summary.startswith("of 1 promotions it would have refused 0; ")


def test_a_longer_soak_would_have_refused_it_in_the_words_of_the_gate() -> None:
    strict = production(gates=GATES, soak=SoakRule(48 * HOUR, 48 * HOUR))
    found = one(again(LET_IN, *SOAKED, by=policy(strict)))
    assert found.would is Would.REFUSED
    assert "soak: soak 30 h of 48 h in staging" in found.why


def test_looks_after_the_admission_say_nothing_of_it() -> None:
    late = looks(NOON + HOUR, NOON + 30 * HOUR)
    assert one(again(LET_IN, *late)).would is Would.REFUSED


def test_a_freeze_that_was_not_then_would_have_refused_it() -> None:
    window = FreezeWindow("march", first_day=NOON.date(), until=NOON.date())
    found = one(again(LET_IN, *SOAKED, by=policy(production(gates=GATES, freezes=(window,)))))
    assert (found.would, "frozen by march" in found.why) == (Would.REFUSED, True)


@pytest.mark.parametrize(
    ("placed", "released", "would"),
    [
        (-HOUR, None, Would.REFUSED),
        (-HOUR, HOUR, Would.REFUSED),
        (-HOUR, -MINUTE, Would.LET_IN),
        (HOUR, None, Would.LET_IN),
    ],
)
def test_a_hold_counts_while_it_was_in_force(
    placed: timedelta, released: timedelta | None, would: Would
) -> None:
    end = NOON + released if released is not None else None
    hold = Hold("h1", "api-gateway", "production", "sam", "smells", NOON + placed, "sam", end)
    assert one(again(LET_IN, *SOAKED, hold)).would is would


def test_what_is_not_on_record_is_named_and_not_guessed() -> None:
    everything = production(gates=tuple(GateName))
    found = one(again(LET_IN, *SOAKED, an_approval("sam", at=NOON - HOUR), by=policy(everything)))
    assert found.would is Would.LET_IN
    named = " ".join(found.not_on_record)
    for gate in ("ci_passed", "image", "tag_unmoved", "on_main", "signature", "scan"):
        assert gate in named
    assert "approvals (by command: sam; those of merge requests" in named


def test_an_approval_that_was_withdrawn_or_given_later_is_not_named() -> None:
    asked = production(gates=(GateName.APPROVALS,))
    records = (
        an_approval("sam", at=NOON - HOUR),
        an_approval("sam", at=NOON - MINUTE, withdrawn=True),
        an_approval("sofia", at=NOON + MINUTE),
    )
    (words,) = one(again(LET_IN, *records, by=policy(asked))).not_on_record
    assert "by command: nobody" in words


def test_what_ran_already_is_asked_nothing() -> None:
    before = a_change(NOON - 2 * HOUR, a_candidate().digest or "")
    assert one(again(LET_IN, before)).would is Would.LET_IN


def test_a_soak_that_only_a_hotfix_may_have_cannot_be_told() -> None:
    rule = HotfixRule(SoakRule(HOUR, HOUR), "group/seniors")
    hasty = production(gates=GATES, hotfix=rule)
    found = again(LET_IN, *looks(NOON - 2 * HOUR, NOON), by=policy(hasty))
    assert one(found).would is Would.UNKNOWN
    assert "whether it was a hotfix is not on record" in one(found).why
    assert "refused 0 (1 cannot be told)" in found.summary
    brief = again(LET_IN, *looks(NOON - 20 * MINUTE, NOON), by=policy(hasty))
    assert one(brief).would is Would.REFUSED


def test_an_override_on_record_lets_it_past_again_where_policy_still_lists_the_gate() -> None:
    override = Override(
        "o1", GateName.SOAK, "production", "platform", "v1.2.3", COMMIT, "sam", "logins fail",
        NOON - HOUR, NOON + HOUR,
    )  # fmt: skip
    short = looks(NOON - HOUR, NOON)
    rule = OverrideRule("group/seniors", (GateName.SOAK,))
    lenient = policy(production(gates=GATES, override=rule))
    assert one(again(LET_IN, *short, override, by=lenient)).would is Would.LET_IN
    assert one(again(LET_IN, *short, override)).would is Would.REFUSED


def test_looks_that_were_left_out_are_no_reason_to_refuse() -> None:
    cut = Cut("api-gateway", "staging", NOON - HOUR)
    found = again(LET_IN, *looks(NOON - HOUR, NOON), cuts=(cut,))
    assert one(found).would is Would.LET_IN
    assert any("looks before 2026-03-02 11:00 UTC" in gate for gate in one(found).not_on_record)
    assert any("were left out: ask about a shorter time" in note for note in found.notes)


def test_a_service_that_the_policy_does_not_know_is_said() -> None:
    foreign = replace(LET_IN, candidate=a_candidate(service="gone"))
    found = again(foreign)
    assert found.findings == ()
    assert "gone is on record and not in this policy's catalog" in found.notes


def test_an_environment_that_the_policy_does_not_know_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'production'"):
        replay(Timeline(), policy(), "productoin", SINCE, UNTIL)


# Rollbacks

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def a_change(at: object, digest: str, **fields: object) -> DeploymentRecord:
    given: dict[str, object] = {
        "method": Method.ROLLOUT, "outcome": Outcome.SUCCESS, "previous_digest": None,
        "fingerprint": "f", "commit": COMMIT, "asked_by": "sam", "version": "v1.2.3",
        "run_id": f"run-{digest[-1]}",
    }  # fmt: skip
    return DeploymentRecord(
        service="api-gateway", environment="production", digest=digest,
        started_at=at, finished_at=at, **{**given, **fields},
    )  # type: ignore[arg-type]  # fmt: skip


def a_live_look(after: timedelta, failures: int, digest: str = BAD) -> HealthObservation:
    state = HealthState.DEGRADED if failures else HealthState.HEALTHY
    look = a_look(NOON + after, state, failures=failures, environment="production")
    return replace(look, digest=digest, reason="answered 503" if failures else "")


def a_verification(digest: str, at: object, outcome: Outcome, **fields: object) -> Verification:
    return Verification(
        "api-gateway",
        "production",
        digest,
        outcome,
        at,
        "run-1",
        **fields,  # type: ignore[arg-type]
    )


WELL = a_verification(GOOD, NOON - 2 * HOUR, Outcome.SUCCESS)
RAN = (a_change(NOON - 3 * HOUR, GOOD), WELL, a_change(NOON, BAD, previous_digest=GOOD))
BACK = a_change(NOON + 10 * MINUTE, GOOD, method=Method.ROLLBACK, previous_digest=BAD)
FAILED = tuple(a_live_look(n * MINUTE, n) for n in (1, 2, 3))


def test_three_failed_looks_roll_back_as_it_happened() -> None:
    found = again(*RAN, *FAILED, BACK)
    assert (one(found).would, one(found).as_it_happened) == (Would.ROLLED_BACK, True)
    assert one(found).at == NOON + 3 * MINUTE
    assert "health: 3 failed looks in a row: degraded, answered 503" in one(found).happened
    assert found.summary == (
        "of 0 promotions it would have refused 0; it would have rolled back once, "
        "1 of them as it happened"
    )


def test_what_nobody_rolled_back_would_have_been() -> None:
    assert not one(again(*RAN, *FAILED)).as_it_happened


def test_a_more_patient_policy_waits_for_more_looks() -> None:
    patient = production(gates=GATES, health=HealthRule(failures_in_a_row=5))
    assert again(*RAN, *FAILED, by=policy(patient)).findings == ()


def test_looks_between_two_records_that_may_have_failed_cannot_be_told() -> None:
    patient = production(gates=GATES, health=HealthRule(failures_in_a_row=5))
    well = a_live_look(9 * MINUTE, 0)
    found = one(again(*RAN, *FAILED, well, by=policy(patient)))
    assert (found.would, found.why) == (
        Would.UNKNOWN,
        "3 failed looks in a row are on record; there may have been more",
    )


def test_a_hastier_policy_needs_fewer_looks() -> None:
    hasty = production(gates=GATES, health=HealthRule(failures_in_a_row=2))
    assert one(again(*RAN, *FAILED, by=policy(hasty))).at == NOON + 2 * MINUTE


def test_one_change_is_rolled_back_once() -> None:
    well, bad = a_live_look(4 * MINUTE, 0), [a_live_look((5 + n) * MINUTE, n) for n in (1, 2, 3)]
    assert one(again(*RAN, *FAILED, well, *bad)).would is Would.ROLLED_BACK


def test_a_policy_that_asks_asks_once() -> None:
    rule = RollbackRule((TriggerRule(Trigger.HEALTH, Action.ASK),))
    asks = policy(production(gates=GATES, safeguards=Safeguards(rollback=rule)))
    well, bad = a_live_look(4 * MINUTE, 0), [a_live_look((5 + n) * MINUTE, n) for n in (1, 2, 3)]
    found = again(*RAN, *FAILED, well, *bad, by=asks)
    assert one(found).would is Would.ASKED
    assert "it would have asked a person once" in found.summary


def test_where_there_is_no_verified_way_back_people_are_told() -> None:
    assert one(again(RAN[2], *FAILED)).would is Would.TOLD


def test_an_environment_that_is_ill_rolls_nothing_back() -> None:
    everywhere = [replace(look, service=f"other-{n}") for look in FAILED for n in range(2)]
    found = again(*RAN, *FAILED, *everywhere, by=policy(services=3))
    ours = [f for f in found.findings if f.service == "api-gateway"]
    assert [(f.would, f.why) for f in ours] == [
        (Would.TOLD, "3 of 3 services fail: the environment is ill")
    ]


def a_judgement(share: float, over: float = 0.05) -> Judgement:
    measured = Measurement(
        Figure.ERROR_RATE, "q", 5 * MINUTE, NOON + 5 * MINUTE, value=share, requests=5000.0
    )
    outcome = Outcome.FAILURE if share > over else Outcome.SUCCESS
    return Judgement(measured, Limit(Figure.ERROR_RATE, over, 5 * MINUTE), outcome, "", over)


def an_incident(judgement: Judgement) -> Incident:
    at = judgement.measurement.at
    return Incident(
        "i1", "production", ("api-gateway",), Trigger.ERROR_RATE, Action.AUTOMATIC,
        IncidentState.ROLLED_BACK, at, at, "8 % failed", from_digest=BAD,
        judgements=(judgement,),
    )  # fmt: skip


def errors(over: float, window: timedelta = 5 * MINUTE) -> Catalog:
    limit = Limit(Figure.ERROR_RATE, over, window)
    rule = RollbackRule((TriggerRule(Trigger.ERROR_RATE, Action.AUTOMATIC, limit),))
    return policy(production(gates=GATES, safeguards=Safeguards(rollback=rule)))


def test_a_recorded_error_rate_is_judged_by_the_other_limit() -> None:
    incident = an_incident(a_judgement(0.08))
    assert one(again(*RAN, incident, BACK, by=errors(0.05))).as_it_happened
    left = again(*RAN, incident, BACK, by=errors(0.10))
    assert (one(left).would, one(left).happened) == (Would.LEFT, "incident i1: 8 % failed")
    assert "1 on record it would not have made" in left.summary


def test_a_figure_over_another_window_is_not_on_record() -> None:
    incident = an_incident(a_judgement(0.08))
    assert one(again(*RAN, incident, by=errors(0.05, 10 * MINUTE))).would is Would.LEFT


def test_a_window_that_began_with_the_rollout_is_judged_as_it_was_then() -> None:
    whole = a_judgement(0.08)
    young = replace(whole, measurement=replace(whole.measurement, window=2 * MINUTE))
    assert one(again(*RAN, an_incident(young), BACK, by=errors(0.05))).as_it_happened


def test_a_figure_of_a_verification_is_judged_as_well() -> None:
    seen = a_verification(BAD, NOON + 6 * MINUTE, Outcome.SUCCESS, figures=(a_judgement(0.03),))
    assert again(*RAN, seen, by=errors(0.05)).findings == ()
    assert one(again(*RAN, seen, by=errors(0.02))).would is Would.ROLLED_BACK


def test_a_failed_test_counts_where_policy_asks_for_it() -> None:
    result = CheckResult(Validation.E2E, Outcome.FAILURE, "pipeline 7 failed")
    seen = a_verification(BAD, NOON + 6 * MINUTE, Outcome.FAILURE, results=(result,))
    asks = Safeguards(validation=(Validation.E2E,))
    found = again(*RAN, seen, by=policy(production(gates=GATES, safeguards=asks)))
    assert one(found).happened == "verification: e2e: pipeline 7 failed"
    assert again(*RAN, seen).findings == ()


def canaried(share: float, outcome: Outcome) -> DeploymentRecord:
    changed = outcome is Outcome.SUCCESS
    judged = (a_judgement(share, 0.01),)
    return replace(RAN[2], outcome=outcome, changed=changed, judgements=judged)  # type: ignore[type-var]


def canary(over: float) -> Catalog:
    rule = CanaryRule((), (Limit(Figure.ERROR_RATE, over, 5 * MINUTE),))
    return policy(production(gates=GATES, safeguards=Safeguards(canary=rule)))


def test_a_canary_is_judged_by_the_other_limits() -> None:
    bad, good = canaried(0.03, Outcome.FAILURE), canaried(0.008, Outcome.SUCCESS)
    assert one(again(*RAN[:2], bad, by=canary(0.01))).as_it_happened
    assert one(again(*RAN[:2], bad, by=canary(0.05))).why == "it would have gone on"
    stricter = one(again(*RAN[:2], good, by=canary(0.005)))
    assert (stricter.would, stricter.as_it_happened) == (Would.ROLLED_BACK, False)
    assert again(*RAN[:2], good, by=canary(0.01)).findings == ()
    assert one(again(*RAN[:2], bad)).why == "it tries nothing by canary here"


def test_a_rollout_that_failed_is_a_case() -> None:
    failed = replace(RAN[2], outcome=Outcome.FAILURE, message="crash loop")  # type: ignore[type-var]
    assert one(again(*RAN[:2], failed)).happened == "rollout: crash loop"


# What holds always

STATES = st.sampled_from([HealthState.HEALTHY] * 6 + list(HealthState))


@st.composite
def pasts(draw: st.DrawFn) -> list[object]:
    """Looks of some days, holds, and admissions at any time."""
    records: list[object] = []
    at, failures = NOON - 40 * HOUR, 0
    for state in draw(st.lists(STATES, min_size=100, max_size=260)):
        at += draw(st.sampled_from([10 * MINUTE] * 8 + [20 * MINUTE, HOUR]))
        bad = state in (HealthState.DEGRADED, HealthState.MISSING)
        failures = failures + 1 if bad else 0
        records.append(a_look(at, state, failures=failures))
    for n in range(draw(st.integers(0, 3))):
        begin = NOON + draw(st.integers(-40, 10)) * HOUR
        end = draw(st.none() | st.integers(1, 20).map(lambda h, b=begin: b + h * HOUR))
        records.append(Hold(f"h{n}", "api-gateway", "production", "sam", "x", begin, "sam", end))
    return records


def _stands(record: object, at: object) -> bool:
    return (
        isinstance(record, Hold)
        and record.at <= at
        and (  # type: ignore[operator]
            record.released_at is None or record.released_at > at  # type: ignore[operator]
        )
    )


@settings(max_examples=60, deadline=None)
@given(pasts(), st.integers(-20, 10), st.integers(0, 24))
def test_the_policy_in_force_refuses_nothing_that_it_admitted(
    past: list[object], hour: int, soak: int
) -> None:
    place = production(gates=GATES, soak=SoakRule(soak * HOUR, soak * HOUR))
    at = NOON + hour * HOUR
    facts = GateFacts(
        upstream=tuple(r for r in past if isinstance(r, HealthObservation) and r.at <= at),
        holds=tuple(replace(r, released_at=None) for r in past if _stands(r, at)),  # type: ignore[type-var]
    )
    verdict = evaluate(a_candidate(), a_service(), place, staging(upstream=None), facts, at)
    admission = Admission(a_candidate(), True, "sam", "", at)
    found = one(again(*past, admission, by=policy(place)))
    assert (found.would is Would.LET_IN) == verdict.open


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_order_in_which_records_come_does_not_matter(data: st.DataObject) -> None:
    same_time = [replace(FAILED[2], state=state) for state in HealthState]
    records = [LET_IN, *looks(NOON - HOUR, NOON), *RAN, *FAILED, *same_time, BACK]
    records.append(an_incident(a_judgement(0.08)))
    shuffled = data.draw(st.permutations(records))
    assert again(*shuffled) == again(*records)
