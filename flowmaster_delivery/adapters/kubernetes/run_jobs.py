"""The Jobs of runs, to be removed: clusters before 1.21 keep finished ones for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api, Object, Outdated
from flowmaster_delivery.model.errors import NotFound
from flowmaster_delivery.model.retention import FinishedJob

OURS = "app.kubernetes.io/part-of=flowmaster-delivery,app.kubernetes.io/component=run"
RUN_ID = "dagster/run-id"
PAGE = "500"


class KubernetesRunJobs:
    """Implements `ports.RunJobs` for one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    @classmethod
    def open(cls, kubeconfig: Path | None, namespace: str) -> KubernetesRunJobs:
        """By the pod's service account where there is no kubeconfig."""
        return cls(Api(connect(kubeconfig, None)), namespace)

    def close(self) -> None:
        self._api.close()

    def finished(self) -> tuple[FinishedJob, ...]:
        return tuple(found for job in self._all() if (found := _finished(job)))

    def remove(self, job: FinishedJob) -> None:
        self._remove(job.name, job.uid)

    def remove_all(self) -> None:
        for job in tuple(self._all()):
            self._remove(job["metadata"]["name"], job["metadata"]["uid"])

    def remove_pods(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(NotFound):
                self._api.once("DELETE", f"{self._pods}/{name}")

    def _remove(self, name: str, uid: str) -> None:
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        with suppress(NotFound, Outdated):
            self._api.once("DELETE", f"{self._jobs}/{name}", body=body)

    def _all(self) -> Iterator[Object]:
        after = ""
        while True:
            query = {"labelSelector": OURS, "limit": PAGE}
            page = self._api.get(self._jobs, {**query, "continue": after} if after else query)
            yield from page.get("items") or ()
            after = (page.get("metadata") or {}).get("continue") or ""
            if not after:
                return


def _finished(job: Object) -> FinishedJob | None:
    metadata = job["metadata"]
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            at = datetime.fromisoformat(condition["lastTransitionTime"])
            run_id = (metadata.get("labels") or {}).get(RUN_ID, "")
            return FinishedJob(metadata["name"], metadata["uid"], run_id, at)
    return None
