"""Secrets stand in no place that anybody can see, whatever goes well and whatever goes wrong.

Every secret that the platform or its people hold is planted, a release is brought to production and
taken back, and every far end fails in the worst way: it says back what it was sent, credentials and
all. Then everything that is stored, logged, shown, sent or passed to a process is searched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from flowmaster_delivery.cli.up import platform
from flowmaster_delivery.cli.up.platform import instance_yaml
from flowmaster_delivery.redaction import HIDDEN
from flowmaster_delivery.settings import environ_of_child
from tests.postgres import PASSWORD, Postgres
from tests.stories.planted.places import (
    Place,
    Processes,
    ask,
    files,
    left_at_the_far_ends,
    rows,
    shown_by_dagster,
    told_by_the_server,
    watched,
)
from tests.stories.planted.searching import Found, search
from tests.stories.planted.world import ENVIRONMENTS, World, world

ROOT = Path(__file__).parents[2]
VERSION = "v1.1.0"
WRONG = {"a mistyped token": "glpat-mistyped0123456789ab", "a forged webhook": "forged-0123456789"}
KINDS = ("commands", "Dagster", "API", "far ends", "files", "processes", "temporary files")
ENDED = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
WHERE = "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } } }"""


@dataclass
class Lived:
    """What came of the story, and all that could be seen of it."""

    planted: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    """What the platform said about each thing that went wrong."""
    places: dict[str, list[Place]] = field(default_factory=lambda: {"commands": []})

    def found(self, kind: str) -> list[Found]:
        return search(self.places[kind], self.planted)


