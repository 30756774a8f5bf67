"""The story, step by step: a release to production, a refusal on the way, a rollback at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from flowmaster_delivery.cli.demo.narrator import Aside, StoryBroken, expect, wait_for
from flowmaster_delivery.cli.demo.release import Release
from flowmaster_delivery.cli.demo.stage import Stage, closed_gates
from flowmaster_delivery.model.errors import DeliveryError

CHANGED = ("notification", "process-design", "ai-agent")
VERSION = "v1.1.0"
NEXT_VERSION = "v2.0.0"
"""Of the frontend, whose releases are its own."""
BROKEN = "flowmaster-frontend"
ENVIRONMENTS = ("dev", "staging", "production")
PATIENCE = 240.0
"""Seconds that a gate may take to open."""
LAST_WORDS = "Error: Cannot find module './dxg/runtime'"


class Story:
    """Each step is a method; they are lived in the order of `steps`."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.tell = stage, stage.narrator
        self.dana, self.devi, self.sam, self.sofia = (
            stage.person(name) for name in ("dana", "devi", "sam", "sofia")
        )
        platform = stage.catalog.service(CHANGED[0]).repository
        frontend = stage.catalog.service(BROKEN).repository
        self.release = Release(stage, platform, VERSION, CHANGED, self.dana)
        self.aside = Aside()
        behind = replace(stage, narrator=self.aside)
        self.bad = Release(behind, frontend, NEXT_VERSION, (BROKEN,), self.devi)
        self.beside = threading.Thread(target=self._release_frontend, name="second", daemon=True)
        self.fault: list[DeliveryError] = []

    @property
    def steps(self) -> Sequence[tuple[str, Callable[[], None]]]:
        return (
            ("The platform takes over what runs already", self.adopt),
            ("Dana pushes a change of three services to develop", self.push),
            ("A merge request brings it to staging", self.to_staging),
            ("A merge request brings it to main, and Sam tags it", self.to_main),
            ("Production is asked for at once, and refuses with all reasons", self.refused),
            ("Sofia approves with her own GitLab token", self.approved),
            (
                "Meanwhile Devi has brought a release of the frontend on its way",
                self.second_release,
            ),
            ("The soak is over: production", self.promoted),
            ("The frontend's pods never get ready in production", self.fails),
            ("Back by hand", self.rolled_back),
            ("What runs where", self.matrix),
        )

    def live(self) -> None:
        """All of it. Raise StoryBroken where it goes otherwise than told."""
        for title, step in self.steps:
            self.tell.step(title)
            step()

    def adopt(self) -> None:
        for environment in ENVIRONMENTS:
            self._must("adopt", environment, "--reason", "taken over for the demo")

    def push(self) -> None:
        before = self.stage.digests("dev")
        commit = self.release.push("feat(process): import BPMN")
        self.release.reaches("dev", commit, before)

    def to_staging(self) -> None:
        self.beside.start()
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
        self._seen(self.release)

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
        self._must("approve", "production", VERSION, "--token-file", str(self.sofia.token_file))

    def second_release(self) -> None:
        self.beside.join()
        self.aside.tell(self.tell.console)
        if self.fault:
            raise self.fault[0]

    def _release_frontend(self) -> None:
        try:
            before = self.stage.digests("dev")
            commit = self.bad.push("feat(dxg): new designer")
            self.bad.reaches("dev", commit, before)
            before = self.stage.digests("staging")
            staged = self.bad.merge("develop", "staging", [], self.devi, "New designer to staging")
            self.bad.reaches("staging", staged, before)
            approvers = [self.sam, self.sofia]
            released = self.bad.merge("staging", "main", approvers, self.sam, "The new designer")
            self.bad.tag(self.sam, released)
            self._seen(self.bad)
        except DeliveryError as error:
            self.fault.append(error)

    def promoted(self) -> None:
        self._open(self.release)
        words = ("--reason", "BPMN import for the spring release")
        self._must("promote", "production", VERSION, *words)
        expect(
            self.release.same_digests("staging", "production"),
            "production should run the very images that staging does",
        )
        expect(
            all(self.stage.answers("production", name) for name in CHANGED),
            "the promoted services should answer in production",
        )
        page = self.stage.page(CHANGED[0], "deployment", "production")
        self.tell.say("production is healthy on the digests that were built for dev", page)

    def fails(self) -> None:
        stage, before = self.stage, self.stage.digests("production")[BROKEN]
        namespace = "flowmaster-production"
        self._open(self.bad)
        stage.order_pods(
            namespace=namespace,
            workload=BROKEN,
            image=f"*{stage.digests('staging')[BROKEN]}",
            outcome="crash",
            message=LAST_WORDS,
        )
        status = stage.flowmaster("promote", "production", NEXT_VERSION, who=self.sam)
        expect(status == 1, f"the rollout should have failed, but its status was {status}")
        expect(stage.answers("production", BROKEN), "the old version should still answer")
        expect(
            stage.digests("production")[BROKEN] == before,
            "what failed must not be on record as what runs",
        )
        page = stage.page(BROKEN, "deployment", "production")
        self.tell.say("the old version never stopped serving", page)

    def rolled_back(self) -> None:
        words = ("--to", "previous", "--reason", "pods crash on start")
        self._must("rollback", "production", "--service", BROKEN, *words)
        self._must("hold", "list")
        held = self.stage.matrix()[BROKEN, "production"]["hold"]
        expect(held is not None, "the rollback should have left a hold")

    def matrix(self) -> None:
        self._must("status")

    def _must(self, *words: str) -> None:
        status = self.stage.flowmaster(*words, who=self.sam)
        expect(status == 0, f"`flowmaster {words[0]}` should have gone well: status {status}")

    def _seen(self, release: Release) -> None:
        """Wait until intake has made a candidate of the tag."""
        repository = release.repository
        release.stage.wait_for_begin(
            environment="production", repository=repository, version=release.version
        )
        words = f"{repository}@{release.version} is a candidate for production"
        release.stage.narrator.say(words)

    def _open(self, release: Release) -> None:
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
            wait_for(f"the gate of {release.repository}@{release.version}", open_, PATIENCE)
        except StoryBroken as broken:
            reasons = "; ".join(f"{gate}: {words}" for gate, words in closed.items())
            raise StoryBroken(f"{broken}: {reasons}") from broken
        self.tell.say("all gates are open")
