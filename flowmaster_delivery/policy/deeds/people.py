"""What people say and it holds at once: holds, overrides, approvals, orders to canaries, words."""

from __future__ import annotations

from flowmaster_delivery.model.audit import Action, Deed, Result, Whence
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.promotion import Approval, Hold, Override
from flowmaster_delivery.policy.deeds.naming import said, via_of


def of_hold(hold: Hold, whence: Whence, via: str) -> Deed:
    released = hold.released_at is not None
    who = (hold.released_by or "") if released else hold.author
    return Deed(
        Action.HOLD_RELEASED if released else Action.HOLD_PLACED,
        Result.ACCEPTED,
        hold.released_at or hold.at,
        whence,
        who=who,
        via=via_of(who, via),
        environment=hold.environment,
        services=(hold.service,),
        reason=hold.release_reason if released else hold.reason,
        details=said(
            hold=hold.id,
            fingerprint=hold.fingerprint,
            held=f"by {hold.author}: {hold.reason}" if released else "",
        ),
    )


def of_override(override: Override, whence: Whence, via: str) -> Deed:
    return Deed(
        Action.OVERRIDE_GIVEN,
        Result.ACCEPTED,
        override.at,
        whence,
        who=override.by,
        via=via_of(override.by, via),
        environment=override.environment,
        version=override.version,
        commit=override.commit,
        reason=override.reason,
        gates=(override.gate.value,),
        details={
            "override": override.id,
            "repository": override.repository,
            "until": override.expires_at.isoformat(),
        },
    )


def of_approval(approval: Approval, whence: Whence, via: str) -> Deed:
    withdrawn = approval.withdrawn
    return Deed(
        Action.APPROVAL_WITHDRAWN if withdrawn else Action.APPROVAL_GIVEN,
        Result.ACCEPTED,
        approval.at,
        whence,
        who=approval.by,
        via=via_of(approval.by, via),
        services=tuple(sorted(approval.digests)),
        version=approval.version,
        commit=approval.commit,
        details={
            "repository": approval.repository,
            "person": str(approval.by_id),
            **approval.digests,
        },
    )


def of_canary_order(order: CanaryOrder, whence: Whence, via: str) -> Deed:
    return Deed(
        Action.CANARY_ORDERED,
        Result.ACCEPTED,
        order.at,
        whence,
        who=order.by,
        via=via_of(order.by, via),
        environment=order.environment,
        services=(order.service,),
        reason=order.reason,
        details={"command": order.command.value},
    )


def of_schema_word(word: MigrationRecord, whence: Whence, via: str) -> Deed:
    return Deed(
        Action.SCHEMA_SETTLED,
        Result.ACCEPTED,
        word.at,
        whence,
        who=word.asked_by,
        via=via_of(word.asked_by, via),
        environment=word.environment,
        services=(word.migration.job,),
        reason=word.message,
        details={"schema": str(word.migration.after)},
    )
