"""The one form of a run: what the launchpad asks for, once per run and not once per asset."""

from dagster import ConfigurableResource
from pydantic import Field

from flowmaster_delivery.flows.incidents.people import Wish
from flowmaster_delivery.flows.source import Wanted
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.rollback import RollbackMethod


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
    canary: str = Field(
        "",
        description="Order to the canary that runs: pause, resume, promote or abort. Needs a "
        "reason, touches nothing by itself, and waits for no other run.",
    )

    method: str = Field(
        "",
        description="How far a rollback reaches: 'revision' leaves the schema alone, 'migration' "
        "takes it back; as little as possible where empty.",
    )
    incident: str = Field("", description="The incident that the rollback carries out, by its id.")

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.repository, self.commit, self.ref, self.version)

    @property
    def wish(self) -> Wish:
        """What a rollback shall do. Raise Malformed where there is no such method."""
        known = [method.value for method in RollbackMethod]
        if self.method and self.method not in known:
            raise Malformed(f"there is no rollback method {self.method!r}: {', '.join(known)}")
        method = RollbackMethod(self.method) if self.method else None
        return Wish(self.rollback_to, method, self.incident)
