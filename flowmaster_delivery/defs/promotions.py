"""`<service>/promotion`: may the image enter? One blocking check per question, with evidence.

A closed gate materializes nothing: its checks fail, and the run says every reason at once. Without
`ship`, production gets a prognosis: the same checks as warnings, and an observation.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.partitions import environments
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described, in_our_words, spec, step_key
from flowmaster_delivery.defs.trail import gates_refused
from flowmaster_delivery.flows.entry import may_ask, wanted_candidate
from flowmaster_delivery.flows.promotion import admit, evaluate
from flowmaster_delivery.flows.telling import refused
from flowmaster_delivery.model.catalog import Catalog, GateName, Service
from flowmaster_delivery.model.promotion import Admission, GateCheck, GateState, Verdict
from flowmaster_delivery.policy.overrides import overridden

DESCRIPTION = """Whether the newest image may enter the environment. All gates are asked, none is
skipped because another is closed; a closed one materializes nothing. For production set `ship` in
the form; without it the answer is a prognosis."""

QUESTIONS = {
    GateName.CI_PASSED: "Did CI pass for this commit, up to the image push?",
    GateName.IMAGE: "Does the registry have the image?",
    GateName.UPSTREAM_HEALTHY: "Is it healthy in the environment before?",
    GateName.SOAK: "Has this content been healthy upstream for long enough?",
    GateName.APPROVALS: "Have enough people consented who may?",
    GateName.FREEZE: "Is there no freeze window?",
    GateName.HOLD: "Does nobody hold this service here?",
    GateName.TAG_UNMOVED: "Does the tag still point where it was first seen?",
    GateName.ON_MAIN: "Is the commit on the protected main branch?",
    GateName.SIGNATURE: "Is the image signed?",
    GateName.SCAN: "Did the vulnerability scan pass?",
    GateName.MIGRATIONS: "Are its database migrations understood?",
}

Result = AssetCheckResult | AssetObservation | MaterializeResult[None]


def promotion_asset(catalog: Catalog, service: Service) -> AssetsDefinition:
    made = spec(
        catalog, service, "promotion", deps=("image",), kinds={"gitlab"}, description=DESCRIPTION
    )

    @multi_asset(
        name=step_key(service.name, "promotion"),
        specs=[made],
        check_specs=_checks(catalog, service),
        required_resource_keys={"form", "delivery"},
    )
    def promotion(context: AssetExecutionContext) -> Iterator[Result]:
        form: Form = context.resources.form
        delivery: Delivery = context.resources.delivery
        who = delivery.asker(context.run)
        with in_our_words(context):
            environment = catalog.environment(context.partition_key)
            if form.ship:
                may_ask(who, environment, delivery.reading.members)
            candidate = wanted_candidate(service, environment, form.wanted, delivery.reading)
            verdict = evaluate(candidate, delivery.reading, delivery.now())
        if not form.ship:
            yield from _answers(service, verdict, ship=False)
            yield _prognosis(service, verdict)
            return
        admission = admit(
            verdict, ship=True, asked_by=who.name, reason=form.reason, now=delivery.now()
        )
        if admission:
            with in_our_words(context):
                admitted = _admitted(service, verdict, admission, delivery, context.run.run_id)
            yield admitted
        else:
            gates_refused(context, verdict, form.reason)
            delivery.ports.notifier.tell(refused(verdict, who.name))
        # After the materialization: the UI takes a check that came before it for one of an older.
        yield from _answers(service, verdict, ship=True)

    return promotion


def _admitted(
    service: Service, verdict: Verdict, admission: Admission, delivery: Delivery, run_id: str
) -> MaterializeResult[None]:
    return MaterializeResult(
        asset_key=AssetKey([service.name, "promotion"]),
        metadata={
            **described(_facts(verdict)),
            **described({"asked by": admission.asked_by, "reason": admission.reason}),
            **record_metadata(delivery, admission, run_id),
        },
    )


def _checks(catalog: Catalog, service: Service) -> list[AssetCheckSpec]:
    return [
        AssetCheckSpec(
            name=gate.value,
            asset=AssetKey([service.name, "promotion"]),
            description=QUESTIONS[gate],
            blocking=True,
            partitions_def=environments(catalog),
        )
        for gate in GateName
    ]


def _answers(service: Service, verdict: Verdict, *, ship: bool) -> Iterator[AssetCheckResult]:
    """Every question with its answer; one that nobody answered is closed."""
    answered = {check.gate: check for check in verdict.checks}
    for gate in GateName:
        check = answered.get(gate) or GateCheck(gate, GateState.UNREADABLE, "it was not evaluated")
        yield AssetCheckResult(
            asset_key=AssetKey([service.name, "promotion"]),
            check_name=gate.value,
            passed=not check.closed,
            severity=_severity(check, ship=ship),
            description=" — ".join(filter(None, (check.summary, check.remedy))),
            metadata={
                **described({"state": check.state.value, "remedy": check.remedy}),
                **described(check.evidence),
                **_opens_at(check),
            },
        )


def _severity(check: GateCheck, *, ship: bool) -> AssetCheckSeverity:
    """A passed check that somebody overrode is told from one that was met."""
    loud = ship and check.state is not GateState.OVERRIDDEN
    return AssetCheckSeverity.ERROR if loud else AssetCheckSeverity.WARN


def _opens_at(check: GateCheck) -> dict[str, MetadataValue]:
    when = check.opens_at
    return {"opens at": MetadataValue.timestamp(when)} if when else {}


def _prognosis(service: Service, verdict: Verdict) -> AssetObservation:
    candidate = verdict.candidate
    return AssetObservation(
        asset_key=AssetKey([service.name, "promotion"]),
        partition=candidate.environment,
        description="; ".join(c.summary for c in verdict.unmet) or "every gate is open",
        metadata=described({"open": verdict.open, **_facts(verdict)}),
    )


def _facts(verdict: Verdict) -> dict[str, object]:
    candidate = verdict.candidate
    return {
        "version": candidate.version,
        "digest": candidate.digest,
        "commit": candidate.commit,
        "ref": candidate.ref,
        "fingerprint": candidate.fingerprint,
        "unmet": "\n".join(f"{c.gate}: {c.summary}. {c.remedy}".strip() for c in verdict.unmet),
        "overridden": "\n".join(overridden(verdict.checks)),
        "opens at": verdict.opens_at.isoformat() if verdict.opens_at else None,
    }
