"""Records as sealed JSON in an event's metadata, and back. What is not sealed is not a record."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override, ReleaseSeen
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.seal import proves, signature
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.ports import Record
from flowmaster_delivery.redaction import hidden_within

KINDS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (
        ImageRecord,
        Admission,
        DeploymentRecord,
        HealthObservation,
        Verification,
        MigrationRecord,
        CanaryOrder,
        Incident,
        Hold,
        Approval,
        Override,
        ReleaseSeen,
    )
}


def encode(record: Record) -> str:
    """`{"kind": class name, "record": fields}`; times as ISO 8601 with their offset.

    Secrets are hidden here, before the seal: the event log does so too, and would break it.
    """
    kind = type(record).__name__
    fields = hidden_within(KINDS[kind].dump_python(record, mode="json"))
    return json.dumps({"kind": kind, "record": fields}, sort_keys=True, separators=(",", ":"))


def decode(key: str, text: object, seal: object) -> Record | None:
    """The record, or None where the seal does not belong to the text or nothing is sealed."""
    if not isinstance(text, str) or not isinstance(seal, str) or not proves(key, text, seal):
        return None
    try:
        content = json.loads(text)
        record: Record = KINDS[content["kind"]].validate_python(content["record"])
    except (ValidationError, ValueError, KeyError):  # sealed by another version of ours
        return None
    return record


def sealed(key: str, record: Record) -> tuple[str, str]:
    """The record's text and its seal."""
    text = encode(record)
    return text, signature(key, text)
