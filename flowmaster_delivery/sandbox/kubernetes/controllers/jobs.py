"""Jobs: pods that run to completion, some tries, then a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.kubernetes.controllers.loop import Key
from flowmaster_delivery.sandbox.kubernetes.controllers.recorder import Recorder
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    JOBS,
    PODS,
    Object,
    controller_of,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources, parsed, timestamp
from flowmaster_delivery.sandbox.kubernetes.store import Change

BACKOFF = timedelta(seconds=0.5)
"""Before the first new try; twice as long before each further one (a real cluster: 10 s)."""


class JobController:
    kinds = frozenset({JOBS, PODS})

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._store = resources.store
        self._recorder = Recorder(resources, "job-controller")
        self._failures: dict[tuple[str, int], datetime] = {}

    def concerned(self, change: Change) -> Iterable[Key]:
        item = change.item
        if change.kind is JOBS:
            return () if change.type == "DELETED" else ((namespace_of(item), name_of(item)),)
        owner = controller_of(item)
        if owner is None or owner["kind"] != "Job":
            return ()
        return ((namespace_of(item), owner["name"]),)

    def reconcile(self, namespace: str, name: str) -> datetime | None:
        job = self._store.find(JOBS, namespace, name)
        if job is None or "deletionTimestamp" in job["metadata"]:
            return None
        if verdict_of(job):
            return self._expire(job)
        pods = self._pods(job)
        phases = [pod["status"]["phase"] for pod in pods]
        failed, succeeded = phases.count("Failed"), phases.count("Succeeded")
        active = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        now = self._resources.clock()
        started = job["status"].get("startTime", timestamp(now))
        counts = {"active": len(active), "failed": failed, "succeeded": succeeded}
        status = {"startTime": started, **{k: v for k, v in counts.items() if v}}
        verdict = _judged(job, failed, succeeded, parsed(started), now)
        if verdict:
            return self._finish(job, status, verdict, active)
        due = self._create(job, active, failed, succeeded)
        self._resources.update_status(JOBS, {**job, "status": status})
        limit: int | None = job["spec"].get("activeDeadlineSeconds")
        if limit is not None:
            deadline = parsed(started) + timedelta(seconds=limit)
            due = min(due or deadline, deadline)
        return due

    def _pods(self, job: Object) -> list[Object]:
        return self._store.controlled(PODS, job)

    def _create(
        self, job: Object, active: list[Object], failed: int, succeeded: int
    ) -> datetime | None:
        """Make the pods that are missing, after a pause where one failed before."""
        spec, now = job["spec"], self._resources.clock()
        missing = min(spec["parallelism"], spec["completions"] - succeeded) - len(active)
        if missing <= 0:
            return None
        if failed:
            seen = self._failures.setdefault((job["metadata"]["uid"], failed), now)
            due = seen + BACKOFF * (1 << (failed - 1))
            if now < due:
                return due
        for _ in range(missing):
            pod = self._resources.create(PODS, _pod_of(job))
            self._recorder.say(job, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        return None

    def _finish(
        self, job: Object, status: Object, verdict: tuple[str, str, str], active: list[Object]
    ) -> datetime | None:
        now = timestamp(self._resources.clock())
        kind, reason, message = verdict
        for pod in active:
            self._resources.delete(PODS, namespace_of(pod), name_of(pod))
        status.pop("active", None)
        condition = {
            "type": kind,
            "status": "True",
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        status["conditions"] = [condition]
        if kind == "Complete":
            status["completionTime"] = now
        self._recorder.say(
            job, "Completed" if kind == "Complete" else reason, message, warning=kind == "Failed"
        )
        self._resources.update_status(JOBS, {**job, "status": status})
        self._failures = {k: v for k, v in self._failures.items() if k[0] != job["metadata"]["uid"]}
        return None

    def _expire(self, job: Object) -> datetime | None:
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        finished = parsed(job["status"]["conditions"][0]["lastTransitionTime"])
        due = finished + timedelta(seconds=seconds)
        if self._resources.clock() < due:
            return due
        self._resources.delete(JOBS, namespace_of(job), name_of(job))
        return None


def verdict_of(job: Object) -> str:
    """`Complete` or `Failed` once the Job is over, else empty."""
    conditions = job["status"].get("conditions", [])
    return next((str(c["type"]) for c in conditions if c["status"] == "True"), "")


def _judged(
    job: Object, failed: int, succeeded: int, started: datetime, now: datetime
) -> tuple[str, str, str] | None:
    spec = job["spec"]
    if succeeded >= spec["completions"]:
        return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
    if failed > spec["backoffLimit"]:
        return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    limit = spec.get("activeDeadlineSeconds")
    if limit is not None and now >= started + timedelta(seconds=limit):
        return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
    return None


def _pod_of(job: Object) -> Object:
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name_of(job),
        "uid": job["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    template = job["spec"]["template"]
    metadata = {
        **template["metadata"],
        "generateName": f"{name_of(job)}-",
        "namespace": namespace_of(job),
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "spec": template["spec"]}
