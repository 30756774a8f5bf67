"""The one form of a run: what the launchpad asks for, once per run and not once per asset."""

from dagster import ConfigurableResource
from pydantic import Field

from flowmaster_delivery.flows.source import Wanted


class Form(ConfigurableResource):  # type: ignore[type-arg]  # its type parameter is of no use here
    """Everything may stay empty: then the environment's own ref decides."""

    repository: str = Field("", description="Repository; the services' own where empty.")
    commit: str = Field("", description="Commit; the head of the ref where empty.")
    ref: str = Field("", description="Branch or tag; the environment's own where empty.")
    version: str = Field("", description="Release vX.Y.Z; the newest where empty.")
    reason: str = Field("", description="Why, for the record.")
    ship: bool = Field(
        False,
        description="Go ahead where the gate is open. Without it production gets a prognosis only.",
    )
    partial: bool = Field(
        False, description="Ship the services whose gates are open although others are closed."
    )
    rollback_to: str = Field(
        "", description="Roll back: 'previous' or a version. Asks neither gates nor registry."
    )

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.repository, self.commit, self.ref, self.version)
