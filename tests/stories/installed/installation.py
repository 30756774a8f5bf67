"""The installation: namespaces, services that run already, secrets, the release of the chart."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import httpx
import pytest

from tests.helm.charts import CHART
from tests.stories.installed.far_end import CATALOG, FarEnd
from tests.stories.installed.kubectl import Kubectl

NAMESPACE, RELEASE = "installed", "fm"
NAME = f"{RELEASE}-flowmaster-delivery"
SECRET, LOGIN_SECRET = "flowmaster", "flowmaster-login"
IMAGE_SWITCH = "FLOWMASTER_TEST_IMAGE"
POSTGRES_SWITCH = "FLOWMASTER_TEST_POSTGRES_IMAGE"
LOGIN_SWITCH = "FLOWMASTER_TEST_LOGIN_IMAGE"
URL = "http://delivery.example"
CLI = (sys.executable, "-m", "flowmaster_delivery.cli")
PATIENCE = 300
"""Seconds for an install or upgrade to be ready: two cores start eight pods."""
SETTLES = 8
"""Seconds that a pod of production must be well before it counts: time to break something in."""
FIRST = "v1.0.0"
BUSY = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}}


def image_of(switch: str) -> str:
    """The image that a variable names; without it there is nothing to install."""
    named = os.environ.get(switch, "")
    if named:
        return named
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    outcome = pytest.fail if required else pytest.skip
    raise outcome.Exception(f"{switch} names no image (CONTRIBUTING.md)")


@dataclass(slots=True)
class Installation:
    """One release of the chart, and how people reach it."""

    kubectl: Kubectl
    far_end: FarEnd
    folder: Path
    image: str
    postgres: str
    login: str

    def prepare(self) -> None:
        """What a platform team has before: services that run, and their secrets."""
        told = self.far_end.told
        self.kubectl.apply(*(_namespace(name) for name in self.namespaces))
        self.kubectl.apply(
            _secret(
                SECRET,
                {
                    "gitlab-token": told.gitlab_token,
                    "seal-key": secrets.token_hex(32),
                    "database-password": secrets.token_urlsafe(24),
                    "registry-password": told.gitlab_token,
                    "webhook-signing-token": told.webhook_signing_token,
                },
            )
        )
        self.kubectl.apply(_secret(LOGIN_SECRET, self.far_end.application(URL)))
        for environment in self.far_end.catalog.environments.values():
            self.kubectl.apply(self._pull_secret(environment.namespace))
            for service in self.far_end.catalog.services.values():
                self.kubectl.apply(
                    _deployment(
                        service.name,
                        environment.namespace,
                        self._first_image(service.image),
                        SETTLES if environment.name == "production" else 0,
                    )
                )

    def values(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        told = self.far_end.told
        repository, _, tag = self.image.rpartition(":")
        overlay = {"forge_url": told.gitlab_url, "registry_url": told.registry_url}
        return {
            "catalog": CATALOG.read_text("utf-8"),
            "overlay": json.dumps(overlay),
            "url": URL,
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "secrets": {"name": SECRET},
            "registryUser": "root",
            "login": {
                "image": self.login,
                "issuer": told.gitlab_url,
                "secretName": LOGIN_SECRET,
                "insecure": True,
            },
            "serviceDiscovery": "env",
            "postgresql": {
                "image": self.postgres,
                "persistence": {"hostPath": str(self.database), "keep": False},
            },
            # Shares of the cores beside the far end and the story itself, which run on the node.
            **{
                part: {"resources": BUSY}
                for part in ("code", "webserver", "server", "daemon", "watch")
            },
            "runs": {"resources": BUSY},
            **(more or {}),
        }

    @property
    def database(self) -> Path:
        return self.folder / "database"

    def install(self) -> None:
        self.database.mkdir(exist_ok=True)
        self.database.chmod(0o777)
        with self._helm() as config:
            config.install(str(CHART), RELEASE, self.values(), wait="legacy", timeout=PATIENCE)

    def upgrade(self, **values: Any) -> None:
        with self._helm() as config:
            config.upgrade(
                str(CHART), RELEASE, self.values(values), wait="legacy", timeout=PATIENCE
            )

    def uninstall(self) -> None:
        with self._helm() as config:
            config.uninstall(RELEASE, wait="legacy", timeout=PATIENCE)

    def test(self) -> None:
        """The chart's own test: the doctor's report is printed, and fails the story if it finds
        something."""
        try:
            with self._helm() as config:
                config.test(RELEASE, timeout=PATIENCE)
        finally:
            sys.stdout.write(self.kubectl("logs", "-n", NAMESPACE, f"pod/{NAME}-doctor"))

    def forget(self) -> None:
        """Whatever is left of it goes with its namespaces."""
        with self._helm() as config, suppress(helm.HelmNotFoundError):
            config.uninstall(RELEASE, timeout=PATIENCE)
        self.kubectl("delete", "namespace", *self.namespaces, "--wait=false")

    def is_gone(self) -> None:
        """Nothing of the platform is left on the cluster, but the Secrets that people made."""
        for namespace in self.namespaces:
            await_(f"{namespace} is empty", lambda: self._left(namespace) == [], 120)  # noqa: B023

    def _left(self, namespace: str) -> list[str]:
        kinds = (
            "deployments,statefulsets,jobs,cronjobs,pods,services,configmaps,serviceaccounts,"
            "roles,rolebindings,leases,networkpolicies,poddisruptionbudgets,"
            "persistentvolumeclaims,secrets"
        )
        found = self.kubectl("get", kinds, "-n", namespace, "-o", "name").split()
        return [name for name in found if not _was_there(name)]

    @property
    def namespaces(self) -> list[str]:
        environments = self.far_end.catalog.environments.values()
        return [NAMESPACE, *(environment.namespace for environment in environments)]

    def api(self, path: str, params: Mapping[str, str], who: str = "dana") -> Any:
        """A read of the API, as a person."""
        answer = httpx.get(
            f"{self.address('server')}{path}",
            params=dict(params),
            headers={"PRIVATE-TOKEN": self.far_end.told.users[who]},
            trust_env=False,
            timeout=30,
        )
        assert answer.is_success, answer.text
        return answer.json()

    def address(self, part: str) -> str:
        """Of a Service, as this machine reaches it: it is the cluster's node."""
        found = self.kubectl.one("service", NAMESPACE, f"{NAME}-{part}")["spec"]
        return f"http://{found['clusterIP']}:{found['ports'][0]['port']}"

    def flowmaster(self, *words: str, who: str) -> subprocess.CompletedProcess[str]:
        """A command, as a person types it."""
        done = subprocess.run(
            [*CLI, *words],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "FLOWMASTER_URL": self.address("server"),
                "FLOWMASTER_TOKEN": self.far_end.told.users[who],
                "COLUMNS": "120",
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        said = f"{done.stdout}{done.stderr}"
        sys.stdout.write(f"$ flowmaster {' '.join(words)}  # {who}: {done.returncode}\n{said}\n")
        return done

    def revision(self, service: str, environment: str) -> int:
        """How often its template was changed since it was made."""
        found = self._workload(service, environment)
        return int(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"])

    def runs(self, service: str, environment: str) -> str:
        """The image of its template."""
        found = self._workload(service, environment)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _workload(self, service: str, environment: str) -> dict[str, Any]:
        namespace = self.far_end.catalog.environment(environment).namespace
        return self.kubectl.one("deployment", namespace, service)

    def _first_image(self, image: str) -> str:
        return f"{self._registry}/{image}:{FIRST}"

    @property
    def _registry(self) -> str:
        return self.far_end.told.registry_url.partition("://")[2]

    def _pull_secret(self, namespace: str) -> dict[str, Any]:
        account = {"username": "root", "password": self.far_end.told.gitlab_token}
        content = json.dumps({"auths": {self._registry: account}})
        made = _secret("registry", {".dockerconfigjson": content}, namespace)
        return {**made, "type": "kubernetes.io/dockerconfigjson"}

    def _helm(self) -> helm.Config:
        return helm.Config(kubeconfig_path=str(self.kubectl.kubeconfig), namespace=NAMESPACE)


def await_(what: str, look: Any, seconds: float = 120) -> Any:
    """What `look` answers, as soon as it is something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)
    return found


def _was_there(name: str) -> bool:
    """What the cluster makes in each namespace, and what people made before."""
    kind, _, own = name.partition("/")
    if kind.startswith(("deployment", "pod")):
        return own.startswith(("api", "worker"))
    return own in (
        "default",
        "kube-root-ca.crt",
        "registry",
        SECRET,
        LOGIN_SECRET,
    ) or own.startswith("default-token-")


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _secret(name: str, content: Mapping[str, str], namespace: str = NAMESPACE) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


def _deployment(name: str, namespace: str, image: str, settles: int) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "minReadySeconds": settles,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 3,
                    "imagePullSecrets": [{"name": "registry"}],
                    "containers": [
                        {
                            "name": name,
                            "image": image,
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": {
                                "httpGet": {"path": "/health", "port": 8080},
                                "periodSeconds": 1,
                            },
                        }
                    ],
                },
            },
        },
    }
