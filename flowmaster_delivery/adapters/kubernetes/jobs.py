"""Jobs: run once to their end, with a template that the cluster has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

from flowmaster_delivery.adapters.kubernetes.api import AlreadyThere, Api, Object
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import NotFound, Transient, Unreachable

LOOK_EVERY = 1.0
"""Seconds between two looks at a running Job."""


class Jobs:
    """The Jobs of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._cron_jobs = f"/apis/batch/v1/namespaces/{namespace}/cronjobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def run(
        self,
        service: Service,
        reference: str,
        name: str,
        timeout: float,
        command: Sequence[str] = (),
    ) -> tuple[bool, str]:
        """Create the Job unless it exists and await its end; Unreachable where it has none yet."""
        self._create(service, reference, name, command)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                ended = _ended(self._api.get(f"{self._jobs}/{name}"))
            except Transient:
                ended = None
            if ended is not None:
                succeeded, said = ended
                return succeeded, "; ".join(w for w in (self._last_words(name), said) if w)
            time.sleep(min(LOOK_EVERY, max(0.0, end - time.monotonic())))
        raise Unreachable(
            f"job {name} has not ended after {timeout:.0f} s; it is awaited next time"
        )

    def _create(self, service: Service, reference: str, name: str, command: Sequence[str]) -> None:
        with suppress(NotFound):
            self._api.get(f"{self._jobs}/{name}")
            return
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/name": service.name}},
            "spec": self._spec(service, reference, command),
        }
        with suppress(AlreadyThere):
            self._api.once("POST", self._jobs, body=job)

    def _spec(self, service: Service, reference: str, command: Sequence[str]) -> dict[str, Any]:
        """That of the CronJob with the workload's name (suspended, as a rule), else a bare one."""
        try:
            found = self._api.get(f"{self._cron_jobs}/{service.workload_name}")
        except NotFound:
            bare: Object = {"name": service.container_name}
            pod = {"restartPolicy": "Never", "containers": [_told(bare, reference, command)]}
            return {"backoffLimit": 0, "template": {"spec": pod}}
        spec: dict[str, Any] = deepcopy(found["spec"]["jobTemplate"]["spec"])
        containers = spec["template"]["spec"]["containers"]
        for place, container in enumerate(containers):
            if container["name"] == service.container_name:
                containers[place] = _told(container, reference, command)
                return spec
        names = ", ".join(container["name"] for container in containers)
        raise NotFound(
            f"CronJob {service.workload_name} has no container {service.container_name!r} "
            f"but {names}; correct `container` in the catalog"
        )

    def _last_words(self, name: str) -> str:
        """What the newest pod of the Job said when it ended."""
        found = self._api.get(self._pods, {"labelSelector": f"job-name={name}"})
        for pod in reversed(found.get("items") or []):
            for status in (pod.get("status") or {}).get("containerStatuses") or ():
                ended = (status.get("state") or {}).get("terminated") or {}
                if ended:
                    reason, code = ended.get("reason") or "ended", ended.get("exitCode")
                    return f"{reason}, exit code {code} {ended.get('message') or ''}".strip()
        return ""


def _told(container: Object, reference: str, command: Sequence[str]) -> Object:
    """The container with the image, and the command in place of its own where one is given.

    Where it leaves no message, the node takes the end of its log for one.
    """
    said = {"image": reference, "terminationMessagePolicy": "FallbackToLogsOnError"}
    if not command:
        return {**container, **said}
    kept = {key: value for key, value in container.items() if key != "args"}
    return {**kept, **said, "command": list(command)}


def _ended(job: Object) -> tuple[bool, str] | None:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            return condition["type"] == "Complete", str(condition.get("message") or "")
    return None
