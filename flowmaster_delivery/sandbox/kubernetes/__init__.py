"""A Kubernetes cluster over HTTP: API server, controllers, one node, as far as delivery needs it.

Here belong the resources that a rollout touches (workloads, pods, services, events, leases, jobs)
and the behaviour that the Python client and kubectl can see. Source of the behaviour is Kubernetes
itself: where the two differ, this one is wrong. What pods answer over HTTP is told from outside.
"""

from flowmaster_delivery.sandbox.kubernetes.certificates import Certificates
from flowmaster_delivery.sandbox.kubernetes.pod_index import RunningPod
from flowmaster_delivery.sandbox.kubernetes.server import KubernetesSandbox

__all__ = ["Certificates", "KubernetesSandbox", "RunningPod"]
