"""`<service>/health`: whether what was deployed answers, and is what it should be.

The look is on record at once, the verification when it has come to its end: one check for each
validation that some environment asks for. The watch looks on from then on.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    MaterializeResult,
    multi_asset,
)

from flowmaster_delivery.defs.containers import container_runner
from flowmaster_delivery.defs.executor import state_of
from flowmaster_delivery.defs.partitions import environments
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described, in_our_words, spec, step_key
from flowmaster_delivery.defs.working import work_of
from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.health import look_at
from flowmaster_delivery.flows.incidents.cases import after_verification
from flowmaster_delivery.flows.telling import unverified
from flowmaster_delivery.flows.verification.suites import Companions
from flowmaster_delivery.flows.verification.verifying import Means, verify
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import last_success
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification
from flowmaster_delivery.policy.verification import due
from flowmaster_delivery.settings import smoke_secret

DESCRIPTION = """Whether the service answers in the environment, on its new pods, and passes what
the environment asks of it: only then is its image a way back. Observed by a watch from then on:
changes and a heartbeat are recorded, and soak is counted from them."""

QUESTIONS = {
    Validation.SMOKE: "Do the smoke tests of the catalog pass?",
    Validation.CONTRACT: "Do the contract tests of the testing repository pass for this commit?",
    Validation.E2E: "Do the end-to-end tests of the testing repository pass for this commit?",
    Validation.PERFORMANCE: "Are latency, errors, CPU and memory within their limits?",
}

NOT_REQUIRED = "not required by policy"
NEVER_DEPLOYED = "nothing was rolled out here by the platform: there is no image to verify"

Result = AssetCheckResult | AssetObservation | MaterializeResult[None]


def health_asset(catalog: Catalog, service: Service) -> AssetsDefinition:
    made = spec(
        catalog,
        service,
        "health",
        deps=("deployment",),
        kinds={"kubernetes", "http"},
        description=DESCRIPTION,
    )
    asked = _asked_somewhere(catalog, service)

    @multi_asset(
        name=step_key(service.name, "health"),
        specs=[made],
        check_specs=_check_specs(catalog, service, asked),
        required_resource_keys={"delivery"},
    )
    def health(context: AssetExecutionContext) -> Iterator[Result]:
        delivery: Delivery = context.resources.delivery
        with in_our_words(context):
            environment = catalog.environment(context.partition_key)
            seen = look_at(service, environment, delivery.catalog, delivery.ports, now=delivery.now)
        yield MaterializeResult(
            asset_key=AssetKey([service.name, "health"]),
            metadata={**described(_facts(seen)), **record_metadata(delivery, seen)},
        )
        work = work_of(context, delivery)
        found = _verified(context, seen, service, environment, delivery, work.pace)
        if found is not None:
            context.log_event(_judged(found, delivery))
            with in_our_words(context):
                _follow(found, work)
        yield from _answers(service, environment, asked, seen, found)

    return health


def _verified(
    context: AssetExecutionContext,
    seen: HealthObservation,
    service: Service,
    environment: Environment,
    delivery: Delivery,
    pace: Pace,
) -> Verification | None:
    """What the image of the last rollout came to; None where there was none."""
    done = delivery.ports.history.deployments(service.name, environment.name, limit=10)
    record = last_success(done)
    if record is None:
        return None
    run_id = context.run.run_id
    means = Means(
        run_id=run_id,
        secrets=partial(smoke_secret, delivery.settings, environment.name),
        run_container=container_runner(context, service, environment, delivery),
        companions=_companions(run_id, service, delivery.catalog),
    )
    return verify(record, seen, service, environment, delivery.reading, means, pace)


def _follow(found: Verification, work: Work) -> None:
    """What the rules make of a failure, before this returns; else people are told of a doubt."""
    incident = after_verification(found, work)
    told = unverified(found)
    if told and incident is None:
        work.ports.notifier.tell(told)


def _companions(run_id: str, service: Service, catalog: Catalog) -> Companions:
    """The services of the same repository whose health the run asks for in the same wave."""
    state = state_of(run_id)
    near = state.beside(step_key(service.name, "health"))
    services = [
        other.name
        for other in catalog.services_of(service.repository)
        if other.kind is Kind.DEPLOYMENT and step_key(other.name, "health") in near
    ]
    rolling = state.steps & {step_key(name, "deployment") for name in services}
    return Companions(tuple(services), lambda: rolling <= state.ended)


def _asked_somewhere(catalog: Catalog, service: Service) -> tuple[Validation, ...]:
    """Beside health, what any environment asks of the service."""
    every = {one for place in catalog.environments.values() for one in due(service, place)}
    return tuple(one for one in QUESTIONS if one in every)


def _check_specs(
    catalog: Catalog, service: Service, asked: Iterable[Validation]
) -> list[AssetCheckSpec]:
    endpoint = f"Does {service.health_path} answer 200 in time, on every new pod?"
    questions = {"endpoint": endpoint, **{one.value: QUESTIONS[one] for one in asked}}
    return [
        AssetCheckSpec(
            name=name,
            asset=AssetKey([service.name, "health"]),
            description=question,
            blocking=True,
            partitions_def=environments(catalog),
        )
        for name, question in questions.items()
    ]


def _answers(
    service: Service,
    environment: Environment,
    asked: Iterable[Validation],
    seen: HealthObservation,
    found: Verification | None,
) -> Iterator[AssetCheckResult]:
    """The endpoint as it was seen, then each validation; those that nobody asks for here pass."""
    key = AssetKey([service.name, "health"])
    yield AssetCheckResult(
        asset_key=key,
        check_name="endpoint",
        passed=seen.state is HealthState.HEALTHY,
        severity=AssetCheckSeverity.ERROR,
        description=seen.reason or f"{service.name} answers",
        metadata=described(_facts(seen)),
    )
    results = {one.validation: one for one in found.results} if found else {}
    here = due(service, environment)
    for validation in asked:
        result = results.get(validation) or _unasked(validation, required=validation in here)
        failed = result.outcome is Outcome.FAILURE
        yield AssetCheckResult(
            asset_key=key,
            check_name=validation.value,
            passed=result.outcome is Outcome.SUCCESS,
            severity=AssetCheckSeverity.ERROR if failed else AssetCheckSeverity.WARN,
            description=result.words,
            metadata=described(
                {"outcome": result.outcome.value, "link": result.url, **result.evidence}
            ),
        )


def _unasked(validation: Validation, *, required: bool) -> CheckResult:
    if required:
        return CheckResult(validation, Outcome.INCONCLUSIVE, NEVER_DEPLOYED)
    return CheckResult(validation, Outcome.SUCCESS, NOT_REQUIRED)


def _judged(found: Verification, delivery: Delivery) -> AssetMaterialization | AssetObservation:
    """On `<service>/verified`: a materialization is a way back, an observation is none."""
    event = AssetMaterialization if found.verified else AssetObservation
    return event(
        AssetKey([found.service, "verified"]),
        partition=found.environment,
        description=f"verification: {found.outcome}",
        metadata={
            **described(
                {
                    "verified": found.verified,
                    "digest": found.digest,
                    **{one.validation.value: one.words for one in found.results},
                    **{
                        one.limit.figure.value: one.measurement.value
                        for one in found.figures
                        if one.measurement.value is not None
                    },
                }
            ),
            **record_metadata(delivery, found),
        },
    )


def _facts(seen: HealthObservation) -> dict[str, object]:
    return {
        "state": seen.state.value,
        "reason": seen.reason,
        "digest": seen.digest,
        "failures in a row": seen.failures_in_a_row,
        **seen.evidence,
    }
