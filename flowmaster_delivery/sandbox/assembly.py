"""The sandbox's parts put together: who knows whom, and under which address."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from starlette.types import ASGIApp

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.breaking import Breaking
from flowmaster_delivery.sandbox.control import Control
from flowmaster_delivery.sandbox.faults import Faults
from flowmaster_delivery.sandbox.folder import write_private
from flowmaster_delivery.sandbox.gitlab import GitLabSandbox
from flowmaster_delivery.sandbox.inbox import Inbox
from flowmaster_delivery.sandbox.kubernetes import Certificates, KubernetesSandbox
from flowmaster_delivery.sandbox.loads import Loads
from flowmaster_delivery.sandbox.orders import Behaviours
from flowmaster_delivery.sandbox.prometheus import PrometheusSandbox
from flowmaster_delivery.sandbox.registry import RegistrySandbox
from flowmaster_delivery.sandbox.seed import Hooks, Seeded, Servers, seed
from flowmaster_delivery.sandbox.services import PodAnswer, Services
from flowmaster_delivery.sandbox.traffic import Traffic

Tier = Literal["free", "premium"]


@dataclass(slots=True)
class Assembly:
    """Every server of one sandbox, seeded, before it is served. `urls` by the server's name."""

    folder: Path
    urls: Mapping[str, str]
    tier: Tier
    hooks: Hooks
    catalog: Catalog | None
    program: bytes | None = None
    """What the images that CI builds contain and start; nothing that runs where None."""
    behaviours: Behaviours = field(default_factory=Behaviours)
    faults: Faults = field(default_factory=Faults)
    inbox: Inbox = field(default_factory=Inbox)
    registry: RegistrySandbox = field(init=False)
    gitlab: GitLabSandbox = field(init=False)
    kubernetes: KubernetesSandbox = field(init=False)
    services: Services = field(init=False)
    prometheus: PrometheusSandbox = field(init=False)
    control: Control = field(init=False)
    certificates: Certificates = field(init=False)
    seeded: Seeded = field(init=False)

    def __post_init__(self) -> None:
        host = self.urls["registry"].partition("://")[2]
        self.registry = RegistrySandbox(host=host, accounts=self._is_account, program=self.program)
        self.gitlab = GitLabSandbox(
            data=self.folder, images=self.registry, tier=self.tier, url=self.urls["gitlab"]
        )
        self.kubernetes = KubernetesSandbox(
            images=self.registry, behaviours=self.behaviours, answer=self._pod_answers
        )
        self.certificates = Certificates.issue(
            self.folder / "tls", host=urlsplit(self.urls["kubernetes"]).hostname or ""
        )
        self.seeded = seed(
            Servers(self.gitlab, self.registry, self.kubernetes), self.catalog, self.hooks
        )
        traffic = Traffic(Loads(self.kubernetes, self.behaviours))
        self.services = Services(
            self.kubernetes.running,
            self.kubernetes.pods.backends,
            self.behaviours,
            traffic,
            self.seeded.namespaces,
            self.seeded.workloads,
        )
        self.prometheus = PrometheusSandbox(traffic)
        self.control = Control(
            self.behaviours,
            Breaking(
                self.behaviours,
                self.kubernetes.running,
                self.seeded.namespaces,
                self.seeded.workloads,
            ),
            self.faults,
            secrets.token_urlsafe(24),
            self.kubernetes.behaviours_changed,
        )

    @property
    def apps(self) -> Mapping[str, ASGIApp]:
        return {
            "gitlab": self.gitlab.app,
            "kubernetes": self.kubernetes.app,
            "registry": self.registry.app,
            "prometheus": self.prometheus.app,
            "services": self.services.app,
            "inbox": self.inbox.app,
            "control": self.control.app,
        }

    def work(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What goes on by itself: pipelines and webhooks, controllers, samples."""
        yield self.gitlab.run()
        yield self.kubernetes.run()
        yield self.prometheus.run()

    def addresses(self) -> Addresses:
        """Write the files that clients need, and tell where everything is."""
        return Addresses(
            gitlab_url=self.urls["gitlab"],
            gitlab_token=self.seeded.token,
            registry_url=self.urls["registry"],
            prometheus_url=self.urls["prometheus"],
            kubeconfig=str(self._write_kubeconfig()),
            git_remote=self._git_remote(),
            webhook_url=self.hooks.url,
            webhook_secret=self.hooks.secret,
            webhook_signing_token=self.hooks.signing_token,
            kubernetes_url=self.urls["kubernetes"],
            services_url=self.urls["services"],
            inbox_url=self.urls["inbox"],
            control_url=self.urls["control"],
            control_token=self.control.token,
            git_credentials=str(self._write_credentials()),
            tier=self.tier,
            users=self.seeded.tokens,
            environments=self.seeded.places(self.urls["services"]),
            pid=os.getpid(),
            **self.inbox.addresses(self.urls["inbox"]),
        )

    def _git_remote(self) -> str:
        first = next(iter(self.seeded.projects), None)
        return f"{self.urls['gitlab']}/{first}.git" if first else f"{self.urls['gitlab']}/"

    def _write_kubeconfig(self) -> Path:
        path = self.folder / "kubeconfig"
        content = self.kubernetes.kubeconfig(
            self.urls["kubernetes"], ca=self.certificates.ca, contexts=self.seeded.contexts or None
        )
        buffer = io.StringIO()
        YAML(typ="safe", pure=True).dump(content, buffer)
        write_private(path, buffer.getvalue())
        return path

    def _write_credentials(self) -> Path:
        path = self.folder / "git-credentials"
        host = self.urls["gitlab"].partition("://")[2]
        write_private(path, f"http://{self.seeded.root}:{self.seeded.token}@{host}\n")
        return path

    def _is_account(self, user: str, token: str) -> bool:
        """As GitLab does, by the token alone; the name must be there, whatever it is."""
        state = self.gitlab.world.state
        found = state.token_of(token)
        owner = self.gitlab.world.user(found.user_id) if found else None
        return bool(user) and owner is not None and owner.state == "active"

    def _pod_answers(self, namespace: str, workload: str, pod: str, path: str) -> PodAnswer:
        return self.services.answer(namespace, workload, pod, path)


def urls_of(ports: Mapping[str, int], host: str) -> dict[str, str]:
    """Kubernetes alone speaks TLS: kubectl sends its token over nothing else."""
    return {
        name: f"{'https' if name == 'kubernetes' else 'http'}://{host}:{port}"
        for name, port in ports.items()
    }
