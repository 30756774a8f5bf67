"""The chart on a real node: installed, signed in to, broken part by part, upgraded, and gone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stories.installed.far_end import far_end
from tests.stories.installed.installation import (
    IMAGE_SWITCH,
    LOGIN_SWITCH,
    NAME,
    NAMESPACE,
    POSTGRES_SWITCH,
    Installation,
    await_,
    image_of,
)
from tests.stories.installed.kubectl import Kubectl
from tests.stories.installed.people import Submitted, browser
from tests.stories.node import docker, kubeconfig_of_node, repeated

pytestmark = pytest.mark.timeout(420)

SERVICES = ("api", "worker")
FIRST, SECOND = "v1.1.0", "v1.2.0"
OURS = "k8s_(api|worker|POD)_.*_installed-(dev|staging|production)_"
AUTHOR, SENIOR, OTHER_SENIOR = "dana", "sam", "sofia"


@dataclass
class Story:
    """The installation, and how its services were before the step that is told."""

    installed: Installation
    revisions: dict[tuple[str, str], int] = field(default_factory=dict)

    def release(self, version: str) -> None:
        """A version that has been through dev and staging and was approved; production waits."""
        far = self.installed.far_end
        self.remember()
        far.push(f"{version} for everybody", *SERVICES)
        self.reaches("dev")
        far.merge("develop", "staging")
        self.reaches("staging")
        far.merge("staging", "main")
        far.tag(version)
        query = {"environment": "production", "version": version}
        await_(f"{version} is a candidate", lambda: self.installed.api("/api/runs", query), 90)
        self.flowmaster("approve", "production", version, who=OTHER_SENIOR)
        await_(f"{version} may enter production", lambda: self.is_open(version), 120)

    def remember(self) -> None:
        """How often each service's template was changed until now."""
        self.revisions = {
            (service, name): self.installed.revision(service, name)
            for service in SERVICES
            for name in self.installed.far_end.catalog.environments
        }

    def changes(self, environment: str) -> dict[str, int]:
        """How often each service's template was changed since then."""
        return {
            service: self.installed.revision(service, environment)
            - self.revisions[service, environment]
            for service in SERVICES
        }

    def reaches(self, environment: str) -> None:
        once = dict.fromkeys(SERVICES, 1)
        await_(f"{environment} is rolled out to", lambda: self.changes(environment) == once, 180)
        await_(f"{environment} is on record", lambda: self.is_on_record(environment), 90)

    def is_on_record(self, environment: str) -> bool:
        rows = self.status(environment)
        return all(
            rows[service]["health"] == "healthy"
            and self.installed.runs(service, environment).endswith(str(rows[service]["digest"]))
            for service in SERVICES
        )

    def is_open(self, version: str) -> bool:
        query = {"environment": "production", "version": version}
        return bool(self.installed.api("/api/plan", query)["open"])

    def promote(self, version: str) -> None:
        """By the command, as a signed-in senior engineer; without waiting for it."""
        self.remember()
        words = ("promote", "production", version, "--reason", "the story", "--no-wait")
        self.flowmaster(*words, who=SENIOR)

    def has_begun(self) -> None:
        """The first service of production is being changed."""
        await_("the rollout begins", lambda: any(self.changes("production").values()), 120)

    def is_promoted(self, version: str) -> None:
        """All of it runs in production and is on record, and each service was changed once."""

        def finished() -> bool:
            rows = self.status("production")
            return all(rows[service]["version"] == version for service in SERVICES)

        await_(f"production runs {version}", finished, 300)
        assert self.changes("production") == dict.fromkeys(SERVICES, 1)
        await_("production is on record", lambda: self.is_on_record("production"), 60)

    def status(self, environment: str) -> dict[str, Any]:
        rows = self.installed.api("/api/status", {})
        return {row["service"]: row for row in rows if row["environment"] == environment}

    def flowmaster(self, *words: str, who: str) -> None:
        done = self.installed.flowmaster(*words, who=who)
        assert done.returncode == 0, done.stderr

    def by_the_ui(self, who: str, version: str) -> Submitted:
        """Sign in and press Materialize, with the form filled in."""
        with browser(self.installed) as opened:
            opened.sign_in(who)
            return opened.promote(version, SERVICES)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    kubectl = Kubectl(kubeconfig_of_node())
    images = [image_of(switch) for switch in (IMAGE_SWITCH, POSTGRES_SWITCH, LOGIN_SWITCH)]
    folder = tmp_path_factory.mktemp("installed")
    with ExitStack() as stack:
        far = stack.enter_context(far_end(folder, address_of_node(kubectl)))
        stack.enter_context(repeated(remove_ended, 1.0))
        installed = Installation(kubectl, far, folder, *images)
        stack.callback(installed.forget)
        installed.prepare()
        installed.install()
        far.send_webhooks_to(f"{installed.address('server')}/webhooks/gitlab")
        yield Story(installed)


