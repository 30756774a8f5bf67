"""A release on its whole way to production, whose process is killed at every call to anybody.

Image, version tag, gate, admission, canary, rollout, health, verification, records and GitLab's
deployment: `kill_points()` are all calls of it, before and after their effect. `survived(point)`
says what is wrong after the next run, if anything is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from flowmaster_delivery.flows.approval import approve
from flowmaster_delivery.flows.entry import (
    admitted_candidate,
    reason_on_record,
    wanted_candidate,
    why_not_any_more,
)
from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.health import look_at
from flowmaster_delivery.flows.image import Unresolved, label, resolve
from flowmaster_delivery.flows.incidents.cases import after_deployment, after_verification
from flowmaster_delivery.flows.intake import look_at_ref
from flowmaster_delivery.flows.promotion import admit, evaluate
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.source import Wanted, source_of
from flowmaster_delivery.flows.verification.suites import Companions
from flowmaster_delivery.flows.verification.verifying import Means, verify
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.analysis import Figure, Limit, MetricsRule
from flowmaster_delivery.model.canary import CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import Environment, Service, SoakRule
from flowmaster_delivery.model.errors import Permanent, Refused
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.source import Person, PipelineState
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.ports import Ports
from tests.fakes.away import Outage, distant
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.mortal import Process, mortal
from tests.flows.conftest import NOW, Platform
from tests.flows.kill_point import KillPoint, around

VERSION = "v1.1.0"
WANTED = Wanted(version=VERSION)
RULE = CanaryRule(
    steps=(CanaryStep(1, timedelta(seconds=4), 10), CanaryStep(2, timedelta(seconds=4), 50)),
    limits=(Limit(Figure.ERROR_RATE, 0.01, timedelta(minutes=1)),),
    look_every=timedelta(seconds=2),
)


@dataclass
class Stage:
    """v1.1.0 changes api; it soaked, and two seniors approved."""

    bad: bool = False
    """Whether its canary fails requests."""
    canary: CanaryRule | None = RULE
    outage: Outage | None = None
    platform: Platform = field(default_factory=Platform)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)

    def __post_init__(self) -> None:
        self.cluster.time.seconds = timedelta(hours=12).total_seconds()
        known = self.platform.catalog.environments
        production = replace(
            known["production"],
            soak=SoakRule(timedelta(hours=1), timedelta(hours=1)),
            safeguards=Safeguards(canary=self.canary),
            metrics=MetricsRule("http://metrics"),
        )
        self.platform.catalog = replace(
            self.platform.catalog,
            environments={**known, "production": production},
            services={"api": self.platform.catalog.services["api"]},
        )
        self._runs_already()
        self._is_tagged()
        self._is_approved()
        for pods in ("api-new", "api-"):
            self.metrics.tell(pods, requests=5_000, error_rate=0.0)
        self.metrics.tell("api-canary-", requests=5_000, error_rate=0.05 if self.bad else 0.0)

    @property
    def production(self) -> Environment:
        return self.platform.catalog.environments["production"]

    @property
    def api(self) -> Service:
        return self.platform.catalog.services["api"]

    @property
    def ports(self) -> Ports:
        p = self.platform
        ports = Ports(
            p.forge, p.registry, lambda _: self.cluster, FakeProbe(), p.history, p.notifier,
            self.metrics, FakeAudit(),
        )  # fmt: skip
        return distant(ports, self.outage) if self.outage else ports

    def digest(self, commit: str) -> str:
        """What CI built for it, whether the registry has it still or not."""
        return self.platform.registry.tags[self.api.image, commit[:8]]

    def _runs_already(self) -> None:
        platform = self.platform
        self.old = platform.forge.push("platform", "develop", "c1", {"services/api": "api-1"})
        platform.build(self.old, "api")
        for place in platform.catalog.environments:
            platform.bring("api", place, self.old)
        reference = platform.catalog.reference(self.api, self.digest(self.old))
        self.cluster.deploy(self.api, reference, desired=3, updated=3, total=3, available=3)

    def _is_tagged(self) -> None:
        platform = self.platform
        self.new = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
        platform.build(self.new, "api")
        platform.forge.branches["platform"].update({"staging": self.new, "main": self.new})
        platform.bring("api", "staging", self.new)
        image = platform.history.images("api", "staging")[0]
        for minutes in range(90, -1, -10):
            at = NOW - timedelta(minutes=minutes)
            platform.history.record(
                HealthObservation(
                    "api", "staging", HealthState.HEALTHY, image.digest, image.fingerprint, at
                )
            )
        platform.forge.tag("platform", VERSION, self.new)
        platform.forge.run_ci("platform", VERSION, self.new, PipelineState.SUCCESS)
        look_at_ref(platform.repository, f"refs/tags/{VERSION}", platform.catalog, self.ports, NOW)

    def _is_approved(self) -> None:
        forge = self.platform.forge
        forge.groups["group/seniors"] = {"sam", "sofia"}
        forge.people["dana@flowmaster.test"] = Person(1, "dana")
        for person in (Person(2, "sam"), Person(3, "sofia")):
            approve(self.production, VERSION, person, self.platform.catalog, self.ports, NOW)


@dataclass
class Run:
    """What the assets of one run do, and the sensor that tells GitLab after it."""

    stage: Stage
    name: str
    process: Process = field(default_factory=Process)

    def __post_init__(self) -> None:
        time = self.stage.cluster.time
        self.ports = mortal(self.stage.ports, self.process)
        self.pace = Pace(time.now, monotonic=time.monotonic, sleep=time.sleep)
        self.work = Work(
            self.stage.platform.catalog,
            self.ports,
            Asked(self.name, "sam"),
            self.pace,
            aside=lambda call: call(),
        )

    def go(self) -> None:
        """To its end: a refusal, too, is one."""
        with suppress(Refused):
            self.image()
            self.promotion()
            record = self.deployment()
            if record.outcome is Outcome.SUCCESS:
                self.health(record)
                self.ports.forge.record_deployment(
                    self.stage.platform.repository,
                    self.stage.production,
                    record.commit,
                    VERSION,
                    "success",
                )

    def reading(self) -> Reading:
        return Reading(self.stage.platform.catalog, self.ports)

    def image(self) -> None:
        reading, api = self.reading(), self.stage.api
        source = source_of(api, self.stage.production, WANTED, reading)
        found = resolve(api, source, reading, self.pace.now())
        if isinstance(found, Unresolved):
            raise Refused(found.why)
        label(api, found, reading)
        self.ports.history.record(found)

    def promotion(self) -> None:
        reading, now = self.reading(), self.pace.now()
        candidate = wanted_candidate(self.stage.api, self.stage.production, WANTED, reading)
        verdict = evaluate(candidate, reading, now)
        admission = admit(verdict, ship=True, asked_by="sam", reason="", now=now)
        if admission is None:
            raise Refused("; ".join(check.summary for check in verdict.unmet))
        self.ports.history.record(admission)

    def deployment(self) -> DeploymentRecord:
        now = self.pace.now()
        candidate, admission = admitted_candidate(
            self.stage.api, self.stage.production, WANTED, self.reading(), now
        )
        record = roll_out(
            candidate,
            self.stage.platform.catalog,
            self.ports,
            run_id=self.name,
            asked_by="sam",
            reason=reason_on_record("", admission),
            pace=self.pace,
            still_admitted=lambda: why_not_any_more(candidate, self.reading(), self.pace.now()),
        )
        self.ports.history.record(record)
        after_deployment(record, self.work)
        return record

    def health(self, record: DeploymentRecord) -> None:
        api, production = self.stage.api, self.stage.production
        seen = look_at(api, production, self.stage.platform.catalog, self.ports, now=self.pace.now)
        self.ports.history.record(seen)
        means = Means(self.name, _no_secret, _no_container, Companions(("api",), lambda: True))
        found = verify(record, seen, api, production, self.reading(), means, self.pace)
        self.ports.history.record(found)
        after_verification(found, self.work)


def _no_secret(name: str) -> str:
    raise Permanent(f"no secret {name} is needed here")


def _no_container(*_: object) -> object:
    raise Permanent("no container is run here")


@dataclass(frozen=True)
class Story:
    bad: bool

    def __str__(self) -> str:
        return "a bad release" if self.bad else "a good release"


def kill_points() -> tuple[KillPoint[Story], ...]:
    """Every call of a good and of a bad release to any port, before and after its effect."""
    return tuple(_points())


def _points() -> Iterator[KillPoint[Story]]:
    for story in (Story(bad=False), Story(bad=True)):
        stage = Stage(story.bad)
        run = Run(stage, "run-1")
        run.go()
        yield from around(story, run.process.calls, wrong_in(stage))


def survived(point: KillPoint[Story]) -> str:
    """What is wrong after the next run has ended; empty where nothing is."""
    stage, process = Stage(point.story.bad), Process(point.call, point.after_effect)
    with suppress(Killed):
        Run(stage, "run-1", process).go()
    if not process.dead:
        return "nobody was killed"
    stage.cluster.time.sleep(60)
    Run(stage, "run-2").go()
    return wrong_in(stage)


def wrong_in(stage: Stage) -> str:
    """Records may be written twice, as by any step that is tried again; not with other content."""
    cluster, history = stage.cluster, stage.platform.history
    old, new = stage.digest(stage.old), stage.digest(stage.new)
    live = cluster.deployments["api"]
    records = [
        r
        for r in history.records
        if isinstance(r, DeploymentRecord) and r.environment == "production"
    ][1:]
    changed = [r for r in records if r.changed]
    admitted = {r.candidate.digest for r in history.records if isinstance(r, Admission)}
    images = [r for r in history.records if isinstance(r, ImageRecord) and r.version == VERSION]
    verdicts = {r.outcome for r in history.records if isinstance(r, Verification)}
    good = not stage.bad
    told = {stage.new} if good else set()
    expected = {
        "image": (live.images["api"].rpartition("@")[2], new if good else old),
        "patches": (live.generation - 1, 1 if good else 0),
        "canaries made": (cluster.calls.count("create_canary"), 1),
        "what is left": (sorted(cluster.deployments), ["api"]),
        "version tag": (stage.platform.registry.tags[stage.api.image, VERSION], new),
        "images": ({image.digest for image in images}, {new}),
        "admitted": (admitted, {new}),
        "outcomes": ({r.outcome for r in records}, {Outcome.SUCCESS if good else Outcome.FAILURE}),
        "changes": ([(r.previous_digest, r.digest) for r in changed], [(old, new)] * good),
        "verified": (verdicts, {Outcome.SUCCESS} if good else set()),
        "holds": (len(history.holds()), 0 if good else 1),
        "incidents": (len(history.incidents("production")), 0 if good else 1),
        "in GitLab": ({d.commit for d in stage.platform.forge.deployments}, told),
    }
    return "; ".join(f"{what} is {a}, not {b}" for what, (a, b) in expected.items() if a != b)
