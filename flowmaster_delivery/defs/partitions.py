"""Partitions: one per environment of the catalog, in the order of promotion."""

from __future__ import annotations

from dagster import StaticPartitionsDefinition

from flowmaster_delivery.model.catalog import Catalog


def environments(catalog: Catalog) -> StaticPartitionsDefinition:
    return StaticPartitionsDefinition(list(catalog.environments))
