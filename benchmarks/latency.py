"""From a push to the first change on the cluster: with webhooks, and with all of them lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from benchmarks.cluster_watch import Changes, watched
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage, up
from flowmaster_delivery.cli.demo.people import Clone

PUSHES = 20
PATIENCE = 60.0
ALL = 1_000_000
"""Webhooks that are lost."""


def measure() -> Iterator[Figure]:
    with up() as stage, watched(Path(stage.told["kubeconfig"]), stage.namespace) as changes:
        clone = stage.clone()
        hooked = [_from_pipeline(stage, clone, changes, number) for number in range(PUSHES)]
        stage.lose_webhooks(ALL)
        polled = [_from_push(stage, clone, changes, number) for number in range(PUSHES)]
    yield _figure("webhook_to_patch_p95", hooked, 5.0, "from the end of the pipeline")
    yield _figure("poll_to_patch_p95", polled, 15.0, "from the push, the pipeline included")


def _figure(name: str, seconds: list[float], limit: float, since: str) -> Figure:
    note = f"{since}; median {percentile(seconds, 0.5):.2f} of {len(seconds)}"
    return Figure(name, percentile(seconds, 0.95), "s", limit, note)


def _from_pipeline(stage: Stage, clone: Clone, changes: Changes, number: int) -> float:
    _, commit, patched = _push(stage, clone, changes, number)
    return patched - _pipeline_ended(stage, commit)


def _from_push(stage: Stage, clone: Clone, changes: Changes, number: int) -> float:
    pushed, _, patched = _push(stage, clone, changes, number)
    return patched - pushed


def _push(stage: Stage, clone: Clone, changes: Changes, number: int) -> tuple[float, str, float]:
    """Change one service and push; when that was, the commit, and when the cluster changed."""
    service = list(stage.catalog.services.values())[number]
    clone.change({f"{service.path}/src/main.py": f"# {time.time()}"})
    commit = clone.commit(f"feat({service.name}): a change")
    changes.forget()
    clone.git("push", "-q", "origin", "develop")
    pushed = time.time()
    return pushed, commit, changes.first(PATIENCE, service.workload_name)


def _pipeline_ended(stage: Stage, commit: str) -> float:
    """When GitLab ended the pipeline and queued its hook; both in one step of the sandbox."""
    listed = stage.author().get(f"{stage.project.api}/pipelines", sha=commit, ref="develop")
    shown = stage.author().get(f"{stage.project.api}/pipelines/{listed[0]['id']}")
    return datetime.fromisoformat(shown["finished_at"]).timestamp()
