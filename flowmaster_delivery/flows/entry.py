"""Entry: which candidate a run asks about, and whether its asker may ask here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.flows.promotion import candidate_of, evaluate, newest_candidate
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.source import Wanted
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import Refused, Unreachable
from flowmaster_delivery.model.promotion import Admission, Candidate, GateState
from flowmaster_delivery.policy.asking import Asker, not_permitted, operators_to_ask
from flowmaster_delivery.policy.overrides import overridden

Members = Callable[[str], frozenset[str]]
"""Usernames of a GitLab group."""


def wanted_candidate(
    service: Service, environment: Environment, wanted: Wanted, reading: Reading
) -> Candidate:
    """The image of the commit that the form names, else of its version, else the newest one."""
    version = wanted.version.rpartition("@")[2] or None
    if wanted.commit:
        records = reading.ports.history.images(service.name, environment.name)
        for record in records:
            if record.commit == wanted.commit and record.version == version:
                return candidate_of(service, record)
    return newest_candidate(service, environment, version, reading)


def may_ask(who: Asker, environment: Environment, members: Members) -> None:
    """Raise Refused where people decide and the asker is unknown or not of the operators.

    Asked when a run is submitted and again at the moment of effect. A group that cannot be read is
    raised as its own error: it lets nobody pass.
    """
    group = operators_to_ask(who, environment)
    refused = not_permitted(who, environment, members(group) if group else frozenset())
    if refused:
        raise Refused(refused)


def admitted_candidate(
    service: Service, environment: Environment, wanted: Wanted, reading: Reading, now: datetime
) -> tuple[Candidate, Admission]:
    """What was admitted last, with its gate asked again at this moment: nothing goes round it.

    The admission names the overrides that it needs now. Raise Refused where nothing was admitted,
    where something else was, or where the gate closed.
    """
    where = f"{service.name} in {environment.name}"
    admissions = reading.ports.history.admissions(service.name, environment.name, limit=1)
    if not admissions:
        raise Refused(f"nothing was admitted for {where}; materialize its promotion first")
    candidate = admissions[0].candidate
    if wanted.commit and candidate.commit != wanted.commit:
        raise Refused(
            f"{wanted.commit[:8]} was not admitted for {where}, {candidate.commit[:8]} was; "
            "materialize its promotion first"
        )
    verdict = evaluate(candidate, reading, now)
    if not verdict.open:
        reasons = "; ".join(f"{check.gate}: {check.summary}" for check in verdict.unmet)
        raise Refused(f"the gate of {where} is closed: {reasons}")
    return candidate, replace(admissions[0], overrides=overridden(verdict.checks))


def reason_on_record(given: str, admission: Admission) -> str:
    """Why it is brought there, with every gate that it was let past."""
    return "; ".join(filter(None, (given or admission.reason, *admission.overrides)))


def why_not_any_more(candidate: Candidate, reading: Reading, now: datetime) -> str:
    """Why what was admitted may not go on at this moment; nothing where it may.

    Raise Unreachable where only facts are missing: what is not known takes nothing back.
    """
    history = reading.ports.history
    admissions = history.admissions(candidate.service, candidate.environment, limit=1)
    if not admissions or admissions[0].candidate.digest != candidate.digest:
        return "something else was admitted meanwhile"
    verdict = evaluate(candidate, reading, now)
    shut = [check for check in verdict.unmet if check.state is not GateState.UNREADABLE]
    reasons = "; ".join(f"{check.gate}: {check.summary}" for check in shut or verdict.unmet)
    if verdict.unmet and not shut:
        raise Unreachable(reasons)
    return reasons
