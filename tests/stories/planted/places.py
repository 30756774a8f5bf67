"""Everything that anybody can see of an installation: files, processes, UI, API, far ends."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.postgres import Postgres
from tests.stories.planted.world import ENVIRONMENTS, SERVICES, World

Place = tuple[str, bytes]

QUERIES = {
    "instance": """{ version instance { info executablePath hasInfo
      daemonHealth { allDaemonStatuses { lastHeartbeatErrors { message stack } } } } }""",
    "workspace": """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
      displayMetadata { key value } locationOrLoadError { ... on PythonError { ...Error } } } } } }
      fragment Error on PythonError { message stack causes { message stack } }""",
    "runs": """{ runsOrError(limit: 500) { ... on Runs { results { runId status runConfigYaml
      tags { key value } stepStats { stepKey status } } } } }""",
    "assets": """{ assetNodes { assetKey { path } description computeKind
      metadataEntries { label ... on TextMetadataEntry { text } }
      assetChecksOrError { ... on AssetChecks { checks { name description } } } } }""",
    "definitions": """{ repositoriesOrError { ... on RepositoryConnection { nodes { name
      location { name } displayMetadata { key value }
      pipelines { name runTags: tags { key value } presets { name runConfigYaml } }
      sensors { name description
        sensorState { status typeSpecificData { ... on SensorData { lastCursor lastRunKey } }
          ticks(limit: 100) { status skipReason cursor runKeys error { ...Error }
            logEvents { events { message } } } } } } } } }
      fragment Error on PythonError { message stack causes { message stack }
        errorChain { error { message stack } } }""",
}
DETAILS = """
  fragment Error on PythonError { message stack className causes { message stack }
    errorChain { error { message stack } } }
  fragment Facts on MetadataEntry { label description ... on TextMetadataEntry { text }
    ... on MarkdownMetadataEntry { mdStr } ... on UrlMetadataEntry { url }
    ... on JsonMetadataEntry { jsonString } }"""
EVENTS = f"""query ($id: ID!) {{ logsForRun(runId: $id, limit: 1000) {{ ... on EventConnection {{
  events {{ __typename ... on MessageEvent {{ message stepKey }}
    ... on ErrorEvent {{ error {{ ...Error }} }}
    ... on ExecutionStepFailureEvent {{
      failureMetadata {{ label description metadataEntries {{ ...Facts }} }} }}
    ... on MaterializationEvent {{ description metadataEntries {{ ...Facts }} }}
    ... on ObservationEvent {{ description metadataEntries {{ ...Facts }} }}
    ... on AssetCheckEvaluationEvent {{
      evaluation {{ checkName description metadataEntries {{ ...Facts }} }} }}
    ... on EngineEvent {{ metadataEntries {{ ...Facts }} error {{ ...Error }} }}
    ... on RunFailureEvent {{ error {{ ...Error }} }} }} }} }} }} {DETAILS}"""
HISTORY = f"""query ($key: AssetKeyInput!) {{ assetOrError(assetKey: $key) {{ ... on Asset {{
  assetMaterializations(limit: 100) {{ partition description metadataEntries {{ ...Facts }} }}
  assetObservations(limit: 100) {{ partition description metadataEntries {{ ...Facts }} }} }} }} }}
  {DETAILS.partition("fragment Facts")[1]}{DETAILS.partition("fragment Facts")[2]}"""
PAGES = ("/", "/runs", "/assets", "/locations", "/config", "/server_info")
API = ("status", "holds", "incidents?environment=production", "incidents?environment=dev")


def files(folder: Path) -> Iterator[Place]:
    """Every file below a folder: as it is on the disk, and a database with what its log adds."""
    read = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path, content in sorted(read.items()):
        yield str(path.relative_to(folder)), content
    for path, content in read.items():
        if content.startswith(b"SQLite format 3\0"):
            with closing(sqlite3.connect(path)) as database:
                yield f"{path.relative_to(folder)}, all of it", database.serialize()


def rows(server: Postgres, database: str) -> Iterator[Place]:
    """Every row of every table, and what the server itself has logged."""
    found = server.execute(
        database, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    for (table,) in found:
        for (row,) in server.execute(database, f'SELECT "{table}"::text FROM "{table}"'):  # noqa: S608
            yield f"table {table}", row.encode()
    yield "log of the database", (server.folder / "log").read_bytes()


def shown_by_dagster(world: World) -> Iterator[Place]:
    """What its UI asks for, by GraphQL, and its pages."""
    answers = {name: world.graphql(query) for name, query in QUERIES.items()}
    for name, answer in answers.items():
        yield f"GraphQL: {name}", _json(answer)
    for run in answers["runs"]["runsOrError"]["results"]:
        yield f"GraphQL: run {run['runId']}", _json(world.graphql(EVENTS, id=run["runId"]))
    for node in answers["assets"]["assetNodes"]:
        key = node["assetKey"]
        yield f"GraphQL: asset {key['path']}", _json(world.graphql(HISTORY, key=key))
    for path in PAGES:
        answer = httpx.get(f"{world.platform.ports.ui_url}{path}", trust_env=False, timeout=30)
        yield f"page {path}", answer.content


def told_by_the_server(world: World, token: str) -> Iterator[Place]:
    """The API's answers to somebody who may ask."""
    since = "2026-01-01T00:00:00Z"
    asked = [*API, *(f"timeline?environment={name}&since={since}" for name in ENVIRONMENTS)]
    asked += [f"timeline?environment=dev&since={since}&service={name}" for name in SERVICES]
    asked += [f"runs?environment={name}" for name in ENVIRONMENTS]
    for path in asked:
        yield f"API: {path}", ask(world, path, token).content
    for name in ENVIRONMENTS:
        for run in ask(world, f"runs?environment={name}", token).json():
            yield f"API: run {run['run']}", ask(world, f"runs/{run['run']}", token).content


