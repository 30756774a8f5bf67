"""What a run leaves behind: sealed records that count in the history, and words in its log."""

from __future__ import annotations

from dagster import AssetExecutionContext, TextMetadataValue

from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.trail import account_for
from flowmaster_delivery.model.rollout import Progress
from flowmaster_delivery.ports import Record
from flowmaster_delivery.wiring import metadata_of


def record_metadata(
    delivery: Delivery, record: Record, run_id: str = ""
) -> dict[str, TextMetadataValue]:
    """The sealed record that makes an event of a run count in the history; on the audit trail
    before. Raise what the trail raises where something would follow from the record."""
    account_for(record, delivery, run_id)
    return metadata_of(record, delivery.settings)


class ProgressLog:
    """Writes each new sentence of a wait to the run's log, once."""

    def __init__(self, context: AssetExecutionContext) -> None:
        self._context, self._last = context, ""

    def __call__(self, progress: Progress) -> None:
        if progress.message != self._last:
            self._last = progress.message
            self._context.log.info(progress.message)
