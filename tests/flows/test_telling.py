"""What people are told of refusals and deployments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.flows.telling import deployed, refused
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate, GateCheck, GateState, Verdict
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from tests.flows.conftest import NOW, a_catalog

PRODUCTION = a_catalog().environments["production"]
DEV = a_catalog().environments["dev"]
RECORD = DeploymentRecord(
    "api", "production", Method.ROLLOUT, Outcome.SUCCESS, "sha256:1", None, "f", "c" * 40,
    NOW, NOW, "sam", reason="spring release", version="v1.1.0", message="2 of 2 replicas run it",
)  # fmt: skip


def test_a_rollout_is_told_with_who_asked_and_why() -> None:
    told = deployed(RECORD, PRODUCTION)
    assert told is not None
    assert (told.kind, told.severity) == ("deployed", Severity.INFO)
    assert "asked by sam" in told.text
    assert "spring release" in told.text


def test_nothing_is_told_where_nothing_was_touched() -> None:
    assert deployed(replace(RECORD, changed=False), PRODUCTION) is None


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.ERROR, Outcome.INCONCLUSIVE])
def test_a_rollout_that_failed_is_loud_in_production_only(outcome: Outcome) -> None:
    failed = replace(RECORD, outcome=outcome, message="CrashLoopBackOff")
    in_production, in_dev = deployed(failed, PRODUCTION), deployed(failed, DEV)
    assert in_production is not None
    assert in_dev is not None
    assert (in_production.severity, in_dev.severity) == (Severity.CRITICAL, Severity.WARNING)
    assert "CrashLoopBackOff" in in_production.text


def test_a_rollback_is_told_as_one() -> None:
    told = deployed(replace(RECORD, method=Method.ROLLBACK, version="v1.0.0"), PRODUCTION)
    assert told is not None
    assert (told.kind, told.severity) == ("rolled_back", Severity.CRITICAL)


def test_a_refusal_is_told_with_every_reason() -> None:
    candidate = Candidate("api", "production", "platform", "c" * 40, None, "f", "v1", "v1.1.0")
    checks = tuple(
        GateCheck(gate, GateState.UNMET, f"{gate} is missing")
        for gate in (GateName.SOAK, GateName.APPROVALS)
    )
    told = refused(Verdict(candidate, checks, NOW), "dana")
    assert "soak is missing" in told.text
    assert "approvals is missing" in told.text
    assert "asked by dana" in told.text
