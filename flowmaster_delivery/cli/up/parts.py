"""The parts of the platform: each one's command line, and how it shows that it answers."""

from __future__ import annotations

import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flowmaster_delivery.cli.loopback import client
from flowmaster_delivery.cli.up.processes import Part

HOST = "127.0.0.1"
DEFINITIONS = "flowmaster_delivery.definitions"
LOCATION = "flowmaster-delivery"
OTHER_PORTS = range(20_000, 32_000)
"""None that a system gives to outgoing connections: what is free stays so until a part listens."""
OWN = (sys.executable, "-m", "flowmaster_delivery.cli")
OPENING = (
    sys.executable,
    "-c",
    "from dagster import DagsterInstance\nwith DagsterInstance.get(): pass",
)
"""Makes the instance's databases: several processes that do so at once break each other."""
LOADED = "{repositoriesOrError{__typename ... on RepositoryConnection{nodes{name}}}}"
RELOAD = "mutation{reloadWorkspace{__typename}}"
DAEMONS = "{instance{daemonHealth{allDaemonStatuses{required healthy}}}}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens, on loopback."""

    ui: int
    server: int
    code: int

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.ui}"

    @property
    def server_url(self) -> str:
        return f"http://{HOST}:{self.server}"

    @property
    def webhook_url(self) -> str:
        return f"{self.server_url}/webhooks/gitlab"


def sandbox(folder: Path, ports: Ports, catalog: Path | None) -> Part:
    """Seeded from the catalog; by default the one that came with the package."""
    command = [*OWN, "sandbox", "--data", str(folder), "--webhook-url", ports.webhook_url]
    command += ["--catalog", str(catalog)] if catalog else []
    return Part("sandbox", command, (folder / "sandbox.json").exists)


def code_server(ports: Ports) -> Part:
    command = [
        *(sys.executable, "-m", "dagster", "api", "grpc"),
        *("--host", HOST, "--port", str(ports.code)),
        *("--module-name", DEFINITIONS, "--location-name", LOCATION),
    ]
    return Part("code server", command, lambda: _listens(ports.code))


def webserver(workspace: Path, ports: Ports) -> Part:
    command = [
        *(sys.executable, "-m", "dagster_webserver"),
        *("--host", HOST, "--port", str(ports.ui), "--workspace", str(workspace)),
    ]
    return Part("webserver", command, lambda: _answers(f"{ports.ui_url}/server_info"))


def daemon(workspace: Path, ports: Ports) -> Part:
    command = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace)]
    return Part("daemon", command, lambda: daemons_are_healthy(ports))


def server(ports: Ports) -> Part:
    command = [*OWN, "serve", "--host", HOST, "--port", str(ports.server)]
    return Part("server", command, lambda: _answers(f"{ports.server_url}/healthz"))


def workspace_yaml(ports: Ports) -> str:
    return (
        "load_from:\n"
        f"  - grpc_server: {{host: {HOST}, port: {ports.code}, location_name: {LOCATION}}}\n"
    )


def assets_are_loaded(ports: Ports) -> bool:
    """Whether the UI shows our assets; asks it to look again where it came before them."""
    answer = _graphql(ports, LOADED)
    if answer and answer.get("repositoriesOrError", {}).get("nodes"):
        return True
    if answer:
        _graphql(ports, RELOAD)
    return False


def daemons_are_healthy(ports: Ports) -> bool:
    answer = _graphql(ports, DAEMONS)
    if not answer:
        return False
    statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def free_port(preferred: int) -> int:
    """The preferred port where it is free, else any that is."""
    others = (secrets.choice(OTHER_PORTS) for _ in range(50))
    return next((port for port in (preferred, *others) if port and _is_free(port)), preferred)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        return client().get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _graphql(ports: Ports, query: str) -> dict[str, Any] | None:
    try:
        response = client().post(f"{ports.ui_url}/graphql", json={"query": query}, timeout=10)
        data = response.json().get("data")
    except (httpx.HTTPError, ValueError):
        return None
    return data if isinstance(data, dict) else None