def address_of_node(kubectl: Kubectl) -> str:
    """This machine as its containers see it."""
    wanted = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return kubectl("get", "nodes", "--output", f"jsonpath={wanted}").strip()


def test_the_doctor_finds_nothing_wrong_from_where_each_part_stands(story: Story) -> None:
    story.installed.test()


def test_a_release_reaches_dev_and_staging_by_runs_as_pods_of_their_own_rights(
    story: Story,
) -> None:
    story.release(FIRST)
    pods = story.installed.kubectl.get("pods", NAMESPACE, part("run"))
    accounts = {
        (pod["metadata"]["labels"]["flowmaster.ai/environment"], pod["spec"]["serviceAccountName"])
        for pod in pods
    }
    names = story.installed.far_end.catalog.environments
    assert accounts == {(name, f"{NAME}-env-{name}") for name in names}


def test_whoever_the_policy_does_not_name_is_refused_in_ui_and_command(story: Story) -> None:
    story.remember()
    run = story.by_the_ui(AUTHOR, FIRST)
    assert (run.status, run.asked_by) == ("FAILURE", AUTHOR)
    assert "dana is not a member of group/seniors" in run.words
    words = ("promote", "production", FIRST, "--reason", "I want to")
    done = story.installed.flowmaster(*words, who=AUTHOR)
    assert done.returncode == 1
    assert "group/seniors" in done.stderr
    assert not any(story.changes("production").values())


def test_a_senior_engineer_who_signed_in_promotes_to_production(story: Story) -> None:
    story.remember()
    run = story.by_the_ui(SENIOR, FIRST)
    assert run.asked_by == SENIOR
    story.is_promoted(FIRST)


def test_another_release_comes_as_far_as_staging(story: Story) -> None:
    story.release(SECOND)


KILLED: dict[str, tuple[str, Callable[[Kubectl], object]]] = {
    "the daemon": (SECOND, lambda kubectl: kubectl.kill_pods(NAMESPACE, part("daemon"))),
    "the code server": (FIRST, lambda kubectl: kubectl.kill_pods(NAMESPACE, part("code"))),
    "the run": (SECOND, lambda _: kill("dagster", "_dagster-run-")),
    "the database": (FIRST, lambda _: kill("postgresql", "")),
}
"""What is killed in the middle of which promotion; each brings what production does not run."""


@pytest.mark.parametrize("what", KILLED)
def test_a_promotion_is_finished_though_a_part_is_killed(story: Story, what: str) -> None:
    version, end = KILLED[what]
    story.promote(version)
    story.has_begun()
    end(story.installed.kubectl)
    story.is_promoted(version)


def test_the_chart_is_upgraded_while_a_promotion_runs(story: Story) -> None:
    story.promote(SECOND)
    story.has_begun()
    story.installed.upgrade(podAnnotations={"upgraded": "yes"})
    story.is_promoted(SECOND)


def test_everything_that_was_done_is_on_the_audit_trail_and_the_trail_is_whole(
    story: Story,
) -> None:
    story.flowmaster("audit", "--environment", "production", who=SENIOR)
    story.flowmaster("audit", "verify", who=SENIOR)


def test_uninstalled_it_leaves_nothing(story: Story) -> None:
    story.installed.uninstall()
    story.installed.is_gone()


def remove_ended() -> None:
    """What the node does once a minute: until then it takes the services' ended pods for there."""
    ended = docker("ps", "-a", "--quiet", "--filter", "status=exited", "--filter", f"name={OURS}")
    for container in ended.split():
        # The node may have removed it in this moment.
        subprocess.run(["docker", "rm", container], capture_output=True, timeout=60)


def part(component: str) -> str:
    return f"app.kubernetes.io/component={component}"


def kill(container: str, pods: str) -> None:
    """SIGKILL to the programs themselves, as when memory runs out: the pods stay."""
    found = docker("ps", "--quiet", "--filter", f"name=k8s_{container}{pods}").split()
    assert found, f"no container of {container}"
    docker("kill", *found)
