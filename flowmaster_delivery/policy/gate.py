"""The gate: may a candidate enter an environment? Every question is asked, none is skipped.

Closed unless proven open: a required fact that could not be read, or that is absent, is unmet.
Each question's own answer stands in `policy.questions`.
"""

from __future__ import annotations

from datetime import datetime

from flowmaster_delivery.model.catalog import Environment, GateName, Kind, Service
from flowmaster_delivery.model.facts import GateFacts, Unread
from flowmaster_delivery.model.promotion import Candidate, GateCheck, GateState, Verdict
from flowmaster_delivery.policy.overrides import let_past
from flowmaster_delivery.policy.questions import origin, people, residence, schemas
from flowmaster_delivery.policy.questions.asking import Answer, Asked, Question, unreadable

QUESTIONS: dict[GateName, Question] = {
    GateName.CI_PASSED: origin.ci_passed,
    GateName.IMAGE: origin.image,
    GateName.UPSTREAM_HEALTHY: residence.upstream_healthy,
    GateName.SOAK: residence.soak,
    GateName.APPROVALS: people.approvals,
    GateName.FREEZE: people.freeze,
    GateName.HOLD: people.hold,
    GateName.TAG_UNMOVED: origin.tag_unmoved,
    GateName.ON_MAIN: origin.on_main,
    GateName.SIGNATURE: origin.signature,
    GateName.SCAN: origin.scan,
    GateName.MIGRATIONS: schemas.migrations,
}
RUNS_SOMEWHERE = frozenset({GateName.UPSTREAM_HEALTHY, GateName.SOAK})
"""Questions about running, which nobody can ask of an artifact."""


def evaluate(
    candidate: Candidate,
    service: Service,
    environment: Environment,
    upstream: Environment | None,
    facts: GateFacts,
    now: datetime,
) -> Verdict:
    """Ask every gate. The checks stand in the order of GateName, each once."""
    asked = Asked(candidate, service, environment, upstream, facts, now)
    return Verdict(candidate, tuple(_check(name, asked) for name in GateName), now)


def _check(name: GateName, asked: Asked) -> GateCheck:
    if not asked.environment.requires(name):
        return GateCheck(name, GateState.NOT_REQUIRED, "not required by policy")
    if name in RUNS_SOMEWHERE and asked.service.kind is Kind.ARTIFACT:
        return GateCheck(name, GateState.NOT_REQUIRED, "an artifact runs nowhere")
    answer = QUESTIONS[name](asked)
    check = _as_check(name, unreadable(answer) if isinstance(answer, Unread) else answer)
    return let_past(check, asked)


def _as_check(name: GateName, answer: Answer) -> GateCheck:
    return GateCheck(
        gate=name,
        state=answer.state,
        summary=answer.summary,
        remedy=answer.remedy,
        opens_at=answer.opens_at,
        evidence=dict(answer.evidence),
    )
