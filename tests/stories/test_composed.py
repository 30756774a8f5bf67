"""docker-compose.yml, brought up: runs are containers, and only their daemon holds the socket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.stories.composed import GROUP, Composed, composed
from tests.stories.installed.installation import await_
from tests.stories.node import docker

pytestmark = pytest.mark.timeout(300)

SERVICE, ENVIRONMENT = "api", "dev"
ROOT_ON_THE_HOST = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    with composed(tmp_path_factory.mktemp("composed")) as running:
        yield running


def test_a_push_is_rolled_out_by_a_run_in_a_locked_down_container(platform: Composed) -> None:
    platform.flowmaster("adopt", ENVIRONMENT, "--reason", "runs well", who="sam")
    before = platform.status(SERVICE, ENVIRONMENT)["digest"]
    platform.far_end.push("something new", SERVICE)
    container = platform.container_of_a_run()
    assert container["Config"]["User"] == f"{GROUP}:{GROUP}"
    host = container["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert ROOT_ON_THE_HOST not in json.dumps(container)
    assert [name for name, word in shown(platform) if word in json.dumps(container)] == []

    def arrived() -> bool:
        row = platform.status(SERVICE, ENVIRONMENT)
        return row["digest"] != before and row["health"] == "healthy"

    await_("the push is in dev", arrived, 120)
    asked = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"
    runs = platform.ask_ui(asked)["runsOrError"]["results"]
    tags = {tag["key"]: tag["value"] for tag in runs[0]["tags"]}
    assert tags["docker/container_id"] == container["Id"]
    assert tags["flowmaster/asked-by"] == "intake"


def test_a_person_rolls_back_through_the_api(platform: Composed) -> None:
    bad = platform.status(SERVICE, ENVIRONMENT)["digest"]
    words = ("rollback", ENVIRONMENT, "--service", SERVICE, "--reason", "the story")
    platform.flowmaster(*words, who="sam")
    assert platform.status(SERVICE, ENVIRONMENT)["digest"] != bad


def test_docker_is_told_that_every_part_does_its_work(platform: Composed) -> None:
    await_("every part is healthy", platform.is_healthy, 120)


def test_the_published_ui_can_start_and_end_nothing(platform: Composed) -> None:
    ended = platform.ask_ui('mutation { terminateRun(runId: "any") { __typename } }')
    assert ended == {"terminateRun": {"__typename": "UnauthorizedError"}}


def test_retention_has_been_at_work(platform: Composed) -> None:
    await_("retention tells", lambda: "removed" in platform("logs", "retention"), 60)


def test_only_loopback_is_listened_on(platform: Composed) -> None:
    bound = {
        binding["HostIp"]
        for container in platform.containers()
        for bindings in (container["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert bound == {"127.0.0.1"}


def test_every_part_is_locked_down_and_one_holds_the_socket(platform: Composed) -> None:
    holders = set()
    for container in platform.containers():
        host = container["HostConfig"]
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert not container["Config"]["User"].startswith("0"), name
        if ROOT_ON_THE_HOST in json.dumps(container["Mounts"]):
            holders.add(name)
    assert holders == {"daemon"}


def test_no_secret_shows_in_what_docker_tells_or_keeps_of_a_part(platform: Composed) -> None:
    found = []
    for container in platform.containers():
        told = json.dumps(container) + docker("logs", container["Id"])
        found += [(container["Name"], name) for name, word in shown(platform) if word in told]
    assert found == []


def shown(platform: Composed) -> list[tuple[str, str]]:
    """What must not be shown: each secret, and the token in the kubeconfig."""
    words = [(name, word) for name, word in platform.secrets.items() if name != "kubeconfig"]
    token = re.search(r"token: ([\w-]{20,})", platform.secrets["kubeconfig"])
    assert token, "the kubeconfig has a token"
    return [*words, ("kubeconfig", token[1])]
