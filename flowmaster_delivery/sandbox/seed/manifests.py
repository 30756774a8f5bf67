"""Kubernetes objects of the seeded platform: namespaces, Deployments with their Services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowmaster_delivery.model.catalog import Environment, Service

Manifest = dict[str, Any]

DEFAULT_PORT = 8080


def namespace(environment: Environment) -> Manifest:
    metadata = {"name": environment.namespace, "labels": {"environment": environment.name}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def workload(
    service: Service, environment: Environment, image: str, sidecar: str | None
) -> Iterator[Manifest]:
    """A Deployment and its Service. `sidecar` is the image of a proxy beside the service.

    Where people decide what goes in, two pods run; elsewhere one.
    """
    replicas = 1 if environment.automatic else 2
    found = deployment(service, image, replicas=replicas, sidecar=sidecar)
    found["metadata"]["namespace"] = environment.namespace
    yield found
    yield _service(service, environment.namespace)


def deployment(
    service: Service, image: str, *, replicas: int = 1, sidecar: str | None = None
) -> Manifest:
    """The Deployment as it stands in the service's repository: of no namespace."""
    name, labels = service.workload_name, {"app": service.workload_name}
    containers = [_container(service, image)]
    if sidecar is not None:
        containers.append(_proxy(sidecar))
    metadata: Manifest = {
        "name": name,
        "labels": {**labels, "app.kubernetes.io/name": service.name},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def _proxy(image: str) -> Manifest:
    limits = {"cpu": "200m", "memory": "128Mi"}
    return {
        "name": "proxy",
        "image": image,
        "ports": [{"containerPort": 15001}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": limits},
    }


def _container(service: Service, image: str) -> Manifest:
    port = service.port or DEFAULT_PORT
    probe = {"httpGet": {"path": service.health_path, "port": port}}
    return {
        "name": service.container_name,
        "image": image,
        "ports": [{"name": "http", "containerPort": port}],
        "env": [{"name": "PORT", "value": str(port)}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi"},
        },
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "initialDelaySeconds": 15},
    }


def _service(service: Service, namespace: str) -> Manifest:
    name, port = service.workload_name, service.port or DEFAULT_PORT
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }
