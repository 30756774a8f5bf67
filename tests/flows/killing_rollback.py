"""Rollbacks whose process is killed at every call to anybody, and what comes by afterwards.

Three ways into one: a rollout that fails halfway, a person, and the watch. `kill_points()` are all
calls of each; `survived(point)` says what is wrong after the next run and the next watch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from flowmaster_delivery.flows.incidents.people import Wish, by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, PodProblem
from tests.fakes.fake_cluster import Killed
from tests.fakes.mortal import Process
from tests.flows.kill_point import KillPoint, around
from tests.flows.killing_promotion import Run, Stage

T = TypeVar("T")
LOOK = timedelta(seconds=20)


class _WhileItRuns(dict[str, ProbeResult | DeliveryError]):
    """503 as long as the new image runs."""

    stage: Stage

    def get(self, key: str, default: T) -> ProbeResult | T:  # type: ignore[override]
        return ProbeResult(f"pod://{key}", 503, 0.01) if runs(self.stage) == "new" else default


def sick_while_it_is_new(stage: Stage) -> dict[str, ProbeResult | DeliveryError]:
    """What the service's pods answer from now on."""
    answers = _WhileItRuns()
    answers.stage = stage
    return answers


def runs(stage: Stage) -> str:
    """`new` or `old`: what the service's template asks for."""
    found = stage.cluster.deployments["api"].images["api"].rpartition("@")[2]
    return {stage.digest(stage.old): "old", stage.digest(stage.new): "new"}[found]


def _a_rollout_fails() -> Stage:
    stage = Stage(canary=None)
    reference = stage.platform.catalog.reference(stage.api, stage.digest(stage.new))
    trouble = PodProblem("api-x", "api", "InvalidImageName", "no such name")
    stage.cluster.problems[reference] = trouble
    return stage


def _a_release_is_there() -> Stage:
    stage = Stage(canary=None)
    Run(stage, "run-0").go()
    stage.cluster.time.sleep(3_600)
    return stage


def _it_turned_bad() -> Stage:
    stage = _a_release_is_there()
    stage.cluster.answers = sick_while_it_is_new(stage)
    return stage


def _person(stage: Stage, name: str, process: Process) -> None:
    """What a run of `flowmaster rollback` does; once it is done, Dagster does not repeat it."""
    known = stage.platform.history.incidents("production")
    if any(one.state is IncidentState.ROLLED_BACK for one in known):
        return
    run = Run(stage, name, process)
    incident = by_person(stage.api, stage.production, Wish(), run.work)
    record = carried_out(incident, run.work)
    run.ports.history.record(record)
    close(incident, record, run.work)


def _run(stage: Stage, name: str, process: Process) -> None:
    Run(stage, name, process).go()


def watch(stage: Stage, name: str, process: Process, looks: int = 4) -> None:
    """One process of the watch: it acts in its own thread here, so that it can be killed there."""
    run, time = Run(stage, name, process), stage.cluster.time
    here: Catalog = replace(stage.platform.catalog, environments={"production": stage.production})
    looking = Watch(
        here, time.now, spawn=lambda call: call(), aside=lambda call: call(), pace=run.pace
    )
    for _ in range(looks):
        time.sleep(LOOK.total_seconds())
        looking.look(run.ports, time.now())


@dataclass(frozen=True)
class Story:
    name: str
    made: Callable[[], Stage]
    act: Callable[[Stage, str, Process], None]
    begins: str = ""
    """The call that begins it, where something else comes before."""

    def __str__(self) -> str:
        return f"rollback by {self.name}"


STORIES = (
    Story("a rollout that fails", _a_rollout_fails, _run, "cluster.set_image"),
    Story("a person", _a_release_is_there, _person),
    Story("the watch", _it_turned_bad, watch),
)


def kill_points() -> tuple[KillPoint[Story], ...]:
    """Every call of every story to any port, before and after its effect."""
    return tuple(_points())


def _points() -> Iterator[KillPoint[Story]]:
    for story in STORIES:
        stage, process = story.made(), Process()
        before = stage.cluster.deployments["api"].generation
        story.act(stage, "run-1", process)
        yield from around(story, process.calls, wrong_in(stage, before))


def survived(point: KillPoint[Story], *, watch_first: bool = False) -> str:
    """What is wrong after the same was tried again and a new watch has come by, in either order."""
    stage, process = point.story.made(), Process(point.call, point.after_effect)
    before = stage.cluster.deployments["api"].generation
    with suppress(Killed):
        point.story.act(stage, "run-1", process)
    if not process.dead:
        return "nobody was killed"
    stage.cluster.time.sleep(60)
    if watch_first:
        watch(stage, "watch-2", Process(), looks=8)
    point.story.act(stage, "run-2", Process())
    stage.cluster.time.sleep(60)
    watch(stage, "watch-3", Process(), looks=8)
    return wrong_in(stage, before)


def wrong_in(stage: Stage, before: int) -> str:
    """One patch forwards where this story rolls out, and one back."""
    cluster, history = stage.cluster, stage.platform.history
    old, new = stage.digest(stage.old), stage.digest(stage.new)
    backs = {
        (r.outcome, r.digest, r.previous_digest, r.changed)
        for r in history.records
        if isinstance(r, DeploymentRecord) and r.method is Method.ROLLBACK
        if r.outcome is not Outcome.ERROR  # a try that got no answer says so, and is no rollback
    }
    incidents = history.incidents("production")
    rolls_out = bool(cluster.problems)
    expected = {
        "image": (runs(stage), "old"),
        "patches": (cluster.deployments["api"].generation - before, 2 if rolls_out else 1),
        "ready": (cluster.deployments["api"].available, 3),
        "rollbacks": (backs, {(Outcome.SUCCESS, old, new, True)}),
        "incidents": ([i.state for i in incidents], [IncidentState.ROLLED_BACK]),
        "holds": ([(h.service, h.active) for h in history.holds()], [("api", True)]),
        "hold of": ([h.id for h in history.holds()], [i.hold_id for i in incidents]),
    }
    return "; ".join(f"{what} is {a}, not {b}" for what, (a, b) in expected.items() if a != b)
