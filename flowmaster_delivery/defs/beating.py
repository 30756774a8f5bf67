"""Evaluations of sensors are turns of the code server's heartbeat, from begin to end."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from dagster import SensorEvaluationContext

from flowmaster_delivery.defs.resources import Platform

T = TypeVar("T")
Evaluation = Callable[[SensorEvaluationContext], T]


def beating(platform: Platform) -> Callable[[Evaluation[T]], Evaluation[T]]:
    """An evaluation that is seen to be going on: one that hangs is told by the probe."""

    def of(evaluate: Evaluation[T]) -> Evaluation[T]:
        @wraps(evaluate)
        def evaluated(context: SensorEvaluationContext) -> T:
            with platform.heartbeat.during(evaluate.__name__):
                return evaluate(context)

        return evaluated

    return of