def ask(world: World, path: str, token: str) -> httpx.Response:
    url = f"{world.platform.ports.server_url}/api/{path}"
    return httpx.get(url, headers={"PRIVATE-TOKEN": token}, trust_env=False, timeout=30)


def left_at_the_far_ends(world: World) -> Iterator[Place]:
    """What the platform wrote to Slack, to GitLab and to the cluster."""
    told = world.told
    yield "Slack", httpx.get(f"{told.inbox_url}/inbox", trust_env=False).content
    project, headers = "flow-master%2Fshop", {"PRIVATE-TOKEN": told.gitlab_token}
    for what in ("environments", "deployments", "releases"):
        url = f"{told.gitlab_url}/api/v4/projects/{project}/{what}?per_page=100"
        yield f"GitLab: {what}", httpx.get(url, headers=headers, trust_env=False).content
    bearer = {"Authorization": f"Bearer {world.planted['kubeconfig token']}"}
    with httpx.Client(headers=bearer, verify=False, trust_env=False) as cluster:  # noqa: S501
        for path in (
            "/apis/apps/v1/deployments",
            "/apis/coordination.k8s.io/v1/leases",
            "/apis/batch/v1/jobs",
            "/api/v1/events",
        ):
            answer = cluster.get(told.kubernetes_url + path).raise_for_status()
            yield f"Kubernetes: {path}", answer.content


class Processes:
    """Arguments and environments of every process with this mark in its environment."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._others = _running()
        self._seen: dict[int, tuple[bytes, bytes]] = {}

    def look(self) -> None:
        for pid in _running() - self._others:
            with suppress(OSError):  # it ended meanwhile, or is another user's
                folder = Path(f"/proc/{pid}")
                said = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
                if self._mark in said[1]:
                    self._seen[pid] = said

    def places(self) -> Iterator[Place]:
        for pid, (arguments, environment) in self._seen.items():
            name = b" ".join(arguments.split(b"\0")).decode("utf-8", "replace")[:200]
            yield f"arguments of {pid}: {name}", arguments
            yield f"environment of {pid}: {name}", environment


def _running() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*")}


@contextmanager
def watched(processes: Processes) -> Iterator[None]:
    """Looks at the processes ten times a second: most are gone when all is over."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            processes.look()

    thread = threading.Thread(target=look, name="watching processes")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _json(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode()
