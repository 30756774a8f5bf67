"""Seeding all servers of a sandbox from a catalog, each on what the one before holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.sandbox.addresses import Place
from flowmaster_delivery.sandbox.gitlab import GitLabSandbox
from flowmaster_delivery.sandbox.kubernetes import KubernetesSandbox
from flowmaster_delivery.sandbox.registry import RegistrySandbox
from flowmaster_delivery.sandbox.seed import forge, manifests
from flowmaster_delivery.sandbox.seed.forge import FIRST_VERSION, Hooks, Origin
from flowmaster_delivery.sandbox.seed.people import ROOT

PROXY_IMAGE = "flow-master/flowmaster-infrastructure/proxy"
SHORT_ID = 8
"""Length of the commit ids that CI tags images with."""
PROXIED = ("api-gateway",)
"""Services with a second container beside their own: a rollout must leave it alone."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What is seeded."""

    gitlab: GitLabSandbox
    registry: RegistrySandbox
    kubernetes: KubernetesSandbox


@dataclass(frozen=True, slots=True)
class Seeded:
    """What clients need to know of the seeded platform; just the administrator where none was."""

    root: str
    token: str
    tokens: Mapping[str, str]
    """Username to token, the administrator's included."""
    projects: tuple[str, ...] = ()
    environments: Mapping[str, Environment] = field(default_factory=dict)
    workloads: Mapping[str, str] = field(default_factory=dict)
    """Service to workload."""

    @property
    def namespaces(self) -> dict[str, str]:
        return {name: e.namespace for name, e in self.environments.items()}

    @property
    def contexts(self) -> dict[str, str]:
        """Context of the kubeconfig to its namespace; the first one is the current one."""
        return {_context(e): e.namespace for e in self.environments.values()}

    def places(self, services_url: str) -> dict[str, Place]:
        return {
            name: Place(e.namespace, _context(e), f"{services_url}/{name}")
            for name, e in self.environments.items()
        }


def seed(servers: Servers, catalog: Catalog | None, hooks: Hooks) -> Seeded:
    """Make the platform as it stands after its first release; without catalog, an empty one."""
    world = servers.gitlab.world
    root, token = forge.add_user(world, ROOT, admin=True)
    if catalog is None:
        return Seeded(root.username, token, {root.username: token})
    tokens = forge.add_people(world, catalog)
    origins = list(forge.add_repositories(world, catalog, hooks))
    _deploy(servers, catalog, _release(servers.registry, catalog, origins))
    return Seeded(
        root.username,
        token,
        {root.username: token, **tokens},
        tuple(o.project.full_path for o in origins),
        catalog.environments,
        {s.name: s.workload_name for s in catalog.services.values()},
    )


def _release(registry: RegistrySandbox, catalog: Catalog, origins: list[Origin]) -> dict[str, str]:
    """Tag the images that CI pushed with the first version; full references by service."""
    found = {}
    for origin in origins:
        for service in catalog.services_of(origin.repository.name):
            if service.kind is not Kind.MANIFESTS:
                digest = _pushed(registry, service, origin)
                registry.tag(service.image, digest, FIRST_VERSION)
                found[service.name] = f"{registry.host}/{service.image}@{digest}"
    return found


def _pushed(registry: RegistrySandbox, service: Service, origin: Origin) -> str:
    """The digest that CI pushed, under the short id of the commit."""
    tag = origin.commit[:SHORT_ID]
    digest = registry.resolve(f"{registry.host}/{service.image}:{tag}")
    if digest is None:
        raise LookupError(
            f"the sandbox's CI pushed no image {service.image} for {service.name}; in the catalog, "
            f"its image must stand below its repository's project {origin.repository.project}"
        )
    return digest


def _deploy(servers: Servers, catalog: Catalog, images: Mapping[str, str]) -> None:
    digest = servers.registry.push(PROXY_IMAGE, tags=["1.0"], labels={})
    proxy = f"{servers.registry.host}/{PROXY_IMAGE}@{digest}"
    for environment in catalog.environments.values():
        servers.kubernetes.apply(manifests.namespace(environment))
        for service in catalog.services.values():
            if service.kind is Kind.DEPLOYMENT:
                sidecar = proxy if service.name in PROXIED else None
                image = images[service.name]
                for manifest in manifests.workload(service, environment, image, sidecar):
                    servers.kubernetes.apply(manifest)


def _context(environment: Environment) -> str:
    return environment.context or environment.namespace
