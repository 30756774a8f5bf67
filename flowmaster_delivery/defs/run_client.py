"""Kubernetes' client for the launcher: every call ends, and a create is tried again for a while.

Dagster's own has no time limit (one hung call of nine minutes stops the monitoring of all runs) and
tries a look again up to three times, ten seconds apart, where the next look comes anyway.
"""

from __future__ import annotations

import json
from typing import Any

from dagster_k8s.client import (
    DagsterK8sUnrecoverableAPIError,
    DagsterKubernetesClient,
    PatchedApiClient,
    k8s_api_retry_creation_mutation,
)

CONNECT = 3.0
"""Seconds to connect; a packet that is dropped shows no sooner."""
AGAIN = 5.0
"""Seconds between two tries of a create."""


class TimedApiClient(PatchedApiClient):
    """One try per call, within a time limit wherever the call names none."""

    def __init__(self, seconds: float) -> None:
        super().__init__()  # for the configuration that the process loaded
        configuration = self.configuration
        configuration.retries = 0
        super().__init__(configuration)
        self._limit = (min(CONNECT, seconds), seconds)

    def call_api(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("_request_timeout") is None:
            kwargs["_request_timeout"] = self._limit
        return super().call_api(*args, **kwargs)


class PatientClient(DagsterKubernetesClient):
    """Dagster's calls over an API client with a time limit."""

    def __init__(self, seconds: float, patience: float) -> None:
        made = DagsterKubernetesClient.production_client()
        made.batch_api.api_client = made.core_api.api_client = TimedApiClient(seconds)
        super().__init__(  # type: ignore[no-untyped-call]
            made.batch_api, made.core_api, made.logger, made.sleeper, made.timer
        )
        self._tries = max(1, int(patience / AGAIN))

    def get_job_status(
        self, job_name: str, namespace: str, wait_time_between_attempts: float = 0.0
    ) -> Any:
        """None where the API server says that there is no such Job."""
        return super().get_job_status(job_name, namespace, wait_time_between_attempts)

    def get_job_debug_info(self, job_name: str, namespace: str) -> str:
        """Of a Job without pods: what the cluster says of it. Dagster's own lists Jobs besides."""
        events = self.core_api.list_namespaced_event(
            namespace=namespace, field_selector=f"involvedObject.name={job_name}"
        ).items
        said = [f"{event.reason}: {event.message}" for event in events]
        return "\n".join([f"No pod of job {job_name} was found.", *said])

    def create_namespaced_job_with_retries(
        self, body: Any, namespace: str, wait_time_between_attempts: float | None = None
    ) -> None:
        """While the API server is away, for as long as the patience; that the Job is there already
        after a try without an answer is success."""
        k8s_api_retry_creation_mutation(
            lambda: self.batch_api.create_namespaced_job(body=body, namespace=namespace),
            max_retries=self._tries,
            timeout=AGAIN if wait_time_between_attempts is None else wait_time_between_attempts,
        )


PASSING = (408, 425, 429)
"""Answers below 500 that say nothing of the request."""


def refused_for_good(error: DagsterK8sUnrecoverableAPIError) -> str | None:
    """Why the API server does not take a Job as it is; None where it may take it another time."""
    answer: Any = error.k8s_api_exception
    if answer.status >= 500 or answer.status in PASSING:
        return None
    try:
        message = json.loads(answer.body)["message"]
    except (KeyError, TypeError, ValueError):
        message = answer.reason
    mend = {
        403: "check the quota and the Role of the ServiceAccount that launches runs",
        404: "check that the namespace of `job_namespace` exists",
    }.get(answer.status, "check `run_launcher` in dagster.yaml")
    return f"Kubernetes refuses its Job ({answer.status}): {message}; {mend}"
