"""What a pod's trouble means for a rollout: wrong at once, wrong if it stays, or not its fault."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum

from flowmaster_delivery.model.rollout import PodProblem

GRACE = timedelta(seconds=30)
"""How long trouble that may mend itself is watched before the rollout has failed."""
RESTARTS = 2
"""Restarts from which on a container is not starting but crashing."""

WRONG_AT_ONCE = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "ConfigError"}
)
WRONG_IF_IT_STAYS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "ImageInspectError",
        "CreateContainerError",
        "RunContainerError",
        "PostStartHookError",
        "StartError",
    }
)
NOT_ITS_FAULT = frozenset(
    {"Evicted", "Preempting", "Preempted", "NodeLost", "NodeNotReady", "NodeShutdown", "Shutdown"}
)
CRASHED = frozenset({"CrashLoopBackOff", "Error", "OOMKilled", "ContainerCannotRun", "Completed"})
FINAL_ANSWER = re.compile(
    r"not found|manifest unknown|name unknown|unauthorized|denied|forbidden|"
    r"does not exist|invalid reference",
    re.IGNORECASE,
)
"""A registry's words that trying again will not change."""


class Judgement(StrEnum):
    FATAL = "fatal"
    GRACE = "grace"
    WAIT = "wait"


def judge(problem: PodProblem) -> Judgement:
    """What one problem of a pod of the new template means for its rollout."""
    if problem.reason in NOT_ITS_FAULT:
        return Judgement.WAIT
    if problem.reason in WRONG_AT_ONCE:
        return Judgement.FATAL
    if problem.reason in WRONG_IF_IT_STAYS:
        final = "Image" in problem.reason and FINAL_ANSWER.search(problem.message)
        return Judgement.FATAL if final else Judgement.GRACE
    if problem.reason in CRASHED and problem.restarts >= RESTARTS:
        return Judgement.FATAL
    return Judgement.WAIT


def words(problem: PodProblem) -> str:
    """`api-7d9f-x (container api): ImagePullBackOff: manifest unknown`."""
    where = f"pod {problem.pod}" + (
        f" (container {problem.container})" if problem.container else ""
    )
    said = f": {problem.message}" if problem.message else ""
    again = f" after {problem.restarts} restarts" if problem.restarts else ""
    code = f" with exit code {problem.exit_code}" if problem.exit_code is not None else ""
    if code and str(problem.exit_code) in problem.message:
        code = ""
    return f"{where}: {problem.reason}{code}{again}{said}"
