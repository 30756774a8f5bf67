"""What goes wrong in the story, each in its own way, and what the platform makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowmaster_delivery.cli.demo.aside import FRONTEND, MIGRATIONS, Behind
from flowmaster_delivery.cli.demo.narrator import expect
from flowmaster_delivery.cli.demo.release import Release
from flowmaster_delivery.cli.demo.stage import Stage

BAD, SLOW, STUCK = "ai-agent", "notification", "process-design"
"""Of the release that reached production: what turns bad, what turns slow, what cannot go back."""


class Troubles:
    """The second half. `must` runs a command that has to go well, `open_` waits for a gate."""

    def __init__(
        self,
        stage: Stage,
        good: Release,
        behind: Behind,
        must: Callable[..., None],
        open_: Callable[[Release], None],
    ) -> None:
        self.stage, self.tell, self.good, self.behind = stage, stage.narrator, good, behind
        self.must, self.open = must, open_
        self.sam = stage.person("sam")

    @property
    def steps(self) -> Sequence[tuple[str, Callable[[], None]]]:
        return (
            (
                "The frontend's new version fails 5 % of its requests, and so its canary",
                self.canary,
            ),
            ("A service turns bad after it was verified: the watch takes it back", self.turned_bad),
            ("A slow one may have its reasons: a person is asked", self.turned_slow),
            ("A migration takes away what the version before needed", self.contraction),
            ("A service turns bad again, and the simple way back is closed", self.no_way_back),
        )

    def canary(self) -> None:
        before = self.stage.digests("production")[FRONTEND]
        release = self.behind.frontend
        self.open(release)
        new = self.stage.digests("staging")[FRONTEND]
        namespace = self.stage.catalog.environment("production").namespace
        self.stage.order_services(
            workload=FRONTEND, namespace=namespace, image=f"*{new}", failure_rate=0.05
        )
        status = self.stage.flowmaster("promote", "production", release.version, who=self.sam)
        expect(status == 1, f"the canary should have failed, but the status was {status}")
        self.stage.incident_of(FRONTEND, "rolled_back")
        self.must("incident", "list")
        expect(self.stage.answers("production", FRONTEND), "the old version should still answer")
        expect(
            self.stage.digests("production")[FRONTEND] == before,
            "what failed must not be on record as what runs",
        )
        page = self.stage.page(FRONTEND, "deployment", "production")
        self.tell.say("one pod beside two had it; the service itself was never touched", page)

    def turned_bad(self) -> None:
        before = self._break(BAD, "--errors", "8%")
        incident = self.stage.incident_of(BAD, "rolled_back", "failed", "left")
        expect(incident["state"] == "rolled_back", f"{BAD} should have gone back: {incident}")
        self.must("incident", "show", incident["id"])
        expect(self._runs(BAD) != before, f"production should not run the bad {BAD} any more")
        self.tell.say("nobody was asked: over 5 % errors in the window goes back by itself")

    def turned_slow(self) -> None:
        before = self._break(SLOW, "--slow", "900ms")
        incident = self.stage.incident_of(SLOW, "asked")
        self.tell.say(f"{incident['reason']}; it waits for a person until the deadline")
        self.must("incident", "approve", incident["id"], "--reason", "customers wait too long")
        done = self.stage.incident_of(SLOW, "rolled_back", "failed")
        expect(done["state"] == "rolled_back", f"{SLOW} should have gone back: {done['state']}")
        expect(self._runs(SLOW) != before, f"production should not run the slow {SLOW} any more")
        self.must("hold", "list")

    def contraction(self) -> None:
        release = self.behind.migrations
        self.open(release)
        self.must("promote", "production", release.version, "--reason", "nothing reads it any more")
        self.must("migration", "list", "production")

    def no_way_back(self) -> None:
        before = self._break(STUCK, "--errors", "8%")
        incident = self.stage.incident_of(STUCK, "failed", "left", "rolled_back")
        expect(incident["state"] != "rolled_back", f"{STUCK} must not go back: {incident['why']}")
        self.must("incident", "list")
        expect(self._runs(STUCK) == before, "the image should have stayed as it was")
        expect(bool(self._holds_of_all()), "production should be held as a whole")
        self.tell.say(f"{MIGRATIONS} took away what the version before needs: people are paged")
        self._mend()

    def _mend(self) -> None:
        self.must("sandbox", "mend", STUCK, "--data", str(self.stage.platform.home.sandbox))
        for hold in self._holds_of_all():
            self.must("hold", "release", hold["id"], "--reason", "mended by hand, forward")

    def _holds_of_all(self) -> list[Any]:
        holds = self.stage.session.server().get("/api/holds", {"environment": "production"})
        return [hold for hold in holds if hold["service"] == "*"]

    def _break(self, service: str, *how: str) -> str:
        """Let what runs of a service go wrong; its digest."""
        home = str(self.stage.platform.home.sandbox)
        words = ("--environment", "production", *how, "--data", home)
        self.must("sandbox", "break", service, *words)
        return self._runs(service)

    def _runs(self, service: str) -> str:
        return self.stage.digests("production")[service]
