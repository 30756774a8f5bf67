"""The gate: closed unless proven open, every question asked, all that is missing said at once."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.catalog import (
    Criticality,
    Environment,
    FreezeWindow,
    GateName,
    Kind,
    Service,
)
from flowmaster_delivery.model.facts import (
    ApprovalFacts,
    CiFacts,
    GateFacts,
    MigrationFacts,
    SchemaFacts,
    TagFacts,
    Unread,
)
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.promotion import Candidate, GateCheck, GateState, Hold, Verdict
from flowmaster_delivery.model.source import Job, Pipeline, PipelineState
from flowmaster_delivery.policy.gate import evaluate
from tests.builders import (
    COMMIT,
    FINGERPRINT,
    NOON,
    a_candidate,
    a_commit,
    a_look,
    a_person,
    a_service,
    an_approval,
    digest,
    looks,
    production,
    staging,
)

EVERY = tuple(GateName)
PASSED = (
    Job("lint", "lint", PipelineState.SUCCESS),
    Job("test:api-gateway", "test", PipelineState.SUCCESS),
    Job("docker:api-gateway", "package", PipelineState.SUCCESS),
)
STAGES = ("lint", "test", "build", "package")


def ci(*jobs: Job) -> CiFacts:
    return CiFacts(Pipeline(12, "v1.2.3", COMMIT, PipelineState.SUCCESS), jobs or PASSED, STAGES)


def consents(*names: str) -> ApprovalFacts:
    return ApprovalFacts(
        members=frozenset({"sam", "sofia", "dana"}),
        merge_request=None,
        recorded=tuple(an_approval(name) for name in names),
        commits=(a_commit("dana"),),
        people={"dana@example.org": a_person("dana")},
        digests={"api-gateway": digest()},
    )


def a_hold(**given: object) -> Hold:
    base = Hold("h1", "api-gateway", "production", "sam", "it leaks", NOON - timedelta(hours=1))
    return replace(base, **given)  # type: ignore[arg-type]


SOUND = GateFacts(
    ci=ci(),
    image=RegistryImage(digest()),
    upstream=looks(NOON - timedelta(hours=30), NOON),
    holds=(),
    approvals=consents("sam", "sofia"),
    tag=TagFacts(COMMIT, COMMIT, on_main=True, main_protected=True),
    signed=True,
    scan_passed=True,
    migrations=MigrationFacts(),
)


UNSAID = MigrationFacts((SchemaFacts("schema", ()),))
"""A service that works on a schema and does not say on which versions of it."""


def ask(
    facts: GateFacts = SOUND,
    environment: Environment | None = None,
    service: Service | None = None,
    candidate: Candidate | None = None,
) -> Verdict:
    return evaluate(
        candidate or a_candidate(),
        service or a_service(),
        environment or production(),
        staging(),
        facts,
        NOON,
    )


def check(name: GateName, verdict: Verdict) -> GateCheck:
    return next(one for one in verdict.checks if one.gate is name)


def one(name: GateName, facts: GateFacts, **given: object) -> GateCheck:
    return check(name, ask(facts, **given))  # type: ignore[arg-type]


def test_a_sound_candidate_may_enter() -> None:
    verdict = ask(environment=production(gates=EVERY))
    assert verdict.open, [c for c in verdict.checks if c.closed]


def test_every_gate_is_asked_once_in_order() -> None:
    assert tuple(c.gate for c in ask(GateFacts()).checks) == EVERY


def test_all_that_is_missing_is_said_at_once() -> None:
    facts = replace(SOUND, upstream=(), approvals=consents("sam"), holds=(a_hold(),))
    assert {c.gate for c in ask(facts).unmet} == {
        GateName.UPSTREAM_HEALTHY,
        GateName.SOAK,
        GateName.APPROVALS,
        GateName.HOLD,
    }


def test_a_gate_that_is_not_required_is_shown_and_does_not_close() -> None:
    verdict = ask(replace(SOUND, signed=False))
    found = check(GateName.SIGNATURE, verdict)
    assert (found.state, found.summary) == (GateState.NOT_REQUIRED, "not required by policy")
    assert verdict.open


def test_a_fact_that_could_not_be_read_closes_and_is_nobodys_fault() -> None:
    verdict = ask(replace(SOUND, approvals=Unread("GitLab did not answer within 5 s")))
    found = check(GateName.APPROVALS, verdict)
    assert not verdict.open
    assert found.state is GateState.UNREADABLE
    assert "GitLab did not answer within 5 s" in found.summary


def test_no_pipeline_is_no_passed_pipeline() -> None:
    found = one(GateName.CI_PASSED, replace(SOUND, ci=CiFacts(None, (), STAGES)))
    assert found.summary == "no pipeline ran for c0ffee00"
    assert found.remedy == "run the pipeline of v1.2.3"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (PipelineState.FAILED, "pipeline 12: test:api-gateway failed"),
        (PipelineState.CANCELED, "pipeline 12: test:api-gateway canceled"),
        (PipelineState.RUNNING, "pipeline 12 still runs: test:api-gateway running"),
        (PipelineState.MANUAL, "pipeline 12 waits at test:api-gateway manual"),
    ],
)
def test_a_job_that_did_not_succeed_is_named(state: PipelineState, words: str) -> None:
    jobs = (PASSED[0], Job("test:api-gateway", "test", state))
    found = one(GateName.CI_PASSED, replace(SOUND, ci=ci(*jobs)))
    assert (found.state, found.summary) == (GateState.UNMET, words)


def test_deploy_and_validate_jobs_neither_count_nor_block() -> None:
    jobs = (
        *PASSED,
        Job("deploy:production", "deploy", PipelineState.MANUAL),
        Job("validate:smoke", "validate", PipelineState.FAILED),
    )
    assert one(GateName.CI_PASSED, replace(SOUND, ci=ci(*jobs))).state is GateState.MET


def test_a_job_that_may_fail_does_not_block() -> None:
    jobs = (*PASSED, Job("lint:docs", "lint", PipelineState.FAILED, allow_failure=True))
    assert one(GateName.CI_PASSED, replace(SOUND, ci=ci(*jobs))).state is GateState.MET


def test_a_pipeline_without_a_job_that_counts_proves_nothing() -> None:
    jobs = (Job("deploy:dev", "deploy", PipelineState.SUCCESS),)
    assert one(GateName.CI_PASSED, replace(SOUND, ci=ci(*jobs))).state is GateState.UNMET


def test_an_image_that_was_never_built_is_unmet_even_if_the_registry_is_away() -> None:
    found = one(
        GateName.IMAGE, replace(SOUND, image=Unread("down")), candidate=a_candidate(digest=None)
    )
    assert found.state is GateState.UNMET
    assert "no image was built for this source" in found.summary


def test_an_image_that_the_registry_does_not_have_is_named_by_digest() -> None:
    found = one(GateName.IMAGE, replace(SOUND, image=None))
    assert found.state is GateState.UNMET
    assert digest() in found.summary


def test_another_image_than_the_candidates_proves_nothing() -> None:
    facts = replace(SOUND, image=RegistryImage(digest("other")))
    assert one(GateName.IMAGE, facts).state is GateState.UNMET


def test_a_soak_that_is_too_short_says_how_much_and_when_it_opens() -> None:
    facts = replace(SOUND, upstream=looks(NOON - timedelta(hours=19), NOON))
    found = one(GateName.SOAK, facts)
    assert found.summary == "soak 19 h of 24 h in staging"
    assert found.opens_at == NOON + timedelta(hours=5)
    assert found.remedy == "opens 17:00 UTC if staging stays healthy"


def test_a_critical_service_soaks_longer() -> None:
    service = a_service(criticality=Criticality.CRITICAL)
    found = one(GateName.SOAK, SOUND, service=service)
    assert found.summary == "soak 30 h of 48 h in staging"
    assert found.remedy == "opens Tue 06:00 UTC if staging stays healthy"


def test_a_soak_that_was_broken_says_by_what() -> None:
    broken = replace(
        a_look(NOON - timedelta(hours=2), HealthState.DEGRADED, failures=3), reason="503"
    )
    seen = (
        *looks(NOON - timedelta(hours=30), NOON - timedelta(hours=3)),
        broken,
        *looks(NOON - timedelta(hours=1), NOON),
    )
    found = one(GateName.SOAK, replace(SOUND, upstream=seen))
    assert found.summary == "soak 1 h of 24 h in staging (began anew after degraded: 503)"


def test_what_staging_never_had_has_to_go_there_first() -> None:
    verdict = ask(replace(SOUND, upstream=()))
    assert check(GateName.SOAK, verdict).remedy == "roll it out in staging first"
    assert "never seen in staging" in check(GateName.UPSTREAM_HEALTHY, verdict).summary


def test_a_soak_that_was_earned_before_staging_moved_on_counts() -> None:
    begin = NOON - timedelta(hours=30)
    seen = (*looks(begin, NOON - timedelta(hours=2)), a_look(NOON, fingerprint="next"))
    verdict = ask(replace(SOUND, upstream=seen))
    assert verdict.open
    assert "moved on" in check(GateName.UPSTREAM_HEALTHY, verdict).summary


def test_a_soak_that_staging_cut_short_does_not_promise_to_open() -> None:
    begin = NOON - timedelta(hours=5)
    seen = (*looks(begin, NOON - timedelta(hours=2)), a_look(NOON, fingerprint="next"))
    found = one(GateName.SOAK, replace(SOUND, upstream=seen))
    assert found.opens_at is None
    assert found.remedy == "roll it out in staging again"


def test_staging_being_ill_now_closes_although_the_soak_is_long_enough() -> None:
    ill = replace(a_look(NOON, HealthState.DEGRADED, failures=1), reason="503 from /health")
    facts = replace(SOUND, upstream=(*looks(NOON - timedelta(hours=30), NOON)[:-1], ill))
    verdict = ask(facts)
    assert [c.gate for c in verdict.unmet] == [GateName.UPSTREAM_HEALTHY]
    assert "503 from /health" in verdict.unmet[0].summary


def test_a_health_watch_that_stopped_proves_nothing_about_now() -> None:
    begin = NOON - timedelta(hours=30)
    verdict = ask(replace(SOUND, upstream=looks(begin, NOON - timedelta(hours=1))))
    assert [c.gate for c in verdict.unmet] == [GateName.UPSTREAM_HEALTHY]
    assert verdict.unmet[0].remedy == "see that the health watch runs"


def test_an_artifact_runs_nowhere_and_needs_no_soak() -> None:
    verdict = ask(replace(SOUND, upstream=()), service=a_service(kind=Kind.ARTIFACT))
    assert verdict.open


def test_a_missing_approval_says_who_counts_who_does_not_and_what_to_type() -> None:
    found = one(GateName.APPROVALS, replace(SOUND, approvals=consents("sam", "dana")))
    assert found.summary == "approvals 1 of 2: sam; dana does not count (author)"
    assert found.remedy == ("1 more of group/seniors (sofia): flowmaster approve production v1.2.3")


def test_a_freeze_closes_and_says_when_it_ends() -> None:
    window = FreezeWindow("year's end", first_day=date(2026, 3, 1), until=date(2026, 3, 3))
    found = one(GateName.FREEZE, SOUND, environment=production(freezes=(window,)))
    assert found.summary == "frozen by year's end"
    assert found.remedy == "opens Wed 00:00 UTC"


def test_a_hold_names_its_author_and_reason_and_how_to_release_it() -> None:
    found = one(GateName.HOLD, replace(SOUND, holds=(a_hold(),)))
    assert found.summary == "held by sam since 11:00 UTC: it leaks"
    assert "flowmaster hold release h1" in found.remedy


@pytest.mark.parametrize(
    "given",
    [{"service": "other"}, {"environment": "staging"}, {"released_at": NOON, "released_by": "sam"}],
)
def test_a_hold_elsewhere_or_released_does_not_close(given: dict[str, object]) -> None:
    assert one(GateName.HOLD, replace(SOUND, holds=(a_hold(**given),))).state is GateState.MET


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (TagFacts(None, COMMIT, on_main=True, main_protected=True), "is gone"),
        (TagFacts("a" * 40, COMMIT, on_main=True, main_protected=True), "moved from c0ffee00 to"),
        (TagFacts(COMMIT, None, on_main=True, main_protected=True), "not been taken in"),
        (TagFacts(COMMIT, "a" * 40, on_main=True, main_protected=True), "was seen at aaaaaaaa"),
    ],
)
def test_a_tag_that_is_not_where_it_was_closes(tag: TagFacts, words: str) -> None:
    found = one(GateName.TAG_UNMOVED, replace(SOUND, tag=tag))
    assert found.state is GateState.UNMET
    assert words in found.summary


def test_a_quarantine_lets_another_source_pass() -> None:
    quarantine = a_hold(fingerprint=FINGERPRINT)
    assert one(GateName.HOLD, replace(SOUND, holds=(quarantine,))).state is GateState.UNMET
    other = a_hold(fingerprint="another")
    assert one(GateName.HOLD, replace(SOUND, holds=(other,))).state is GateState.MET


@pytest.mark.parametrize(("on_main", "protected"), [(False, True), (True, False)])
def test_a_commit_that_no_protected_main_holds_closes(on_main: bool, protected: bool) -> None:
    tag = TagFacts(COMMIT, COMMIT, on_main=on_main, main_protected=protected)
    assert one(GateName.ON_MAIN, replace(SOUND, tag=tag)).state is GateState.UNMET


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (GateName.SIGNATURE, replace(SOUND, signed=False)),
        (GateName.SCAN, replace(SOUND, scan_passed=None)),
        (GateName.SCAN, replace(SOUND, scan_passed=False)),
        (GateName.MIGRATIONS, replace(SOUND, migrations=UNSAID)),
    ],
)
def test_absent_evidence_of_a_required_gate_is_unmet(name: GateName, facts: GateFacts) -> None:
    found = one(name, facts, environment=production(gates=EVERY))
    assert found.state is GateState.UNMET


FACTS_OF = {
    "ci": {GateName.CI_PASSED},
    "image": {GateName.IMAGE},
    "upstream": {GateName.UPSTREAM_HEALTHY, GateName.SOAK},
    "holds": {GateName.HOLD},
    "approvals": {GateName.APPROVALS},
    "tag": {GateName.TAG_UNMOVED, GateName.ON_MAIN},
    "signed": {GateName.SIGNATURE},
    "scan_passed": {GateName.SCAN},
    "migrations": {GateName.MIGRATIONS},
    "hotfix": set(),
    "overrides": set(),
}
"""What only ever opens a gate closes none where it was not read."""


def test_the_table_of_facts_is_complete() -> None:
    assert set(FACTS_OF) == {one.name for one in fields(GateFacts)}


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(EVERY), min_size=1), st.sets(st.sampled_from(sorted(FACTS_OF))))
def test_it_is_closed_by_exactly_the_required_facts_that_were_not_read(
    required: set[GateName], unread: set[str]
) -> None:
    facts = replace(SOUND, **dict.fromkeys(unread, Unread("away")))
    verdict = ask(facts, production(gates=tuple(required)))
    expected = {gate for name in unread for gate in FACTS_OF[name]} & required
    assert {c.gate for c in verdict.unmet} == expected
    assert verdict.open == (not expected)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(EVERY)))
def test_whatever_is_closed_says_what_would_open_it(required: set[GateName]) -> None:
    bad = GateFacts(
        ci=CiFacts(None, (), STAGES),
        image=None,
        upstream=(),
        holds=(a_hold(),),
        approvals=consents(),
        tag=TagFacts(None, None, on_main=False, main_protected=False),
        signed=False,
        scan_passed=None,
        migrations=UNSAID,
    )
    verdict = ask(bad, production(gates=tuple(required)))
    assert {c.gate for c in verdict.unmet} == required - {GateName.FREEZE}
    assert all(c.summary and c.remedy for c in verdict.unmet)


def test_a_hold_of_everything_closes_the_gate_of_each_and_says_so() -> None:
    held = replace(SOUND, holds=(a_hold(service="*", reason="the rollback failed"),))
    (found,) = ask(held).unmet
    assert found.gate is GateName.HOLD
    assert found.summary.startswith("everything in production is held by sam since")
    assert "flowmaster hold release h1" in found.remedy
