"""`<service>/deployment`: bring what was admitted to the cluster, or back what ran before.

The gate is asked again here, since a run may select only this asset. Failed tries are on record as
observations: a failed rollout leaves the old version serving, and its materialization standing.
"""

from collections.abc import Iterable, Iterator

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    AssetsDefinition,
    DataVersion,
    Failure,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from flowmaster_delivery.defs.canaries import judgement_table, ordered
from flowmaster_delivery.defs.executor import state_of
from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import (
    again_or_failure,
    described,
    in_our_words,
    spec,
    step_key,
)
from flowmaster_delivery.defs.working import pace_of, work_of
from flowmaster_delivery.flows.entry import (
    admitted_candidate,
    may_ask,
    reason_on_record,
    why_not_any_more,
)
from flowmaster_delivery.flows.incidents.cases import after_deployment
from flowmaster_delivery.flows.incidents.people import by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.telling import deployed
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.policy.incident_report import report, title

DESCRIPTION = """Brings the admitted image to the cluster by digest, wave by wave, and waits until
all of it runs; by canary where the environment asks for one. With `rollback_to` in the form: back
to what ran before. With `canary`: an order to the canary that runs, and nothing else."""

Result = AssetObservation | MaterializeResult[None]


def deployment_asset(catalog: Catalog, service: Service) -> AssetsDefinition:
    made = spec(
        catalog,
        service,
        "deployment",
        deps=("promotion",),
        kinds={"kubernetes"},
        description=DESCRIPTION,
    )
    step = step_key(service.name, "deployment")

    @multi_asset(name=step, specs=[made], required_resource_keys={"form", "delivery"})
    def deployment(context: AssetExecutionContext) -> Iterator[Result]:
        form: Form = context.resources.form
        delivery: Delivery = context.resources.delivery
        if not form.rollback_to:  # a service that cannot go back keeps no other from it
            _stop_after_a_failed_wave(context, step)
        work = work_of(context, delivery, form.reason)
        incident = None
        with in_our_words(context):
            environment = catalog.environment(context.partition_key)
            may_ask(delivery.asker(context.run), environment, delivery.recent().members)
            if form.canary:
                yield ordered(context, service, environment, form, delivery)
                return
            if form.rollback_to:
                incident = by_person(service, environment, form.wish, work)
                record = carried_out(incident, work)
            else:
                record = _roll_out(context, service, environment, form, delivery)
        metadata = {
            **described(_facts(catalog, service, record, delivery)),
            **_reported(incident),
            **judgement_table(record.judgements),
            **record_metadata(delivery, record),
        }
        key = AssetKey([service.name, "deployment"])
        if record.outcome is Outcome.SUCCESS:
            yield MaterializeResult(
                asset_key=key, metadata=metadata, data_version=DataVersion(record.digest)
            )
        else:
            yield AssetObservation(key, partition=environment.name, metadata=metadata)
        with in_our_words(context):
            followed = _follow(record, incident, environment, work)
        if record.outcome is not Outcome.SUCCESS:
            raise _unsuccessful(context, record, followed)

    return deployment


def _follow(
    record: DeploymentRecord, incident: Incident | None, environment: Environment, work: Work
) -> tuple[Incident, ...]:
    """What follows once it is on record: the end of a rollback, or one that the rules ask for.

    People are told afterwards: no way back waits for a chat server.
    """
    if incident is not None:
        return (close(incident, record, work),)
    followed = after_deployment(record, work)
    told = deployed(record, environment)
    if told:
        work.ports.notifier.tell(told)
    return followed


def _reported(incident: Incident | None) -> dict[str, MarkdownMetadataValue]:
    return {"report": MetadataValue.md(report(incident))} if incident else {}


def _unsuccessful(
    context: AssetExecutionContext, record: DeploymentRecord, followed: Iterable[Incident]
) -> Exception:
    """A failure stands. An error says nothing of the image: the cluster is asked again."""
    if record.outcome is Outcome.ERROR:
        return again_or_failure(context, record.message)
    what = (f"{title(incident)} (incident {incident.id})" for incident in followed)
    return Failure("; ".join([record.message, *what]), allow_retries=False)


def _stop_after_a_failed_wave(context: AssetExecutionContext, step: str) -> None:
    failed = state_of(context.run.run_id).failed_before(step)
    if failed:
        names = ", ".join(name.replace("__", "/") for name in failed)
        raise Failure(f"stopped: an earlier wave failed: {names}", allow_retries=False)


def _roll_out(
    context: AssetExecutionContext,
    service: Service,
    environment: Environment,
    form: Form,
    delivery: Delivery,
) -> DeploymentRecord:
    candidate, admission = admitted_candidate(
        service, environment, form.wanted, delivery.recent(), delivery.now()
    )
    return roll_out(
        candidate,
        delivery.catalog,
        delivery.ports,
        run_id=context.run.run_id,
        asked_by=delivery.asker(context.run).name,
        still_admitted=lambda: why_not_any_more(candidate, delivery.recent(), delivery.now()),
        reason=reason_on_record(form.reason, admission),
        pace=pace_of(context, delivery),
    )


def _facts(
    catalog: Catalog, service: Service, record: DeploymentRecord, delivery: Delivery
) -> dict[str, object]:
    repository = catalog.repository(service.repository)
    forge = delivery.ports.forge
    return {
        "outcome": record.outcome.value,
        "message": record.message,
        "reference": catalog.reference(service, record.digest),
        "digest": record.digest,
        "version": record.version,
        "previous digest": record.previous_digest,
        "method": record.method.value,
        "commit": forge.url(repository, commit=record.commit) if record.commit else None,
        "tag": forge.url(repository, tag=record.version) if record.version else None,
        "asked by": record.asked_by,
        "reason": record.reason,
        "revision": record.revision,
        "fencing token": record.token,
        "duration (s)": (record.finished_at - record.started_at).total_seconds(),
        "changed": record.changed,
        "problems": "\n".join(f"{p.pod}: {p.reason}: {p.message}" for p in record.problems),
    }
