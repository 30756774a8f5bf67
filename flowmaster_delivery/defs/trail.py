"""What the steps of a run put on the audit trail: what they record, and what is refused in them."""

from __future__ import annotations

from dataclasses import replace

from dagster import AssetExecutionContext

from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.flows.auditing import VOUCHED
from flowmaster_delivery.model.audit import Action, Channel, Deed, Result
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.errors import DeliveryError, Refused
from flowmaster_delivery.model.promotion import Admission, Verdict
from flowmaster_delivery.policy.asking import people_decide
from flowmaster_delivery.policy.deeds.asking import of_verdict
from flowmaster_delivery.policy.deeds.records import of_record
from flowmaster_delivery.ports import Record
from flowmaster_delivery.wiring import here

WANTED = (Admission, CanaryOrder)
"""Records that something follows from: without an entry nothing does."""


def account_for(record: Record, delivery: Delivery, run_id: str) -> None:
    """Before the record counts. Raise what the trail raises where nothing has happened yet.

    Where nobody is asked, an admission is followed by its deployment, and that is entry enough.
    """
    deed = of_record(record, here(Channel.RUN), VOUCHED)
    if deed is None:
        return
    deed = replace(deed, run_id=run_id or deed.run_id)
    if not isinstance(record, WANTED):
        delivery.ports.audit.append_late(deed)
    elif people_decide(delivery.catalog.environment(deed.environment)):
        delivery.ports.audit.append(deed)


def gates_refused(context: AssetExecutionContext, verdict: Verdict, reason: str) -> None:
    """That a candidate was kept out, with every gate that is closed."""
    delivery: Delivery = context.resources.delivery
    who = delivery.asker(context.run).name
    run_id = context.run.run_id
    deed = of_verdict(verdict, who, VOUCHED, here(Channel.RUN), run_id, reason)
    delivery.ports.audit.append_late(deed)


def rule_refused(context: AssetExecutionContext, error: DeliveryError) -> None:
    """That a step which would admit, ship or bring back came to nothing, and why."""
    (key,) = context.selected_asset_keys
    service, chapter = key.path[0], key.path[-1]
    if chapter not in ("promotion", "deployment"):
        return
    form: Form = context.resources.form
    if not (form.ship or chapter == "deployment"):
        return
    delivery: Delivery = context.resources.delivery
    deed = Deed(
        Action.ROLLBACK_REFUSED if form.rollback_to else Action.PROMOTION_REFUSED,
        Result.REFUSED if isinstance(error, Refused) else Result.FAILED,
        delivery.now(),
        here(Channel.RUN),
        who=delivery.asker(context.run).name,
        via=VOUCHED,
        environment=context.partition_key,
        services=(service,),
        version=form.version or form.rollback_to,
        commit=form.commit,
        reason=str(error),
        run_id=context.run.run_id,
    )
    delivery.ports.audit.append_late(deed)
