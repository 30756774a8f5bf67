"""The story, step by step: a release to production, with a refusal on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from flowmaster_delivery.cli.demo.aside import Behind
from flowmaster_delivery.cli.demo.narrator import StoryBroken, expect, wait_for
from flowmaster_delivery.cli.demo.release import Release
from flowmaster_delivery.cli.demo.stage import Stage, closed_gates
from flowmaster_delivery.cli.demo.troubles import Troubles

CHANGED = ("notification", "process-design", "ai-agent")
VERSION = "v1.1.0"
ENVIRONMENTS = ("dev", "staging", "production")
PATIENCE = 240.0
"""Seconds that a gate may take to open."""


class Story:
    """Each step is a method; they are lived in the order of `steps`."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.tell = stage, stage.narrator
        self.dana, self.devi, self.sam, self.sofia = (
            stage.person(name) for name in ("dana", "devi", "sam", "sofia")
        )
        changed = stage.catalog.service(CHANGED[1])
        schema = dict.fromkeys(changed.migrations, "1-2")
        self.release = Release(
            stage,
            changed.repository,
            VERSION,
            CHANGED,
            self.dana,
            {f"{changed.path}/schema.json": json.dumps(schema)},
        )
        self.behind = Behind(stage)
        self.troubles = Troubles(stage, self.release, self.behind, self.must, self.open)

    @property
    def steps(self) -> Sequence[tuple[str, Callable[[], None]]]:
        return (
            ("The platform takes over what runs already", self.adopt),
            ("Dana pushes a change of three services to develop", self.push),
            ("A merge request brings it to staging", self.to_staging),
            ("A merge request brings it to main, and Sam tags it", self.to_main),
            ("Production is asked for at once, and refuses with all reasons", self.refused),
            ("Sofia approves with her own GitLab token", self.approved),
            ("Meanwhile Devi has brought two more releases on their way", self.others),
            ("The soak is over: production, each service by canary", self.promoted),
            *self.troubles.steps,
            ("What runs where", self.matrix),
        )

    def live(self) -> None:
        """All of it. Raise StoryBroken where it goes otherwise than told."""
        for title, step in self.steps:
            self.tell.step(title)
            step()

    def adopt(self) -> None:
        for environment in ENVIRONMENTS:
            self.must("adopt", environment, "--reason", "taken over for the demo")

    def push(self) -> None:
        before = self.stage.digests("dev")
        commit = self.release.push("feat(process): import BPMN")
        self.release.reaches("dev", commit, before)

    def to_staging(self) -> None:
        self.behind.start()
        before = self.stage.digests("staging")
        commit = self.release.merge(
            "develop", "staging", [self.devi], self.devi, f"{VERSION} to staging"
        )
        self.release.reaches("staging", commit, before)
        expect(
            self.release.same_digests("dev", "staging"),
            "staging should run the very images that dev does",
        )
        self.tell.say("the same digests as in dev: built once, promoted twice")

    def to_main(self) -> None:
        approvers = [self.dana, self.sam]
        commit = self.release.merge("staging", "main", approvers, self.sam, f"Release {VERSION}")
        self.release.tag(self.sam, commit)
        self.release.becomes_candidate()

    def refused(self) -> None:
        status = self.stage.flowmaster("promote", "production", VERSION, who=self.sam)
        expect(status == 1, f"promote should have been refused, but its status was {status}")
        closed = self.stage.refusal(VERSION)
        approvals = closed.get("approvals", "")
        expect("1 of 2" in approvals, f"approvals should be 1 of 2, but are: {approvals or 'met'}")
        if "soak" not in closed:
            self.tell.say("(this machine is so slow that the soak was over already)")
        self.tell.say("Dana's own approval does not count: she wrote it")
        self.tell.say("the failed checks:", self.stage.page(CHANGED[0], "promotion", "production"))

    def approved(self) -> None:
        self.must("approve", "production", VERSION, "--token-file", str(self.sofia.token_file))

    def others(self) -> None:
        self.behind.tell(self.tell.console)

    def promoted(self) -> None:
        self.open(self.release)
        words = ("--reason", "BPMN import for the spring release")
        self.must("promote", "production", VERSION, *words)
        expect(
            self.release.same_digests("staging", "production"),
            "production should run the very images that staging does",
        )
        expect(
            all(self.stage.answers("production", name) for name in CHANGED),
            "the promoted services should answer in production",
        )
        page = self.stage.page(CHANGED[0], "deployment", "production")
        said = "production is healthy on the digests that were built for dev"
        self.tell.say(f"{said}, {self.tell.seconds:.0f} s after nothing was there", page)

    def matrix(self) -> None:
        self.must("status")

    def must(self, *words: str) -> None:
        """A command of Sam's that has to go well."""
        status = self.stage.flowmaster(*words, who=self.sam)
        expect(status == 0, f"`flowmaster {words[0]}` should have gone well: status {status}")

    def open(self, release: Release) -> None:
        """Wait until the gate is open for a release, by asking for the plan as anybody can."""
        closed: dict[str, str] = {}

        def open_() -> bool | None:
            plan = self.stage.plan("production", release.version, *release.services)
            closed.clear()
            closed.update(closed_gates(plan))
            return plan["open"] or None

        services = " ".join(f"--service {name}" for name in release.services)
        self.tell.command(f"flowmaster plan production {release.version} {services}")
        try:
            wait_for(f"the gate of {release.named}", open_, PATIENCE)
        except StoryBroken as broken:
            reasons = "; ".join(f"{gate}: {words}" for gate, words in closed.items())
            raise StoryBroken(f"{broken}: {reasons}") from broken
        self.tell.say("all gates are open")
