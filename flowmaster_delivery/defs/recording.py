"""The sealed record that makes an event of a run count in the history."""

from __future__ import annotations

from dagster import TextMetadataValue

from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.ports import Record
from flowmaster_delivery.wiring import metadata_of


def record_metadata(delivery: Delivery, record: Record) -> dict[str, TextMetadataValue]:
    return metadata_of(record, delivery.settings)
