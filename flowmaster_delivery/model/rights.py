"""Rights on a cluster: which verbs on which resources, and what decides which are needed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """Verbs on one resource within one namespace: a rule of a Role, and never more than that."""

    group: str
    """API group; empty for the core group."""
    resource: str
    """Plural, with the subresource behind a slash: `deployments`, `pods/log`."""
    names: tuple[str, ...] = ()
    """Of these objects alone; of every object where empty."""
    verbs: tuple[str, ...] = ()
    """Sorted."""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return " ".join(filter(None, (", ".join(self.verbs), what, ", ".join(self.names))))


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One verb on one resource: what a right consists of, and what a call needs."""

    group: str
    resource: str
    verb: str
    name: str = ""
    """The one object; any where empty."""

    def __str__(self) -> str:
        return str(Right(self.group, self.resource, (self.name,) * bool(self.name), (self.verb,)))


@dataclass(frozen=True, slots=True)
class Switches:
    """What the catalog has in an environment, as far as it decides which rights are needed there.

    All are names as the cluster has them.
    """

    workloads: tuple[str, ...] = ()
    """Deployments whose image is set."""
    leases: tuple[str, ...] = ()
    """Services that are changed under a lease: all that go to the cluster."""
    canaries: tuple[str, ...] = ()
    """Deployments that are made and removed as canaries."""
    routed: tuple[str, ...] = ()
    """Those of the canaries that may get their share by the weights of a route."""
    jobs: tuple[str, ...] = ()
    """CronJobs that jobs take their template from."""
    containers: bool = False
    """Whether smoke tests run as containers."""
    applies: tuple[str, ...] = ()
    """Resources that manifests are of: `configmaps`, `prometheusrules.monitoring.coreos.com`."""
    inside: bool = True
    """Whether the platform runs on this cluster: pods are asked by their address then."""
