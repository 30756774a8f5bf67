"""Partitions: one per environment of the catalog, in the order of promotion."""

from __future__ import annotations

from functools import cache

from dagster import StaticPartitionsDefinition

from flowmaster_delivery.model.catalog import Catalog


def environments(catalog: Catalog) -> StaticPartitionsDefinition:
    """The same definition for all assets and checks: thousands of them share it."""
    return _partitions(tuple(catalog.environments))


@cache
def _partitions(names: tuple[str, ...]) -> StaticPartitionsDefinition:
    return StaticPartitionsDefinition(list(names))
