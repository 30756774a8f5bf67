"""Orders to canaries, and what canaries there are to order about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowmaster_delivery.model.canary import Canary, CanaryCommand, CanaryOrder, CanaryStep
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import NotFound, Refused, nearest
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Workload
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.canary import counting, share
from flowmaster_delivery.ports import Ports

MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Running:
    """A canary of a service, as the cluster has it at this moment."""

    service: str
    environment: str
    digest: str
    version: str | None
    step: int
    """From 1."""
    steps: int
    share: str
    """`1 of 4 pods`, `10 % by route`."""
    said: str
    """The words of its last judgement."""
    verdict: Outcome | None
    asked: bool
    """Whether a person is asked what becomes of it."""
    started_at: datetime
    expires_at: datetime
    run_id: str
    order: CanaryOrder | None
    """The newest order that speaks of it."""


def order(
    service: Service,
    environment: Environment,
    command: str,
    by: str,
    reason: str,
    ports: Ports,
    now: datetime,
) -> CanaryOrder:
    """The order of a person to the canary that runs; whoever calls puts it on record.

    Raise Refused without a reason, for an unknown command, and where there is no canary to order.
    """
    known = [one.value for one in CanaryCommand]
    if command not in known:
        raise Refused(f"a canary knows no order {command!r}; {nearest(command, known)}")
    where = f"{service.name} in {environment.name}"
    if not reason.strip():
        raise Refused(f"an order to the canary of {where} needs a reason; give one")
    found = ports.cluster(environment).canaries().get(service.workload_name)
    canary = canary_marks.read(found.annotations) if found else None
    if canary is None:
        raise Refused(f"no canary of {where} is running; `flowmaster canary status` lists those")
    if canary.verdict is not None:
        raise Refused(f"the canary of {where} has ended already ({canary.verdict}): {canary.said}")
    # Two machines' clocks may differ: it speaks of the canary that was just seen.
    at = max(now, canary.started_at + MOMENT)
    kind = CanaryCommand(command)
    return CanaryOrder(service.name, environment.name, kind, by, reason.strip(), at)


def running(
    environments: Iterable[Environment], catalog: Catalog, ports: Ports
) -> tuple[Running, ...]:
    """The canaries of environments, in the order of the catalog."""
    return tuple(one for environment in environments for one in _of(environment, catalog, ports))


def _of(environment: Environment, catalog: Catalog, ports: Ports) -> Iterator[Running]:
    every = [s for s in catalog.services.values() if s.kind is Kind.DEPLOYMENT]
    if not any(environment.safeguards_of(service).canary for service in every):
        return
    canaries = ports.cluster(environment).canaries()
    for service in every:
        found = canaries.get(service.workload_name)
        canary = canary_marks.read(found.annotations) if found else None
        if found is not None and canary is not None:
            yield _seen(service, environment, found, canary, ports)


def _seen(
    service: Service, environment: Environment, found: Workload, canary: Canary, ports: Ports
) -> Running:
    rule = environment.safeguards_of(service).canary
    steps = rule.steps if rule else ()
    step = (
        steps[min(canary.step, len(steps) - 1)]
        if steps
        else CanaryStep(found.desired, timedelta(0))
    )
    orders = counting(ports.history.canary_orders(service.name, environment.name), canary)
    return Running(
        service=service.name,
        environment=environment.name,
        digest=canary.digest,
        version=canary.version,
        step=canary.step + 1,
        steps=max(len(steps), canary.step + 1),
        share=share(canary, step, found.available, _stable_pods(service, environment, ports)),
        said=canary.said,
        verdict=canary.verdict,
        asked=canary.asked_at is not None,
        started_at=canary.started_at,
        expires_at=canary.expires_at,
        run_id=canary.run_id,
        order=orders[0] if orders else None,
    )


def _stable_pods(service: Service, environment: Environment, ports: Ports) -> int:
    try:
        return ports.cluster(environment).workload(service).available
    except NotFound:
        return 0
