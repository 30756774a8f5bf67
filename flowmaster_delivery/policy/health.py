"""Health of a service, worst of its parts, and which looks are worth recording."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from flowmaster_delivery.model.health import HealthObservation, HealthState, ProbeResult
from flowmaster_delivery.model.rollout import Pod, Workload
from flowmaster_delivery.policy.pod_problems import Judgement, judge, words
from flowmaster_delivery.policy.rollout import digest_in, is_complete, newest_pods

AVAILABLE_ONCE = "NewReplicaSetAvailable"
"""The Progressing condition's reason from the first completion on: what fails later is no start."""

State = tuple[HealthState, str]
"""A state and the reason for it, empty where it is healthy."""


def of_workload(workload: Workload, pods: Iterable[Pod]) -> State:
    """What the cluster says, before any endpoint is asked."""
    newest = [pod for pod in newest_pods(workload, pods) if not pod.terminating]
    problems = [problem for pod in newest for problem in pod.problems]
    fatal = [problem for problem in problems if judge(problem) is Judgement.FATAL]
    if fatal:
        return HealthState.DEGRADED, words(fatal[0])
    if workload.replica_failure:
        return HealthState.DEGRADED, f"pods cannot be created: {workload.replica_failure}"
    if workload.desired == 0:
        return HealthState.UNKNOWN, f"{workload.name} is scaled to 0: there is nothing to look at"
    if is_complete(workload):
        return HealthState.HEALTHY, ""
    because = f" ({words(problems[0])})" if problems else ""
    available = f"{workload.available} of {workload.desired} replicas are available{because}"
    if _has_been_complete(workload):
        return HealthState.DEGRADED, available
    return HealthState.PROGRESSING, available


def of_answers(answers: Iterable[tuple[str, ProbeResult]]) -> State:
    """What the endpoint said, asked at each of the places named. No place: nothing is known."""
    asked = list(answers)
    if not asked:
        return HealthState.UNKNOWN, "there was no pod to ask"
    for place, answer in asked:
        if not answer.ok:
            said = (
                f"answered {answer.status}" if answer.status else answer.error or "gave no answer"
            )
            return HealthState.DEGRADED, f"{place} {said}"
    return HealthState.HEALTHY, ""


def running_digest(reference: str, newest: Iterable[Pod]) -> str | None:
    """The digest that the template asks for; where it asks by tag (before the platform took over),
    what its pods run, if that is one and the same."""
    asked = digest_in(reference)
    if asked is not None:
        return asked
    found = {pod.digest for pod in newest if pod.digest}
    return found.pop() if len(found) == 1 else None


FAILING = frozenset({HealthState.DEGRADED, HealthState.MISSING})
"""States that count as a failed look: what starts has not failed, what is unknown may be well."""


def failures(previous: HealthObservation | None, state: HealthState, digest: str | None) -> int:
    """Looks in a row that failed, on this image: the failure of another says nothing of it.

    A look that could not be made counts neither way, nor does one at an image that starts; one that
    found nothing running speaks of what ran before.
    """
    if state is HealthState.HEALTHY:
        return 0
    same = previous is not None and (digest is None or previous.digest in (None, digest))
    before = previous.failures_in_a_row if previous and same else 0
    return before + 1 if state in FAILING else before


def worth_recording(
    previous: HealthObservation | None,
    new: HealthObservation,
    heartbeat: timedelta,
    failures_in_a_row: int = 3,
) -> bool:
    """A change of state or image, or a heartbeat after the last that was recorded (`previous`).

    Unhealthy looks are recorded one by one up to the number that soak counts to.
    """
    if previous is None or new.at - previous.at >= heartbeat:
        return True
    if (previous.state, previous.digest) != (new.state, new.digest):
        return True
    return previous.failures_in_a_row < new.failures_in_a_row <= failures_in_a_row


def _has_been_complete(workload: Workload) -> bool:
    condition = workload.progressing
    settled = workload.updated == workload.total and workload.updated >= workload.desired
    return condition is not None and condition.reason == AVAILABLE_ONCE and settled
