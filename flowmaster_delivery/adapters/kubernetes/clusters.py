"""The clusters of an installation, one door per environment."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.cluster import KubernetesCluster
from flowmaster_delivery.adapters.kubernetes.inspecting import Inspector
from flowmaster_delivery.model.catalog import Environment, Service


class KubernetesClusters:
    """Opens a cluster when an environment is first asked for; one per context and namespace.

    Credentials come from `kubeconfig`, or from the pod's service account where it is None.
    """

    def __init__(self, kubeconfig: Path | None, services: Iterable[Service] = ()) -> None:
        self._kubeconfig = kubeconfig
        self._containers = {
            s.workload_name: s.container_name for own in services for s in (own, own.canary)
        }
        self._apis: dict[str | None, Api] = {}
        self._open: dict[tuple[str | None, str], KubernetesCluster] = {}
        self._guard = threading.Lock()

    def __call__(self, environment: Environment) -> KubernetesCluster:
        """Raise Permanent where the way to the cluster is not usable."""
        key = (environment.context, environment.namespace)
        with self._guard:
            if key not in self._open:
                self._open[key] = KubernetesCluster(
                    self._api(environment.context),
                    environment.namespace,
                    inside=self._kubeconfig is None,
                    containers=self._containers,
                )
            return self._open[key]

    def inspector(self, environment: Environment) -> Inspector:
        """What the cluster says of itself and of us there."""
        with self._guard:
            return Inspector(self._api(environment.context), environment.namespace)

    def close(self) -> None:
        """End every watch and drop the connections."""
        with self._guard:
            opened, self._open = list(self._open.values()), {}
            apis, self._apis = list(self._apis.values()), {}
        for cluster in opened:
            cluster.close()
        for api in apis:
            api.close()

    def _api(self, context: str | None) -> Api:
        if context not in self._apis:
            again = partial(connect, self._kubeconfig, context)
            self._apis[context] = Api(again(), connect_again=again)
        return self._apis[context]
