"""Rollbacks again: the rules decide every case in the order of time.

What the policy did itself counts as done from then on; what people did stands as it is on record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.timeline import Timeline
from flowmaster_delivery.policy.health import FAILING
from flowmaster_delivery.policy.replay.cases import Seen, by_canary, canary_failures, cases_of
from flowmaster_delivery.policy.replay.findings import Finding, Would
from flowmaster_delivery.policy.rollback import (
    DONE,
    Case,
    Decision,
    Past,
    decide,
    environment_is_ill,
    incident_id,
    verified_before,
    what_brought,
)

WOULD = {
    Action.AUTOMATIC: Would.ROLLED_BACK,
    Action.ASK: Would.ASKED,
    Action.NEVER: Would.TOLD,
}
STATES = {
    Action.AUTOMATIC: IncidentState.ROLLED_BACK,
    Action.ASK: IncidentState.ASKED,
    Action.NEVER: IncidentState.LEFT,
}


def rollbacks(
    timeline: Timeline, policy: Catalog, environment: Environment, since: datetime
) -> Iterator[Finding]:
    """A finding for each case that the policy would have acted on, and for each rollback on record
    that it would not have made."""
    seen = [
        one
        for service in policy.services.values()
        for one in cases_of(service, environment, timeline)
        if one.at >= since
    ]
    walk = _Walk(timeline, policy, environment, since)
    for one in sorted(seen, key=_place):
        yield from walk.take(one)
    yield from walk.not_made()


def _place(one: Seen) -> tuple[datetime, str, str, str, str]:
    case = one.case
    return one.at, case.service, case.trigger.value, case.digest or "", case.words


@dataclass(slots=True)
class _Walk:
    """The way through all cases. `made` are the incidents of this policy, newest first."""

    timeline: Timeline
    policy: Catalog
    environment: Environment
    since: datetime
    made: list[Incident] = field(default_factory=list)

    def take(self, one: Seen) -> Iterator[Finding]:
        case = one.case
        ill = self._ill(case, one.at)
        if one.doubt:
            yield self._finding(one, Would.UNKNOWN, one.doubt)
        elif ill:
            yield self._finding(one, Would.TOLD, ill)
        else:
            decision = self._decide(case, one.at)
            if decision.action is not None:
                self.made.insert(0, self._incident(case, decision.action, decision.why, one.at))
                would = WOULD[decision.action]
                same = would is Would.ROLLED_BACK and self._happened(case)
                yield replace(self._finding(one, would, decision.why), as_it_happened=same)

    def not_made(self) -> Iterator[Finding]:
        """Rollbacks that went by themselves on record, of which this policy made no case."""
        known = {(i.services, i.from_digest) for i in self.made if i.state in DONE}
        asked = {(i.services, i.from_digest) for i in self.made if i.state not in DONE}
        for incident in self.timeline.incidents:
            own = (incident.services[:1], incident.from_digest)
            ours = (
                incident.environment == self.environment.name and incident.opened_at >= self.since
            )
            automatic = incident.action is Action.AUTOMATIC and incident.state in DONE
            person = incident.trigger in (Trigger.PERSON, Trigger.CANARY)
            if ours and automatic and not person and own not in known | asked:
                name = ", ".join(incident.services)
                words = f"incident {incident.id}: {incident.reason}"
                why = "nothing on record is over the limits of this policy"
                yield Finding(incident.opened_at, name, words, Would.LEFT, why)
        for record in self.timeline.deployments:
            yield from self._canary_that_goes_on(record)

    def _canary_that_goes_on(self, record: DeploymentRecord) -> Iterator[Finding]:
        service = self.policy.services.get(record.service)
        here = record.environment == self.environment.name and record.finished_at >= self.since
        if service is None or not here or not by_canary(record):
            return
        if not canary_failures(record, service, self.environment):
            words = f"the canary of {record.version or record.digest[:19]} was taken away"
            rule = self.environment.safeguards_of(service).canary
            why = "it would have gone on" if rule else "it tries nothing by canary here"
            yield Finding(record.finished_at, service.name, words, Would.LEFT, why)

    def _decide(self, case: Case, now: datetime) -> Decision:
        """A canary is taken away whatever the rules say of what runs: that was never touched."""
        if case.trigger is Trigger.CANARY:
            return Decision(Action.AUTOMATIC, "a canary that fails is taken away")
        service = self.policy.service(case.service)
        rule = self.environment.safeguards_of(service).rollback
        records = self.timeline.changes_of(case.service, now)
        change = incident_id(
            case.service, case.environment, case.digest, what_brought(case.digest, records)
        )
        own = tuple(i for i in self.made if case.service in i.services)
        standing = tuple(i for i in own if i.id == change or i.state in DONE)
        gone = any(i.id == change and i.state in DONE for i in own)
        if gone:
            return Decision(None, "it was rolled back before")
        past = Past(records, standing, self.timeline.holds_at(now), self._back(case, records, now))
        return decide(case, rule, past, now)

    def _back(
        self, case: Case, records: tuple[DeploymentRecord, ...], now: datetime
    ) -> DeploymentRecord | None:
        looks = self.timeline.looks_at(case.service, case.environment)
        healthy = {
            look.digest
            for look in looks
            if look.at <= now and look.state is HealthState.HEALTHY and look.digest
        }
        verified = [
            v
            for v in reversed(self.timeline.verifications)
            if (v.service, v.environment) == (case.service, case.environment) and v.at <= now
        ]
        return verified_before(records, verified, healthy, self.since, leaving=case.digest)

    def _ill(self, case: Case, now: datetime) -> str:
        """Why it is the environment that is ill; empty where it is not."""
        if case.trigger is not Trigger.HEALTH:
            return ""
        rule = self.environment.safeguards_of(self.policy.service(case.service)).rollback
        around = now + self.environment.health.look_every
        enough, name = self.environment.health.failures_in_a_row, self.environment.name
        services = self.policy.services
        last = (self.timeline.last_look(service, name, around) for service in services)
        failing = sum(
            look is not None and look.state in FAILING and look.failures_in_a_row >= enough
            for look in last
        )
        if not environment_is_ill(failing, len(services), rule):
            return ""
        return f"{failing} of {len(services)} services fail: the environment is ill"

    def _incident(self, case: Case, action: Action, why: str, now: datetime) -> Incident:
        records = self.timeline.changes_of(case.service, now)
        brought = what_brought(case.digest, records)
        return Incident(
            id=incident_id(case.service, case.environment, case.digest, brought),
            environment=case.environment,
            services=(case.service,),
            trigger=case.trigger,
            action=action,
            state=STATES[action],
            opened_at=now,
            updated_at=now,
            reason=case.words,
            why=why,
            from_digest=case.digest,
        )

    def _happened(self, case: Case) -> bool:
        """Whether the next thing done to the service was to leave this image."""
        own = [r for r in self.timeline.deployments if r.service == case.service]
        if case.trigger is Trigger.CANARY:  # which changed nothing of the service itself
            return any(r.digest == case.digest and by_canary(r) for r in own)
        after = [r for r in own if r.changed and r.started_at >= case.at]
        first = min(after, key=lambda r: (r.started_at, r.finished_at), default=None)
        left = first is not None and first.previous_digest == case.digest
        return left and first is not None and first.method is Method.ROLLBACK

    def _finding(self, one: Seen, would: Would, why: str) -> Finding:
        case = one.case
        return Finding(one.at, case.service, f"{case.trigger}: {case.words}", would, why)
