"""Rights on a cluster: which verbs on which resources, and what decides which are needed."""

from __future__ import annotations

from dataclasses import dataclass

ANYTHING = "*"
"""As a group, a resource or a verb."""


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One verb on one resource: what a right consists of, and what a call needs."""

    group: str
    resource: str
    verb: str
    name: str = ""
    """The one object; any where empty."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verb, _what(self.group, self.resource), self.name)))


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
        what = _what(self.group, self.resource)
        return " ".join(filter(None, (", ".join(self.verbs), what, ", ".join(self.names))))

    def allows(self, act: Act) -> bool:
        """Whether the act is within it. An act that names no object is one on any of them."""
        return (
            self.group in (act.group, ANYTHING)
            and self.resource in (act.resource, ANYTHING)
            and (not self.names or act.name in self.names)
            and any(verb in (act.verb, ANYTHING) for verb in self.verbs)
        )


@dataclass(frozen=True, slots=True)
class Switches:
    """What the catalog has in an environment, as far as it decides which rights are needed there.

    All are names as the cluster has them.
    """

    workloads: tuple[str, ...] = ()
    """Deployments whose image is set."""
    leases: tuple[str, ...] = ()
    """What is changed under: one of each service that goes to the cluster, and the watch's own."""
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


def _what(group: str, resource: str) -> str:
    """As kubectl takes it: `deployments.apps`, `jobs.batch/status`, `pods/log`."""
    plural, slash, sub = resource.partition("/")
    return f"{plural}.{group}{slash}{sub}" if group else resource
