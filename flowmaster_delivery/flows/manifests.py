"""Manifests: a folder of the repository, applied as `kubectl apply -k` would, in a narrow form."""

from __future__ import annotations

from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.flows.kustomization import build
from flowmaster_delivery.flows.leasing import held
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Phase,
    Progress,
)
from flowmaster_delivery.ports import Ports


def apply_folder(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    catalog: Catalog,
    ports: Ports,
    pace: Pace,
) -> Done:
    """Apply the service's folder as it is at the candidate's commit. Safe to repeat: what is as it
    shall be is left alone, and nothing is ever deleted."""
    repository = catalog.repository(service.repository)
    files = ports.forge.files(repository, draft.commit, service.path)
    manifests = build(files, environment.namespace)
    cluster = ports.cluster(environment)
    with held(service, cluster, draft.run_id, pace) as lease:
        pace.on_progress(Progress(Phase.WAITING, f"{len(manifests)} manifests are being applied"))
        try:
            changed = cluster.apply(manifests)
        except Transient as error:
            said = f"some manifests may have been applied, run it again: {error}"
            return Done(Outcome.ERROR, said, token=lease.token)
    said = f"changed {', '.join(changed)}" if changed else "everything was as it shall be"
    return Done(Outcome.SUCCESS, said, token=lease.token, changed=bool(changed))
