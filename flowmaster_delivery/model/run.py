"""Runs of ours: what one is ordered to do, and how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunReason:
    """One thing that stood in a run's way: a closed gate (`check` names it) or a failed step."""

    service: str
    chapter: str
    check: str
    message: str


@dataclass(frozen=True, slots=True)
class LaunchedRun:
    """A run of ours: `state` in Dagster's words (QUEUED, STARTED, SUCCESS, FAILURE, CANCELED …)."""

    id: str
    state: str
    tags: Mapping[str, str]
    url: str = ""
    reasons: tuple[RunReason, ...] = ()
    """Why it did not do all that it was asked to; known once it has finished."""
    steps: Mapping[str, str] = field(default_factory=dict)
    """`service/chapter` to what became of it, in Dagster's words, for those that have begun."""

    @property
    def finished(self) -> bool:
        return self.state in ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a run shall do: asset keys (`service/chapter`) of one environment, with its one form."""

    environment: str
    assets: tuple[tuple[str, str], ...]
    """Pairs of service and chapter: image, promotion, deployment, health."""
    occasion: str
    """The stable name of what gave rise to it; launched at most once while it lasts."""
    form: Mapping[str, object]
    """The run's one config (see defs.form): version, commit, ref, reason, ship, …"""
    tags: Mapping[str, str]
