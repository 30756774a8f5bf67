"""A canary whose process is killed at every call to the cluster, before and after its effect.

`kill_points()` are all of them, `survived(point)` says what is wrong after the next run, if
anything is. The benchmark counts them; the tests hold each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flowmaster_delivery.flows.canary.trial import Judge, StillAdmitted, Trial, always
from flowmaster_delivery.flows.canary.trying import try_out
from flowmaster_delivery.flows.goal import Done, Goal, Pace
from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.canary import (
    CanaryCommand,
    CanaryOrder,
    CanaryRule,
    CanaryStep,
    Traffic,
)
from flowmaster_delivery.model.catalog import Environment, Kind, RefKind, RefRule, Service
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, Pod, Progress
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry
from tests.flows.kill_point import KillPoint, around

OLD_DIGEST, NEW_DIGEST, OTHER_DIGEST = (f"sha256:{letter * 64}" for letter in "abc")
OLD, NEW, OTHER = (f"registry/group/api@{d}" for d in (OLD_DIGEST, NEW_DIGEST, OTHER_DIGEST))
API = Service("api", Kind.DEPLOYMENT, "platform", "api", "group/api")
PRODUCTION = Environment("production", "test", RefRule(RefKind.VERSION))
ERRORS = Limit(Figure.ERROR_RATE, 0.01, timedelta(minutes=1))
RULE = CanaryRule(
    steps=(CanaryStep(1, timedelta(seconds=4), 10), CanaryStep(2, timedelta(seconds=4), 50)),
    limits=(ERRORS,),
    look_every=timedelta(seconds=2),
    patience=timedelta(seconds=6),
    errors_in_a_row=2,
    deadline=timedelta(seconds=30),
)


def judged(outcome: Outcome, words: str, at: datetime, value: float = 0.0) -> Judgement:
    made = Measurement(Figure.ERROR_RATE, "errors", timedelta(seconds=4), at, value, 500.0)
    return Judgement(made, ERRORS, outcome, words, 0.01)


@dataclass
class Stage:
    """A service with three replicas, and runs that try a new image on it."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    history: FakeHistory = field(default_factory=FakeHistory)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    rule: CanaryRule = RULE
    verdicts: list[Outcome] = field(default_factory=list)
    """What the next judgements come to, one each; success where none is left."""
    judge: Judge | None = None
    said: list[str] = field(default_factory=list)
    canceled: bool = False
    jump: timedelta = timedelta(0)
    """How far the machine's clock has jumped ahead of time itself."""
    asked_about: list[tuple[int, int, datetime]] = field(default_factory=list)
    """Canary pods, stable pods, and the beginning of the window, of each judgement."""

    def __post_init__(self) -> None:
        self.cluster.deploy(API, OLD, desired=3, updated=3, total=3, available=3)

    @property
    def ports(self) -> Ports:
        return Ports(
            FakeForge(),
            FakeRegistry(),
            lambda _: self.cluster,
            FakeProbe(),
            self.history,
            self.notifier,
            FakeMetrics(),
            FakeAudit(),
        )

    def go(
        self,
        run: str = "run-1",
        digest: str = NEW_DIGEST,
        still_admitted: StillAdmitted = always,
    ) -> Done:
        time = self.cluster.time
        draft = DeploymentRecord(
            "api", "production", Method.ROLLOUT, Outcome.SUCCESS, digest, None, "f", "c" * 40,
            time.now(), time.now(), "sam", version="v1.2.0", run_id=run,
        )  # fmt: skip
        reference = f"registry/group/api@{digest}"
        trial = Trial(
            draft=draft,
            goal=Goal(API, reference, {"flowmaster.ai/run": run}, 60.0),
            rule=self.rule,
            environment=PRODUCTION,
            ports=self.ports,
            cluster=self.cluster,
            pace=Pace(self._now, self._hear, lambda: self.canceled, time.monotonic, time.sleep),
            judge=self.judge or self._judge,
            still_admitted=still_admitted,
        )
        return try_out(trial)

    def record(self, done: Done) -> None:
        """What the deployment asset does with what came of it."""
        now = self.cluster.time.now()
        self.history.record(
            DeploymentRecord(
                "api", "production", Method.ROLLOUT, done.outcome, NEW_DIGEST, None, "f", "c" * 40,
                now, now, "sam", token=done.token, message=done.message,
            )
        )  # fmt: skip

    def follow(self, done: Done) -> None:
        """The incident and the hold that a bad canary leaves."""
        now = self.cluster.time.now()
        incident = Incident(
            "i1", "production", ("api",), Trigger.CANARY, Action.AUTOMATIC,
            IncidentState.ROLLED_BACK, now, now, done.message, from_digest=NEW_DIGEST, hold_id="h1",
        )  # fmt: skip
        self.history.record(incident)
        self.history.record(Hold("h1", "api", "production", "flowmaster", done.message, now))

    def later(self, command: CanaryCommand) -> None:
        """An order that comes a moment after the canary began."""
        self.cluster.time.sleep(0.1)
        self.order(command)

    def order(self, command: CanaryCommand, reason: str = "so be it") -> None:
        at = self.cluster.time.now()
        self.history.record(CanaryOrder("api", "production", command, "sam", reason, at))

    def _now(self) -> datetime:
        return self.cluster.time.now() + self.jump

    def _hear(self, progress: Progress) -> None:
        self.said.append(progress.message)

    def _judge(
        self, pods: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        self.asked_about.append((len(pods), len(beside), began))
        outcome = self.verdicts.pop(0) if self.verdicts else Outcome.SUCCESS
        return (judged(outcome, f"judged {outcome}", self.cluster.time.now()),)


@dataclass(frozen=True)
class Story:
    """What a canary comes to when nobody is killed, and so whenever somebody is."""

    name: str
    outcome: Outcome
    words: str
    bad: bool = False
    aborted: bool = False
    by_route: bool = False

    def __str__(self) -> str:
        return self.name

    def stage(self) -> Stage:
        made = Stage()
        if self.by_route:
            made.rule = replace(RULE, traffic=Traffic.AUTO)
            made.cluster.weights["api"] = 0
        made.judge = self._judge(made)
        return made

    def _judge(self, stage: Stage) -> Judge:
        """The second step brings the failure, or the person who aborts."""

        def judge(
            pods: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
        ) -> tuple[Judgement, ...]:
            if self.aborted and len(pods) > 1 and not stage.history.records:
                stage.order(CanaryCommand.ABORT)
            failed = self.bad and len(pods) > 1
            outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
            words = "5 % of 500 requests failed" if failed else "nothing failed"
            return (judged(outcome, words, stage.cluster.time.now()),)

        return judge


STORIES = (
    Story("good", Outcome.SUCCESS, "3 of 3 replicas run it"),
    Story("bad", Outcome.FAILURE, "5 % of 500 requests failed", bad=True),
    Story("aborted", Outcome.INCONCLUSIVE, "aborted by sam: so be it", aborted=True),
    Story("good by route", Outcome.SUCCESS, "3 of 3 replicas run it", by_route=True),
    Story("bad by route", Outcome.FAILURE, "5 % of 500", bad=True, by_route=True),
)


def kill_points() -> tuple[KillPoint[Story], ...]:
    """Every call to the cluster of every story, before and after its effect."""
    return tuple(_points())


def _points() -> Iterator[KillPoint[Story]]:
    for story in STORIES:
        stage = story.stage()
        wrong = _wrong(story, stage, stage.go())
        yield from around(story, stage.cluster.calls, wrong)


def survived(point: KillPoint[Story], again: int | None = None) -> str:
    """What is wrong after the next run has ended; empty where nothing is.

    With `again` the next run is killed too, after the effect of its call of that number, and one
    more follows.
    """
    stage = point.story.stage()
    cluster = stage.cluster
    cluster.kill_at, cluster.kill_after_effect = point.call, point.after_effect
    try:
        done = stage.go()
    except Killed:
        cluster.revive()
        done = _next(stage, again)
    unmade = point.name == "create_canary" and not point.after_effect
    return _wrong(point.story, stage, done, unmade)


def _next(stage: Stage, again: int | None) -> Done:
    if again is not None:
        stage.cluster.kill_at = len(stage.cluster.calls) + again
        stage.cluster.kill_after_effect = True
        try:
            return stage.go("run-2")
        except Killed:
            stage.cluster.revive()
    return stage.go("run-3")


def _wrong(story: Story, stage: Stage, done: Done, unmade: int = 0) -> str:
    cluster = stage.cluster
    live = cluster.deployments["api"]
    good = story.outcome is Outcome.SUCCESS
    expected = {
        "outcome": (done.outcome, story.outcome),
        "image": (live.images["api"], NEW if good else OLD),
        "patches": (live.generation - 1, 1 if good else 0),
        "replicas": (live.available, 3),
        "canaries made": (cluster.calls.count("create_canary") - unmade, 1),
        "what is left": (sorted(cluster.deployments), ["api"]),
        "weight": (cluster.weights.get("api", 0), 0),
    }
    wrong = [f"{what} is {a}, not {b}" for what, (a, b) in expected.items() if a != b]
    if story.words not in done.message and "runs this image already" not in done.message:
        wrong.append(f"it says {done.message!r}")
    return "; ".join(wrong)
