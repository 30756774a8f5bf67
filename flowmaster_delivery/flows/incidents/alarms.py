"""What people are told of incidents, in words: who should know, how loudly, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.events import Event, Severity
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.policy.incident_report import title
from flowmaster_delivery.policy.wording import moment


def whom(incident: Incident, catalog: Catalog) -> tuple[str, ...]:
    """Who is told of it: the channel of the platform, and the owners of the services."""
    channel = [catalog.notify_channel] if catalog.notify_channel else []
    known = [catalog.services[name] for name in incident.services if name in catalog.services]
    return tuple(dict.fromkeys([*channel, *(owner for s in known for owner in s.owners)]))


def opened(incident: Incident, environment: Environment) -> Event:
    """That something speaks against a release, and what is done about it."""
    loud = Severity.WARNING if environment.automatic else Severity.CRITICAL
    return _event("incident_opened", incident, loud, incident.opened_at)


def asked(incident: Incident, now: datetime) -> Event:
    return _event("rollback_asked", incident, Severity.WARNING, now, *_choices(incident, now))


def escalated(incident: Incident, now: datetime) -> Event:
    """Nobody has decided by the deadline: told again, louder; nothing is done by itself."""
    words = "nobody has decided by the deadline, and nothing is done by itself"
    choices = _choices(incident, now)
    return _event("rollback_escalated", incident, Severity.CRITICAL, now, words, *choices)


def failed(incident: Incident, words: str, now: datetime) -> Event:
    """The rollback itself failed: automation stops there until a person has looked."""
    held = (
        f"{incident.environment} is held as a whole: nothing is promoted or rolled back by itself"
    )
    undo = f"when it is mended: flowmaster hold release {incident.hold_id}"
    return _event("rollback_failed", incident, Severity.CRITICAL, now, words, held, undo)


def delayed(incident: Incident, words: str, now: datetime) -> Event:
    """The cluster gives no answer: it is carried on when it does."""
    return _event("rollback_delayed", incident, Severity.CRITICAL, now, words)


def ill(incident: Incident, now: datetime) -> Event:
    return _event("environment_ill", incident, Severity.CRITICAL, now)


def _choices(incident: Incident, now: datetime) -> Iterator[str]:
    if incident.deadline:
        yield f"decide by {moment(incident.deadline, now)}:"
    yield f"roll back: flowmaster incident approve {incident.id}"
    yield f"live with it: flowmaster incident dismiss {incident.id} --reason …"


def _event(kind: str, incident: Incident, severity: Severity, at: datetime, *more: str) -> Event:
    told = f"for {', '.join(incident.told)}" if incident.told else ""
    report = f"report: flowmaster incident show {incident.id}"
    lines = (incident.reason, incident.why, *more, report, told)
    return Event(
        kind,
        title(incident),
        "\n".join(filter(None, lines)),
        severity,
        at,
        service=incident.services[0] if len(incident.services) == 1 else None,
        environment=incident.environment,
    )
