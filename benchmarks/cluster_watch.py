"""When Deployments change, seen from outside: a watch that is open before anything happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kubernetes
from urllib3.exceptions import ProtocolError

LONGEST = 600
"""Seconds of one watch."""


class Changes:
    """Deployment to the moment (seconds of the epoch) at which its template changed last."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self._at: dict[str, float] = {}
        self._changed = threading.Condition()

    def take(self, deployment: Any) -> None:
        name = deployment.metadata.name
        image = deployment.spec.template.spec.containers[0].image
        with self._changed:
            if self.images.get(name, image) != image:
                self._at[name] = time.time()
                self._changed.notify_all()
            self.images[name] = image

    def forget(self) -> None:
        with self._changed:
            self._at.clear()

    def first(self, limit: float, name: str | None = None) -> float:
        """When the first one changed (or this one); raise TimeoutError after `limit` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._found(name), limit):
                raise TimeoutError(f"{name or 'no Deployment'} was not changed in {limit:.0f} s")
            return min(self._found(name))

    def _found(self, name: str | None) -> list[float]:
        return [at for changed, at in self._at.items() if name in (None, changed)]


@contextmanager
def watched(kubeconfig: Path, namespace: str) -> Iterator[Changes]:
    """Watch the Deployments of a namespace within this block."""
    client = kubernetes.config.new_client_from_config(str(kubeconfig))
    api = kubernetes.client.AppsV1Api(client)
    listed = api.list_namespaced_deployment(namespace)
    changes = Changes()
    for deployment in listed.items:
        changes.take(deployment)
    watch = kubernetes.watch.Watch()

    def follow() -> None:
        with suppress(ProtocolError):  # the cluster ends before the watch does
            for event in watch.stream(
                api.list_namespaced_deployment,
                namespace,
                resource_version=listed.metadata.resource_version,
                timeout_seconds=LONGEST,
            ):
                changes.take(event["object"])

    thread = threading.Thread(target=follow, name="watch", daemon=True)
    thread.start()
    try:
        yield changes
    finally:
        watch.stop()
        client.close()
