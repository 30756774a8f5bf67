"""Out of a run's events: what stood in its way, one reason for each closed gate and failed step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmaster_delivery.ports import RunReason

GATE_STEP = "DagsterAssetCheckFailedError"
"""What fails a step whose blocking check did not pass: the check itself says it better."""


def reasons_of(events: Iterable[Mapping[str, Any]]) -> tuple[RunReason, ...]:
    """Failed checks and failed steps in the order they came; else the run's own last words."""
    checks: list[RunReason] = []
    steps: list[RunReason] = []
    last: list[RunReason] = []
    for event in events:
        match event.get("__typename"):
            case "AssetCheckEvaluationEvent":
                checks += _check(event["evaluation"])
            case "ExecutionStepFailureEvent":
                steps += _step(event)
            case "RunFailureEvent" | "RunCanceledEvent":
                last = [RunReason("", "", "", _words(event))]
            case _:
                continue
    return tuple(checks + steps) or tuple(last)


def _check(evaluation: Mapping[str, Any]) -> list[RunReason]:
    if evaluation["success"]:
        return []
    service, chapter = _split(evaluation["assetKey"]["path"])
    return [
        RunReason(service, chapter, evaluation["checkName"], evaluation.get("description") or "")
    ]


def _step(event: Mapping[str, Any]) -> list[RunReason]:
    error = event.get("error") or {}
    if error.get("className") == GATE_STEP:
        return []
    service, chapter = _split((event.get("stepKey") or "").split("__"))
    described = (event.get("failureMetadata") or {}).get("description")
    return [RunReason(service, chapter, "", described or _innermost(error))]


def _innermost(error: Mapping[str, Any]) -> str:
    """The message of the first cause, without the exception's own name before it."""
    causes = error.get("causes") or ()
    message: str = (causes[-1] if causes else error).get("message") or "no reason was given"
    head, colon, tail = message.strip().partition(": ")
    return tail if colon and " " not in head and tail else message.strip()


def _words(event: Mapping[str, Any]) -> str:
    error = event.get("error") or {}
    return str(error.get("message") or event.get("message") or "no reason was given").strip()


def _split(parts: list[str]) -> tuple[str, str]:
    return (parts[0], parts[1]) if len(parts) == 2 else ("/".join(parts), "")
