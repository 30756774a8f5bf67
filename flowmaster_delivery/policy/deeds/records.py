"""What goes on the audit trail of a record."""

from __future__ import annotations

from flowmaster_delivery.model.audit import Deed, Whence
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.policy.deeds.delivery import of_admission, of_deployment, of_incident
from flowmaster_delivery.policy.deeds.people import (
    of_approval,
    of_canary_order,
    of_hold,
    of_override,
    of_schema_word,
)


def of_record(record: object, whence: Whence, via: str = "") -> Deed | None:
    """None for what is only seen, and for what another record of the same deed says already.

    `via` is how it is known who: of people, not of the platform itself.
    """
    match record:
        case Hold():
            return of_hold(record, whence, via)
        case Override():
            return of_override(record, whence, via)
        case Approval():
            return of_approval(record, whence, via)
        case Admission():
            return of_admission(record, whence, via)
        case DeploymentRecord():
            return of_deployment(record, whence, via)
        case Incident():
            return of_incident(record, whence, via)
        case CanaryOrder():
            return of_canary_order(record, whence, via)
        case MigrationRecord() if record.settled:
            return of_schema_word(record, whence, via)
        case _:
            return None
