"""Leases that nobody takes any more, for whoever uninstalls the platform."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import NotFound
from flowmaster_delivery.model.rollout import lease_name


class KubernetesLeftovers:
    """Implements `ports.Leftovers` for the namespace of one environment."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    @classmethod
    def open(cls, kubeconfig: Path | None, environment: Environment) -> KubernetesLeftovers:
        """By the pod's service account where there is no kubeconfig."""
        return cls(Api(connect(kubeconfig, environment.context)), environment.namespace)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(NotFound):
                self._api.once("DELETE", f"{self._leases}/{lease_name(name)}")
