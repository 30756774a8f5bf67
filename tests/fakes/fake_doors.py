"""Doors of a checkup that lead nowhere: a test replaces those that it is about."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.model.errors import NotConfigured
from flowmaster_delivery.ports.checkup import Doors


class Nowhere:
    """Whatever is asked, this process was not given it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        raise NotConfigured("nothing is configured here; configure it")


def no_doors() -> Doors:
    nowhere: Any = Nowhere()
    return Doors(
        secrets=(),
        smoke_secret=nowhere,
        seal_key=nowhere,
        forge=nowhere,
        registry=nowhere,
        registry_user=None,
        cluster=nowhere,
        cluster_door=nowhere,
        inside=True,
        metrics=nowhere,
        dagster=nowhere,
        dagster_named=False,
        storage=nowhere,
    )
