"""The composition root: settings, then catalog, then assets, sensors and resources."""

from dagster import Definitions, definitions

from flowmaster_delivery.defs.building import build
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import open_catalog


@definitions
def defs() -> Definitions:
    """What Dagster's servers load. Nothing happens until they call it."""
    settings = Settings.from_environ()
    return build(settings, open_catalog(settings))
