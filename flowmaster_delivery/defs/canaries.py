"""Canaries in the UI: orders given by the form, judgements as a table."""

from __future__ import annotations

from collections.abc import Iterable

from dagster import AssetExecutionContext, AssetKey, AssetObservation, MetadataValue
from dagster._core.definitions.metadata import MarkdownMetadataValue

from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described
from flowmaster_delivery.flows import canary_orders
from flowmaster_delivery.model.analysis import Judgement, Measurement
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.policy.analysis import shown
from flowmaster_delivery.policy.wording import span

COLUMNS = ("figure", "value", "may be", "baseline", "requests", "window", "outcome", "query")


def ordered(
    context: AssetExecutionContext,
    service: Service,
    environment: Environment,
    form: Form,
    delivery: Delivery,
) -> AssetObservation:
    """What the form tells the canary to do, on record; nothing is touched by this run."""
    given = canary_orders.order(
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
        metadata={**described(facts), **record_metadata(delivery, given)},
    )


def judgement_table(judgements: Iterable[Judgement]) -> dict[str, MarkdownMetadataValue]:
    """Every judgement with all that a person needs to judge again; nothing where there is none."""
    rows = [_row(judgement) for judgement in judgements]
    if not rows:
        return {}
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    return {"canary": MetadataValue.md("\n".join([*head, *rows]))}


def _row(judgement: Judgement) -> str:
    measured, limit = judgement.measurement, judgement.limit
    requests = "" if measured.requests is None else f"{measured.requests:.0f}"
    cells = (
        limit.figure.value,
        measured.error or shown(limit.figure, measured.value),
        shown(limit.figure, judgement.threshold),
        _baseline(judgement.baseline),
        requests,
        span(measured.window),
        judgement.outcome.value,
        f"`{measured.query}`" if measured.query else "",
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _baseline(measured: Measurement | None) -> str:
    if measured is None:
        return ""
    return measured.error or shown(measured.figure, measured.value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
