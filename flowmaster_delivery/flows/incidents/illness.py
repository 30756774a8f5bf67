"""An environment that is ill: so much fails at once that it is not the images. Hold and page."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Set
from dataclasses import replace

from flowmaster_delivery.flows.incidents import alarms
from flowmaster_delivery.flows.incidents.opening import save, tell, with_words
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Hold
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.policy.rollback import Case, environment_is_ill

SHOWN = 5
"""Failing services that are named in the sentence; all of them stand in the incident."""


def hold_if_ill(
    environment: Environment, failing: Set[str], of: int, cases: Iterable[Case], work: Work
) -> bool:
    """Whether the environment is ill; then it is held as a whole, and nothing is rolled back.

    Once: as long as it is held, people know.
    """
    if not environment_is_ill(len(failing), of, environment.safeguards.rollback):
        return False
    if not any(hold.stops_all(environment.name) for hold in work.history.holds()):
        _hold(environment, failing, of, cases, work)
    return True


def _hold(
    environment: Environment, failing: Set[str], of: int, cases: Iterable[Case], work: Work
) -> None:
    now, services = work.now(), tuple(sorted(failing))
    named = ", ".join(services[:SHOWN]) + (", …" if len(services) > SHOWN else "")
    share = environment.safeguards.rollback.ill_share
    incident = Incident(
        id=uuid.uuid4().hex[:8],
        environment=environment.name,
        services=services,
        trigger=Trigger.HEALTH,
        action=Action.NEVER,
        state=IncidentState.LEFT,
        opened_at=now,
        updated_at=now,
        reason=f"{len(services)} of {of} services fail at once: {named}",
        why=f"with more than {share:.0%} it is {environment.name} that is ill, and not the images",
        evidence={case.service: case.words for case in cases},
    )
    hold = Hold(
        id=incident.id,
        service=EVERY_SERVICE,
        environment=environment.name,
        author=work.asked.by,
        reason=f"{incident.reason} (incident {incident.id})",
        at=now,
    )
    told = alarms.whom(incident, work.catalog)
    words = f"{environment.name} is held as a whole: {hold.id}; nothing is rolled back"
    incident = replace(incident, told=told, hold_id=hold.id)
    incident = save(with_words(incident, now, incident.reason, words), work.history)
    work.history.record(hold)
    tell(alarms.ill(incident, now), work)
