"""Kubernetes: the port `Cluster` over the official Python client, which is imported only here.

Belongs here: access, limits and retries of calls, translation of answers into `model`, watches,
leases. Does not: whether a rollout is done, has failed, or may begin; that is `policy` and `flows`.
"""

from __future__ import annotations

from flowmaster_delivery.adapters.kubernetes.clusters import KubernetesClusters

__all__ = ["KubernetesClusters"]
