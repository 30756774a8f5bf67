"""Canaries in the UI: orders given by the form, judgements as a table."""

from __future__ import annotations

from collections.abc import Sequence

from dagster import AssetExecutionContext, AssetKey, AssetObservation, MetadataValue
from dagster._core.definitions.metadata import MarkdownMetadataValue

from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described
from flowmaster_delivery.flows.canary import orders
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.policy.markdown import judged


def ordered(
    context: AssetExecutionContext,
    service: Service,
    environment: Environment,
    form: Form,
    delivery: Delivery,
) -> AssetObservation:
    """What the form tells the canary to do, on record; nothing is touched by this run."""
    given = orders.order(
        service,
        environment,
        form.canary,
        delivery.asker(context.run).name,
        form.reason,
        delivery.ports,
        delivery.now(),
    )
    facts = {"order": given.command.value, "by": given.by, "reason": given.reason}
    return AssetObservation(
        AssetKey([service.name, "deployment"]),
        description=f"{given.command} of the canary, by {given.by}: {given.reason}",
        partition=environment.name,
        metadata={**described(facts), **record_metadata(delivery, given, context.run.run_id)},
    )


def judgement_table(judgements: Sequence[Judgement]) -> dict[str, MarkdownMetadataValue]:
    """Every judgement with all that a person needs to judge again; nothing where there is none."""
    return {"canary": MetadataValue.md("\n".join(judged(judgements)))} if judgements else {}
