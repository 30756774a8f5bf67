"""The platform on one machine by docker-compose.yml, the sandbox beside it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stories.installed.far_end import CATALOG, FarEnd, far_end
from tests.stories.installed.installation import IMAGE_SWITCH, POSTGRES_SWITCH, await_, image_of
from tests.stories.node import docker, free_port

ROOT = Path(__file__).parents[2]
PROJECT = "flowmaster-story"
SOCKET = Path("/var/run/docker.sock")
OF_A_RUN = "label=dagster/run_id"
OURS = f"label=com.docker.compose.project={PROJECT}"
CLI = (sys.executable, "-m", "flowmaster_delivery.cli")
PARTS = """{
    repositoriesOrError { ... on RepositoryConnection { nodes { name } } }
    instance { daemonHealth { allDaemonStatuses { required healthy } } }
}"""
GROUP = 10001
"""Of every process in the image."""


def compose_program() -> str:
    found = shutil.which("docker-compose")
    if found:
        return found
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    missing = "no docker-compose on this machine (Debian: apt install docker-compose)"
    raise (pytest.fail if required else pytest.skip).Exception(missing)


@dataclass(frozen=True, slots=True)
class Composed:
    """A running installation of docker-compose.yml."""

    program: str
    folder: Path
    far_end: FarEnd
    variables: Mapping[str, str]
    secrets: Mapping[str, str]

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.variables['FLOWMASTER_UI_PORT']}"

    @property
    def server_url(self) -> str:
        return f"http://127.0.0.1:{self.variables['FLOWMASTER_SERVER_PORT']}"

    def __call__(self, *words: str) -> str:
        """What docker-compose printed; it must succeed."""
        done = subprocess.run(
            [self.program, "--project-name", PROJECT, *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **self.variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def flowmaster(self, *words: str, who: str) -> str:
        """What a command said that a person typed; it must succeed."""
        done = subprocess.run(
            [*CLI, *words],
            env={
                "PATH": os.environ["PATH"],
                "FLOWMASTER_URL": self.server_url,
                "FLOWMASTER_TOKEN": self.far_end.told.users[who],
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def status(self, service: str, environment: str) -> dict[str, Any]:
        rows = json.loads(self.flowmaster("status", "--json", who="sam"))
        found = [r for r in rows if (r["service"], r["environment"]) == (service, environment)]
        assert len(found) == 1, rows
        return dict(found[0])

    def ask_ui(self, query: str) -> dict[str, Any]:
        """Data of an answer of the webserver that is published."""
        answer = httpx.post(f"{self.ui_url}/graphql", json={"query": query}, trust_env=False)
        found: dict[str, Any] = answer.json()["data"]
        return found

    def containers(self) -> list[dict[str, Any]]:
        """All that are there, as Docker describes them."""
        names = docker("ps", "--all", "--quiet", "--filter", OURS).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *names))
        return found

    def is_up(self) -> bool:
        """The UI shows what the code server has, the daemons work, the server answers."""
        try:
            server = httpx.get(f"{self.server_url}/healthz", trust_env=False)
            told = self.ask_ui(PARTS)
        except (httpx.TransportError, ValueError):
            return False
        daemons = told["instance"]["daemonHealth"]["allDaemonStatuses"]
        working = all(daemon["healthy"] for daemon in daemons if daemon["required"])
        assets = told["repositoriesOrError"].get("nodes")
        return bool(server.is_success and working and assets)

    def is_healthy(self) -> bool:
        """All whom Docker asks."""
        asked = [
            c["State"]["Health"]["Status"] for c in self.containers() if "Health" in c["State"]
        ]
        return set(asked) == {"healthy"}

    def container_of_a_run(self) -> dict[str, Any]:
        """The next one that runs, as Docker describes it: when it ends it is gone."""

        def look() -> Any:
            running = docker("ps", "--quiet", "--filter", OF_A_RUN).split()
            return running and json.loads(docker("inspect", running[0]))

        found: dict[str, Any] = await_("a container of a run", look, 90)[0]
        return found


@contextmanager
def composed(folder: Path) -> Iterator[Composed]:
    """It is up, and takes webhooks of the sandbox; afterwards nothing of it is left."""
    program = compose_program()
    images = {
        "FLOWMASTER_IMAGE": image_of(IMAGE_SWITCH),
        "POSTGRES_IMAGE": image_of(POSTGRES_SWITCH),
    }
    with far_end(folder, bridge()) as far:
        found = Composed(program, folder, far, {**images, **settings(folder)}, secrets_of(far))
        write(folder, found)
        try:
            found("up", "--detach")
            await_("all of it is up", found.is_up, 150)
            far.send_webhooks_to(f"{found.server_url}/webhooks/gitlab")
            yield found
        finally:
            found("stop", "--timeout", "5")  # the daemon first of all: it would start runs again
            await_("the last run has ended", no_run_is_left, 60)
            found("down", "--volumes")


def no_run_is_left() -> bool:
    """One that still runs is ended; whoever ends removes itself."""
    left = docker("ps", "--all", "--quiet", "--filter", OF_A_RUN).split()
    for name in left:
        subprocess.run(["docker", "kill", name], capture_output=True, timeout=30)
    return not left


def bridge() -> str:
    """This machine as its containers see it. Docker does not always tell the gateway's address."""
    subnet = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
    return str(next(ip_network(subnet.strip()).hosts()))


def settings(folder: Path) -> dict[str, str]:
    return {
        "FLOWMASTER_SECRETS": str(folder / "secrets"),
        "FLOWMASTER_SMOKE_SECRETS": str(folder / "secrets" / "smoke"),
        "FLOWMASTER_CONFIG": str(folder / "config"),
        "FLOWMASTER_OVERLAY": "/etc/flowmaster/config/overlay.yaml",
        "FLOWMASTER_REGISTRY_USER": "root",
        "FLOWMASTER_UI_PORT": str(free_port()),
        "FLOWMASTER_SERVER_PORT": str(free_port()),
        "DOCKER_GROUP": str(SOCKET.stat().st_gid),
    }


def secrets_of(far: FarEnd) -> dict[str, str]:
    told = far.told
    return {
        "database-password": f"it's {secrets.token_urlsafe(24)}",
        "seal-key": secrets.token_hex(32),
        "gitlab-token": told.gitlab_token,
        "webhook-secret": told.webhook_secret,
        "registry-password": told.gitlab_token,
        "kubeconfig": Path(told.kubeconfig).read_text(),
    }


def write(folder: Path, of: Composed) -> None:
    """Catalog, overlay and secrets, as docs/one-machine.md tells to."""
    config, hidden = folder / "config", folder / "secrets"
    config.mkdir()
    (hidden / "smoke").mkdir(parents=True)
    shutil.copy(CATALOG, config / "catalog.yaml")
    told = of.far_end.told
    overlay = {
        "forge_url": told.gitlab_url,
        "registry_url": told.registry_url,
        "environments": {n: {"base_url": place.base_url} for n, place in told.environments.items()},
    }
    (config / "overlay.yaml").write_text(json.dumps(overlay))
    for name, content in of.secrets.items():
        path = hidden / name
        path.touch(mode=0o600)
        path.write_text(content)
        if os.getuid() == 0:
            os.chown(path, 0, GROUP)
            path.chmod(0o640)
        else:  # nobody else reaches the folder
            path.chmod(0o644)
