"""What a step hands to the flows: who asks, in which run, and how to speak while it waits."""

from __future__ import annotations

import threading

from dagster import AssetExecutionContext

from flowmaster_delivery.defs.executor import state_of
from flowmaster_delivery.defs.recording import ProgressLog
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import step_key
from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.work import Work


def work_of(context: AssetExecutionContext, delivery: Delivery, reason: str = "") -> Work:
    """For incidents: in this run, in the name of whoever asked for it."""
    asked = Asked(context.run.run_id, delivery.asker(context.run).name, reason)
    pace, along = pace_of(context, delivery), _going_along(context, delivery)
    return Work(delivery.catalog, delivery.ports, asked, pace, along)


def pace_of(context: AssetExecutionContext, delivery: Delivery) -> Pace:
    """Time, what is said while it passes, and whether the run was canceled."""
    return Pace(delivery.now, ProgressLog(context), cancelled(context).is_set)


def cancelled(context: AssetExecutionContext) -> threading.Event:
    return state_of(context.run.run_id).cancelled


def _going_along(context: AssetExecutionContext, delivery: Delivery) -> frozenset[str]:
    """The services whose deployment is a step of the same run."""
    steps = state_of(context.run.run_id).steps
    names = delivery.catalog.services
    return frozenset(name for name in names if step_key(name, "deployment") in steps)