class Story:
    def __init__(self, world: World, lived: Lived) -> None:
        self.world, self.stage, self.lived = world, world.stage, lived
        self.sam = self.stage.person("sam")
        self.token, self.release = self.sam.token, world.release(VERSION)

    def is_pushed(self) -> None:
        for environment in ENVIRONMENTS:
            assert self.stage.flowmaster("adopt", environment, "--reason", "x", who=self.sam) == 0
        before = self.stage.digests("dev")
        self.release.reaches("dev", self.release.push("feat: x"), before)

    def is_promoted(self) -> None:
        release, devi = self.release, self.stage.person("devi")
        before = self.stage.digests("staging")
        release.reaches("staging", release.merge("develop", "staging", [devi], devi, "x"), before)
        release.tag(self.sam, release.merge("staging", "main", [self.sam], self.sam, "x"))
        release.becomes_candidate()
        self._approves("sofia")
        _until(lambda: "open" if self.stage.plan("production", VERSION)["open"] else None)
        words = ("promote", "production", VERSION, "--reason", "x")
        assert self.stage.flowmaster(*words, who=self.sam) == 0

    def _approves(self, name: str) -> None:
        """As on a person's own machine, with the token in the environment of the command."""
        settings = self.world.platform.settings
        own = {"FLOWMASTER_URL": settings.server_url, "FLOWMASTER_TOKEN": self._token_of(name)}
        command = [
            sys.executable,
            "-m",
            "flowmaster_delivery.cli",
            "approve",
            "production",
            VERSION,
        ]
        done = subprocess.run(
            command, env=environ_of_child(own), cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        self.lived.places["commands"].append(("approve", (done.stdout + done.stderr).encode()))

    def _token_of(self, name: str) -> str:
        return self.lived.planted[f"token of {name}"]

    def gitlab_refuses(self) -> None:
        with (
            self._fault(server="gitlab", match="/api/v4/projects*", echo="plain", status=401),
            self._fault(server="gitlab", match="/flow-master/*", echo="base64", status=401),
        ):
            refused = self._run("image", "api")
            plan = ask(self.world, f"plan?environment=production&version={VERSION}", self.token)
            self.lived.said["plan"] = plan.text
        self.lived.said["image"] = self._reasons(refused)

    def registry_and_cluster_refuse(self) -> None:
        """Each says back what comes with credentials; the first question to a registry does not."""
        asked = {"server": "registry", "match": "/v2/*", "header": "Authorization"}
        with self._fault(**asked, echo="address", status=403):
            refused = self._run("image", "api")
        self.lived.said["registry"] = self._reasons(refused)
        with self._fault(server="kubernetes", echo="plain", status=403):
            refused = self._run("deployment", "web")
        self.lived.said["deployment"] = self._reasons(refused)

    def the_service_its_figures_and_slack_fail(self) -> None:
        with (
            self._fault(server="services", match="/dev/*", echo="plain", status=200),
            self._fault(server="prometheus", echo="hex", status=401),
            self._fault(server="inbox", echo="plain", status=500),
        ):
            refused = self._run("health", "api")
        self.lived.said["health"] = self._reasons(refused)

    def strangers_are_turned_away(self) -> None:
        mistyped = WRONG["a mistyped token"]
        self.lived.said["a stranger"] = httpx.post(
            f"{self.world.platform.ports.server_url}/api/holds",
            json={"service": "api", "environment": "production", "reason": "x"},
            headers={"PRIVATE-TOKEN": mistyped},
            trust_env=False,
        ).text
        forged = {"X-Gitlab-Token": WRONG["a forged webhook"]}
        signed = {"webhook-signature": f"v1,{WRONG['a forged webhook']}", "webhook-timestamp": "1"}
        url = self.world.platform.ports.webhook_url
        for headers in (forged, {**signed, "webhook-id": "1"}):
            answer = httpx.post(url, json={}, headers=headers, trust_env=False)
            self.lived.said["a webhook"] = f"{answer.status_code} {answer.text}"

    def goes_back(self) -> None:
        words = ("rollback", "production", "--service", "api", "--reason", "x")
        assert self.stage.flowmaster(*words, who=self.sam) == 0

    def is_looked_at(self) -> None:
        places = self.lived.places
        places["Dagster"] = list(shown_by_dagster(self.world))
        places["API"] = list(told_by_the_server(self.world, self.token))
        places["far ends"] = list(left_at_the_far_ends(self.world))

    @contextmanager
    def _fault(self, **order: object) -> Iterator[None]:
        self.world.fault(**order)
        try:
            yield
        finally:
            self.world.mended(str(order["server"]))

    def _run(self, chapter: str, service: str) -> str:
        """Materialize an asset of dev from the UI, in vain; the run."""
        (where,) = self.world.graphql(WHERE)["repositoriesOrError"]["nodes"]
        selector = {
            "repositoryLocationName": where["location"]["name"],
            "repositoryName": where["name"],
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [service, chapter]}],
        }
        tags = [{"key": "dagster/partition", "value": "dev"}]
        params = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
        run: str = self.world.graphql(LAUNCH, params=params)["launchRun"]["run"]["runId"]
        assert _until(lambda: self._ended(run)) == "FAILURE"
        return run

    def _reasons(self, run: str) -> str:
        return ask(self.world, f"runs/{run}", self.token).text

    def _ended(self, run: str) -> str | None:
        status: str = self.world.graphql(ENDED, id=run)["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None


def _until(look: Callable[[], str | None], seconds: float = 120) -> str:
    end = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < end, f"nothing after {seconds:g} s"
        time.sleep(0.3)
    return found


@contextmanager
def _own_environment(folder: Path, server: Postgres | None, database: str) -> Iterator[None]:
    """Emptied, with a mark by which everything that is started is known: its folder for files."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name not in ("PATH", "HOME", "LANG")]:
            patch.delenv(name)
        patch.setenv("TMPDIR", str(folder))
        if server is not None:
            shipped = YAML(typ="safe").load(instance_yaml())
            del shipped["event_log_storage"]
            own = json.dumps({**shipped, **server.overrides(database)})
            patch.setattr(platform, "instance_yaml", lambda: own)
        yield


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The whole story on SQLite; on PostgreSQL what is stored of a release and of its failures."""
    folder = tmp_path_factory.mktemp("planted")
    if request.param == "SQLite":
        return _live(folder, None, "")
    server: Postgres = request.getfixturevalue("postgres")
    return _live(folder, server, server.database())


def _live(folder: Path, server: Postgres | None, database: str) -> Lived:
    temporary = folder / "tmp"
    temporary.mkdir()
    printed, processes = StringIO(), Processes(str(temporary))
    with (
        _own_environment(temporary, server, database),
        redirect_stdout(printed),
        redirect_stderr(printed),
        watched(processes),
        world(folder) as up,
    ):
        lived = Lived({**up.planted, **WRONG, **({"password": PASSWORD} if server else {})})
        _tell(Story(up, lived), whole=server is None)
    # `demo` is where the people of the story keep their tokens and clones: their own machines.
    home = [place for place in files(folder / "home") if not place[0].startswith("demo/")]
    lived.places["files"] = home + (list(rows(server, database)) if server else [])
    lived.places["commands"].append(("all others", printed.getvalue().encode()))
    lived.places["temporary files"] = list(files(temporary))
    lived.places["processes"] = list(processes.places())
    return lived


def _tell(story: Story, *, whole: bool) -> None:
    story.is_pushed()
    if whole:
        story.is_promoted()
    story.gitlab_refuses()
    story.registry_and_cluster_refuse()
    story.the_service_its_figures_and_slack_fail()
    if whole:
        story.strangers_are_turned_away()
        story.goes_back()
    story.is_looked_at()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_can_be_seen(lived: Lived, kind: str) -> None:
    found = [one for one in lived.found(kind) if not _is_known(one)]
    assert not found, "\n".join(f"{one.name} in {one.place}: {one.around!r}" for one in found)


def _is_known(one: Found) -> bool:
    """Of docs/security.md: whoever runs a command has their token in its environment."""
    return one.name == "token of sofia" and " approve production" in one.place.partition(":")[2]


@pytest.mark.parametrize("what", ["plan", "image", "registry", "deployment", "health"])
def test_what_the_far_ends_said_back_did_arrive_and_was_hidden(lived: Lived, what: str) -> None:
    """On PostgreSQL there is no release to plan."""
    expected = "there is no version" if what == "plan" and "password" in lived.planted else HIDDEN
    assert expected in lived.said[what], lived.said[what]


def test_strangers_were_turned_away(lived: Lived) -> None:
    if "a stranger" not in lived.said:
        return  # told once, on SQLite
    assert "unauthenticated" in lived.said["a stranger"]
    assert lived.said["a webhook"].startswith("401")


def test_whoever_runs_a_command_has_the_token_in_its_environment(lived: Lived) -> None:
    """The search sees processes, even those that live for a second."""
    expected = {"token of sofia"} if "a stranger" in lived.said else set()
    assert {one.name for one in lived.found("processes")} == expected
