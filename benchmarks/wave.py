"""29 services roll out at once, three seconds each; beside it kubectl, one after the other."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.catalogs import SHARED
from benchmarks.cluster_watch import watched
from benchmarks.figures import Figure
from benchmarks.stage import Stage, up

ROLLOUT = 3.0
"""Seconds from a pod's start until it is ready."""
LIMIT = 2.25
"""1.25 times the rollout, and three seconds for everything else."""
PATIENCE = 120.0
RUN = """{runsOrError(filter: {tags: [{key: "flowmaster/commit", value: "%s"}]}) {
  ... on Runs {results {runId status assetMaterializations {timestamp assetKey {path}}}}}}"""


def measure() -> Iterator[Figure]:
    with up() as stage:
        before, seconds, note = _wave(stage)
        yield Figure("wave_29_ratio", seconds / ROLLOUT, "", LIMIT, note)
        if shutil.which("kubectl"):
            seconds = _serial(stage, before)
            yield Figure("serial_29_ratio", seconds / ROLLOUT, "", None, "kubectl, one by one")
        else:
            print("serial_29_ratio is left out: there is no kubectl on this machine")


def _wave(stage: Stage) -> tuple[dict[str, str], float, str]:
    """What ran before; seconds from the first change on the cluster to the last materialization."""
    stage.order_pods(namespace=stage.namespace, ready_after=ROLLOUT)
    clone = stage.clone()
    clone.change({f"{SHARED}/flowmaster_common/__init__.py": "# a change that concerns everybody"})
    with watched(Path(stage.told["kubeconfig"]), stage.namespace) as changes:
        before = dict(changes.images)
        commit = clone.commit("feat: everybody changes")
        clone.git("push", "-q", "origin", "develop")
        first = changes.first(PATIENCE)
        ended = _materialized(stage, commit)
    if len(ended["deployment"]) != len(before) or len(ended["health"]) != len(before):
        raise RuntimeError(f"{len(before)} rollouts were expected, not {ended}")
    rolled_out = max(ended["deployment"]) - first
    last = max(at for chapter in ("deployment", "health") for at in ended[chapter]) - first
    return before, last, f"last rollout after {rolled_out:.2f} s, last health {last:.2f} s"


def _materialized(stage: Stage, commit: str) -> dict[str, list[float]]:
    """Chapter to the moments of its materializations, once the run of the commit has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for run in stage.graphql(RUN % commit)["runsOrError"]["results"]:
            if run["status"] == "FAILURE":
                raise RuntimeError(f"run {run['runId']} of the wave failed")
            if run["status"] == "SUCCESS":
                found: dict[str, list[float]] = {"deployment": [], "health": []}
                for event in run["assetMaterializations"]:
                    chapter = event["assetKey"]["path"][-1]
                    found.setdefault(chapter, []).append(float(event["timestamp"]) / 1000)
                return found
        time.sleep(0.5)
    raise TimeoutError(f"the run of {commit[:8]} did not end within {PATIENCE:.0f} s")


def _serial(stage: Stage, images: dict[str, str]) -> float:
    """Seconds of the requirements' loop: set the image, wait for the rollout, take the next."""
    kubectl = ["kubectl", "--kubeconfig", stage.told["kubeconfig"], "-n", stage.namespace]
    started = time.perf_counter()
    for service in stage.catalog.services.values():
        name = service.workload_name
        image = f"{service.container_name}={images[name]}"
        for words in (
            ["set", "image", f"deployment/{name}", image],
            ["rollout", "status", f"deployment/{name}", "--timeout=300s"],
        ):
            subprocess.run([*kubectl, *words], check=True, capture_output=True)
    return time.perf_counter() - started
