"""Manifests: a folder of the repository, applied as `kubectl apply -k` would, in a narrow form."""

from __future__ import annotations

from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.ports import Ports


def apply_folder(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    catalog: Catalog,
    ports: Ports,
    pace: Pace,
) -> Done:
    """Apply the service's folder at the candidate's commit."""
    raise Refused(f"{service.name} is of kind manifests, which cannot be rolled out yet")
