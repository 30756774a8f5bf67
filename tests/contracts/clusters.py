"""Clusters to test against: the sandbox's, and a real API server with its controllers."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.rights import Right
from flowmaster_delivery.sandbox.kubernetes import Certificates, KubernetesSandbox
from flowmaster_delivery.sandbox.orders import Behaviours, Outcome, PodBehaviour
from tests.contracts.accounts import (
    AUDIT_POLICY,
    Account,
    Notes,
    audited,
    await_rights,
    kubeconfig_with,
    service_account,
)
from tests.fakes.served import bind, served

CONTEXT = "test"
TOKEN = "the-administrator-of-this-test"
AUDIT_LOG = "audit.log"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
MANIFEST_UNKNOWN = "manifest unknown: the registry has no such image"


class Target(Protocol):
    """A cluster whose pods fare as told."""

    kubeconfig: Path
    real: bool

    def fare(self, digest: str, outcome: Outcome, message: str = "") -> None:
        """How pods with this image fare from now on; `ready` where nothing was said."""

    def account(self, namespace: str, rights: Sequence[Right]) -> Account:
        """Somebody who has these rights in the namespace, and no others."""


@dataclass
class Knowing:
    """A registry that has every image named by digest."""

    def resolve(self, reference: str) -> str | None:
        return reference.rpartition("@")[2] or None

    def push(self, repository: str, *, tags: object, labels: object) -> str:
        raise AssertionError(f"nothing here builds images, and {repository} was pushed")


@dataclass
class SandboxTarget:
    kubeconfig: Path
    behaviours: Behaviours
    kubernetes: KubernetesSandbox
    notes: Notes
    real: bool = False

    def fare(self, digest: str, outcome: Outcome, message: str = "") -> None:
        behaviour = PodBehaviour(outcome, ready_after=0.1, message=message)
        self.behaviours.set_pod(behaviour, image=f"*{digest}")

    def account(self, namespace: str, rights: Sequence[Right]) -> Account:
        token = self.kubernetes.add_token("account", rights={namespace: rights})
        kubeconfig = kubeconfig_with(token, self.kubeconfig)
        return Account(kubeconfig, namespace, lambda: self.notes.of(token, namespace))


@contextmanager
def sandbox(folder: Path) -> Iterator[Target]:
    behaviours = Behaviours(default_pod=PodBehaviour(ready_after=0.1))
    kubernetes = KubernetesSandbox(images=Knowing(), behaviours=behaviours)
    certificates = Certificates.issue(folder)
    bound = bind()
    port = int(bound.getsockname()[1])
    kubeconfig = folder / "kubeconfig"
    content = kubernetes.kubeconfig(
        f"https://127.0.0.1:{port}", ca=certificates.ca, contexts={CONTEXT: "default"}
    )
    kubeconfig.write_text(json.dumps(content))
    tls = (certificates.certificate, certificates.key)
    notes = Notes(kubernetes.app)
    with served(notes, bound, kubernetes.run, tls=tls):
        yield SandboxTarget(kubeconfig, behaviours, kubernetes, notes)


@dataclass
class RealTarget:
    """A real API server without a node: a thread plays the kubelet, by patching pods' status."""

    kubeconfig: Path
    real: bool = True
    orders: dict[str, tuple[Outcome, str]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _crashes: dict[str, int] = field(default_factory=dict)

    def fare(self, digest: str, outcome: Outcome, message: str = "") -> None:
        self.orders[digest] = (outcome, message)

    def account(self, namespace: str, rights: Sequence[Right]) -> Account:
        with closing(Api(connect(self.kubeconfig, CONTEXT))) as api:
            name, token = service_account(api, namespace, rights)
        kubeconfig = kubeconfig_with(token, self.kubeconfig)
        await_rights(kubeconfig, CONTEXT, namespace, rights)
        user, log = (
            f"system:serviceaccount:{namespace}:{name}",
            self.kubeconfig.with_name(AUDIT_LOG),
        )
        return Account(kubeconfig, namespace, lambda: frozenset(audited(log, user, namespace)))

    @contextmanager
    def kubelet(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        api = Api(connect(self.kubeconfig, CONTEXT))
        while not self._stop.wait(0.1):
            try:
                for pod in api.get("/api/v1/pods")["items"]:
                    self._play(api, pod)
            except DeliveryError:
                continue
        api.close()

    def _play(self, api: Api, pod: Mapping[str, Any]) -> None:
        meta, container = pod["metadata"], pod["spec"]["containers"][0]
        digest = container["image"].rpartition("@")[2]
        outcome, message = self.orders.get(digest, ("ready", ""))
        crashes = self._crashes.get(meta["name"], 0) + 1
        if outcome == "crash":
            self._crashes[meta["name"]] = crashes
        statuses = [
            _container_status(
                c, outcome, message, crashes, job="job-name" in meta.get("labels", {})
            )
            for c in pod["spec"]["containers"]
        ]
        done = "terminated" in statuses[0]["state"]
        failed = done and statuses[0]["state"]["terminated"]["exitCode"]
        phase = ("Failed" if failed else "Succeeded") if done else "Running"
        ready = "True" if outcome == "ready" and not done else "False"
        status: dict[str, Any] = {
            "phase": phase,
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": statuses,
        }
        if outcome == "unschedulable":
            unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            status = {"conditions": [{**unscheduled, "message": message}]}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        merge = "application/merge-patch+json"
        api.once("PATCH", path, body={"status": status}, content_type=merge)


def _container_status(
    container: Mapping[str, Any], outcome: Outcome, message: str, crashes: int, *, job: bool
) -> dict[str, Any]:
    name, image = container["name"], container["image"]
    made = {"name": name, "image": image, "imageID": f"docker-pullable://{image}"}
    if job:
        code = 0 if outcome == "ready" else 3
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
        return {**made, "ready": False, "restartCount": 0, "state": {"terminated": ended}}
    if outcome == "ready":
        return {**made, "ready": True, "restartCount": 0, "state": {"running": {}}}
    waiting = {"reason": "ContainerCreating", "message": ""}
    last: dict[str, Any] = {}
    if outcome == "image_pull":
        waiting = {"reason": "ErrImagePull", "message": message}
    if outcome == "config_error":
        waiting = {"reason": "CreateContainerConfigError", "message": message}
    if outcome == "crash":
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
        last = {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}
    return {
        **made,
        "imageID": "",
        "ready": False,
        "restartCount": crashes if outcome == "crash" else 0,
        "state": {"waiting": waiting},
        "lastState": last,
    }


@contextmanager
def real(folder: Path) -> Iterator[Target]:
    """etcd, kube-apiserver and kube-controller-manager of KUBEBUILDER_ASSETS on free ports.

    A cluster of somebody's KUBECONFIG is left alone: these tests write.
    """
    programs = _programs()
    kubeconfig = folder / "kubeconfig"
    with ExitStack() as stack:
        port = _start_server(programs, folder, stack)
        _write_kubeconfig(kubeconfig, folder, port)
        _await_answer(folder, port)
        _start_controllers(programs, folder, stack)
        target = RealTarget(kubeconfig)
        stack.enter_context(target.kubelet())
        yield target


def _programs() -> dict[str, Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    found = {name: Path(assets) / name for name in PROGRAMS}
    absent = [name for name, path in found.items() if not (assets and path.exists())]
    if absent:
        missing = f"KUBEBUILDER_ASSETS names no folder with {', '.join(absent)}"
        if os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _start(stack: ExitStack, folder: Path, program: Path, *arguments: str) -> None:
    log = stack.enter_context((folder / f"{program.name}.log").open("wb"))
    process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)


def _start_server(programs: Mapping[str, Path], folder: Path, stack: ExitStack) -> int:
    etcd, peers, port = _free_port(), _free_port(), _free_port()
    _start(
        stack,
        folder,
        programs["etcd"],
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls=http://127.0.0.1:{etcd}",
        f"--advertise-client-urls=http://127.0.0.1:{etcd}",
        f"--listen-peer-urls=http://127.0.0.1:{peers}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
        f"--initial-cluster=default=http://127.0.0.1:{peers}",
    )
    keys = Certificates.issue(folder)
    (folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    _start(
        stack,
        folder,
        programs["kube-apiserver"],
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={keys.certificate}",
        f"--tls-private-key-file={keys.key}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.certificate}",
        f"--service-account-signing-key-file={keys.key}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
        f"--audit-policy-file={folder / 'audit.json'}",
        f"--audit-log-path={folder / AUDIT_LOG}",
    )
    return port


def _start_controllers(programs: Mapping[str, Path], folder: Path, stack: ExitStack) -> None:
    program = programs["kube-controller-manager"]
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    minor = int(said.split(".")[1])
    _start(
        stack,
        folder,
        program,
        f"--kubeconfig={folder / 'kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={_free_port()}",
        "--controllers=deployment,replicaset,garbagecollector,job,namespace",
        *(["--port=0"] if minor < 24 else []),
    )


def _write_kubeconfig(path: Path, folder: Path, port: int) -> None:
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(folder / "ca.crt"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "admin"}}],
        "current-context": CONTEXT,
    }
    path.write_text(json.dumps(content))


def _await_answer(folder: Path, port: int) -> None:
    trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    request = urllib.request.Request(  # https on loopback
        f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    end = time.monotonic() + 45
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=2, context=trust):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    log = (folder / "kube-apiserver.log").read_text()[-2000:]
    pytest.fail(f"kube-apiserver did not answer within 45 s:\n{log}")
