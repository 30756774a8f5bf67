"""Promotions again: every gate is asked of what the record holds, at the time of the admission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment, GateName, Service
from flowmaster_delivery.model.facts import GateFacts, OverrideFacts, Unread
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.promotion import Admission, GateCheck, GateState, Verdict
from flowmaster_delivery.model.rollout import last_success
from flowmaster_delivery.model.timeline import Timeline
from flowmaster_delivery.policy.gate import evaluate
from flowmaster_delivery.policy.replay.findings import Finding, Would
from flowmaster_delivery.policy.soak import reach

NOT_ON_RECORD = Unread("it is not on record")


def promotions(
    timeline: Timeline, policy: Catalog, environment: Environment, since: datetime
) -> Iterator[Finding]:
    """A finding for each admission of a service that the policy knows."""
    for admission in timeline.admissions:
        candidate = admission.candidate
        known = candidate.service in policy.services
        if candidate.environment == environment.name and admission.at >= since and known:
            yield _Again(admission, timeline, policy, environment).finding()


class _Again:
    """One admission, asked about again."""

    def __init__(
        self, admission: Admission, timeline: Timeline, policy: Catalog, environment: Environment
    ) -> None:
        self.admission, self.timeline = admission, timeline
        self.policy, self.environment = policy, environment
        self.candidate, self.now = admission.candidate, admission.at
        self.service: Service = policy.service(admission.candidate.service)

    def finding(self) -> Finding:
        what = self.candidate.version or self.candidate.commit[:8]
        happened = f"{what} was let in, asked by {self.admission.asked_by}"
        if self._runs_already():
            why = "this digest ran there already"
            return Finding(self.now, self.service.name, happened, Would.LET_IN, why, True)
        checks = self._verdict(self.environment).checks
        unmet = [check for check in checks if check.state is GateState.UNMET]
        unread = [check for check in checks if check.state is GateState.UNREADABLE]
        doubt = self._doubt(unmet)
        would = Would.REFUSED if unmet else Would.LET_IN
        return Finding(
            self.now,
            self.service.name,
            happened,
            Would.UNKNOWN if doubt else would,
            doubt or _said(unmet),
            is_promotion=True,
            not_on_record=tuple(_missing(unread)),
            as_it_happened=not unmet,
        )

    def _verdict(self, environment: Environment) -> Verdict:
        upstream = self.policy.upstream_of(environment)
        facts = self._facts(upstream)
        return evaluate(self.candidate, self.service, environment, upstream, facts, self.now)

    def _facts(self, upstream: Environment | None) -> GateFacts:
        return GateFacts(
            ci=NOT_ON_RECORD,
            image=NOT_ON_RECORD,
            upstream=self._looks(upstream),
            holds=self.timeline.holds_at(self.now),
            approvals=Unread(self._consents()),
            tag=NOT_ON_RECORD,
            signed=NOT_ON_RECORD,
            scan_passed=NOT_ON_RECORD,
            migrations=NOT_ON_RECORD,
            overrides=self._overrides(),
        )

    def _runs_already(self) -> bool:
        last = last_success(self.timeline.changes_of(self.service.name, self.now))
        return last is not None and last.digest == self.candidate.digest

    def _looks(self, upstream: Environment | None) -> tuple[HealthObservation, ...] | Unread:
        if upstream is None:
            return ()
        needed = self.now - reach(self.environment, self.service)
        for cut in self.timeline.cuts:
            here = (cut.service, cut.environment) == (self.service.name, upstream.name)
            if here and needed < cut.before:
                return Unread(f"looks before {cut.before:%Y-%m-%d %H:%M} UTC were left out")
        return self.timeline.looks_at(self.service.name, upstream.name)

    def _overrides(self) -> OverrideFacts:
        """Whoever gave one was of the group then; who is now says nothing about that day."""
        given = tuple(one for one in self.timeline.overrides if one.at <= self.now)
        return OverrideFacts(given, frozenset(one.by for one in given))

    def _consents(self) -> str:
        """What the record says of approvals: too little to count them."""
        own = (self.candidate.repository, self.candidate.version, self.candidate.commit)
        last = {
            a.by: a.withdrawn
            for a in self.timeline.approvals
            if (a.repository, a.version, a.commit) == own and a.at <= self.now
        }
        names = ", ".join(sorted(by for by, withdrawn in last.items() if not withdrawn))
        return (
            f"by command: {names or 'nobody'}; those of merge requests, and who was of the group, "
            "are not on record"
        )

    def _doubt(self, unmet: Iterable[GateCheck]) -> str:
        """Why a refusal is none for sure; empty where it is, or where nothing is refused."""
        refused = {check.gate: check for check in unmet}
        rule = self.environment.hotfix
        if rule is None or set(refused) != {GateName.SOAK}:
            return ""
        shorter = replace(rule.soak, earned_for=self.environment.soak.earned_for)
        verdict = self._verdict(replace(self.environment, soak=shorter))
        if any(check.state is GateState.UNMET for check in verdict.checks):
            return ""
        return f"{refused[GateName.SOAK].summary}; whether it was a hotfix is not on record"


def _said(checks: Iterable[GateCheck]) -> str:
    return "; ".join(f"{check.gate}: {check.summary}" for check in checks)


def _missing(unread: Iterable[GateCheck]) -> Iterator[str]:
    for check in unread:
        why = check.summary.removeprefix("could not be read: ")
        yield check.gate.value if why == NOT_ON_RECORD.why else f"{check.gate} ({why})"
