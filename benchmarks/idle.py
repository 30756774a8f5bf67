"""What a sensor tick without news asks GitLab, by the number of services and tags."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.catalogs import write_catalog
from benchmarks.figures import Figure
from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.flows.intake import look
from flowmaster_delivery.ports import Ports
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread

SIZES = ((29, 5), (1000, 5000))
"""Services and tags."""


def measure() -> Iterator[Figure]:
    """One figure is the worst of all sizes; each size stands beside it."""
    calls = {(services, tags): _calls(services, tags) for services, tags in SIZES}
    yield Figure("idle_tick_calls", max(calls.values()), "calls", 3, "per repository and tick")
    for (services, tags), count in calls.items():
        yield Figure(f"idle_tick_calls_{services}", count, "calls", 3, f"{tags} tags")


def _calls(services: int, tags: int) -> int:
    with TemporaryDirectory() as folder, in_thread(Options(data=Path(folder) / "s")) as addresses:
        catalog = load_catalog(write_catalog(Path(folder) / "catalog.yaml", services))
        repository = next(iter(catalog.repositories.values()))
        _publish(repository.project, tags, addresses, Path(folder) / "work")
        asked: list[str] = []
        forge = GitLabForge(
            addresses.gitlab_url,
            lambda: addresses.gitlab_token,
            on_request=lambda method, path: asked.append(f"{method} {path}"),
        )
        ports = Ports(forge, *[None] * 7)  # type: ignore[arg-type]  # an idle look asks nobody else
        now = datetime.now(UTC)
        seen = look(repository, catalog, ports, None, now).seen
        asked.clear()
        found = look(repository, catalog, ports, seen, now)
        forge.close()
        if found.orders or found.notices or len(found.seen.tags) != tags:
            raise RuntimeError(f"the look was not idle: {found.orders} {found.notices}")
        return len(asked)


def _publish(project: str, tags: int, addresses: Addresses, work: Path) -> None:
    """A project with the branches of the environments and so many tags, pushed by git."""
    group, _, name = project.partition("/")
    with httpx.Client(
        base_url=f"{addresses.gitlab_url}/api/v4",
        headers={"PRIVATE-TOKEN": addresses.gitlab_token},
        timeout=30,
    ) as api:
        made = api.post("/groups", json={"name": group, "path": group}).raise_for_status().json()
        api.post(
            "/projects", json={"name": name, "path": name, "namespace_id": made["id"]}
        ).raise_for_status()
    _git(work.parent, "init", "--quiet", "--initial-branch=main", str(work))
    (work / "README.md").write_text("bench\n", encoding="utf-8")
    _git(work, "add", ".")
    _git(work, "commit", "--quiet", "-m", "start")
    for branch in ("develop", "staging"):
        _git(work, "branch", branch)
    head = _git(work, "rev-parse", "HEAD").strip()
    packed = "".join(f"{head} refs/tags/v1.0.{number}\n" for number in range(tags))
    (work / ".git" / "packed-refs").write_text(packed, encoding="utf-8")
    remote = f"{addresses.gitlab_url}/{project}.git"
    _git(work, "push", "--quiet", "--all", remote, token=addresses.gitlab_token)
    _git(work, "push", "--quiet", "--tags", remote, token=addresses.gitlab_token)


def _git(folder: Path, *words: str, token: str = "") -> str:
    """Run git; the token travels in the environment, not on the command line."""
    environ = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "bench",
        "GIT_AUTHOR_EMAIL": "bench@flowmaster.test",
        "GIT_COMMITTER_NAME": "bench",
        "GIT_COMMITTER_EMAIL": "bench@flowmaster.test",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": '!f() { echo "username=oauth2"; echo "password=$BENCH_TOKEN"; }; f',
        "BENCH_TOKEN": token,
    }
    return subprocess.run(
        ["git", *words], cwd=folder, env=environ, check=True, capture_output=True, text=True
    ).stdout
