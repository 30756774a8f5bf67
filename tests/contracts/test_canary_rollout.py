"""A whole canary over the wire: the sandbox's Kubernetes, and a real API server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flowmaster_delivery.flows.canary.trial import Judge, Trial
from flowmaster_delivery.flows.canary.trying import try_out
from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Done, Goal, Pace
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import CanaryRule, CanaryStep
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, Pod
from flowmaster_delivery.policy.canary_marks import LAST
from tests.contracts.namespaces import API, Namespace, a_digest, a_reference
from tests.flows.killing import PRODUCTION, Stage, judged

SHORT = timedelta(seconds=0.3)
RULE = CanaryRule(
    steps=(CanaryStep(1, SHORT), CanaryStep(2, SHORT)), limits=(), look_every=SHORT / 3
)


def now() -> datetime:
    return datetime.now(UTC)  # over the wire, time is real


@dataclass
class Judged:
    """Finds every look at so many canary pods bad, and remembers whom it was asked about."""

    bad_with: int = 99
    asked: list[tuple[tuple[Pod, ...], tuple[Pod, ...]]] = field(default_factory=list)

    def __call__(
        self, own: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        self.asked.append((own, beside))
        outcome = Outcome.FAILURE if len(own) >= self.bad_with else Outcome.SUCCESS
        return (judged(outcome, f"judged {outcome}", began),)


def go(room: Namespace, digest: str, judge: Judge) -> Done:
    draft = DeploymentRecord(
        "api", "production", Method.ROLLOUT, Outcome.SUCCESS, digest, None, "f", "c" * 40,
        now(), now(), "sam", run_id="run-1",
    )  # fmt: skip
    trial = Trial(
        draft=draft,
        goal=Goal(API, a_reference(digest), {"flowmaster.ai/run": "run-1"}, 30.0),
        rule=RULE,
        environment=replace(PRODUCTION, namespace=room.name),
        ports=Stage().ports,
        cluster=room.cluster,
        pace=Pace(now),
        judge=judge,
    )
    return try_out(trial)


def test_a_good_image_comes_by_canary_and_nothing_of_it_is_left(room: Namespace) -> None:
    room.deploy(a_reference(), replicas=3)
    digest, judge = a_digest(), Judged()
    done = go(room, digest, judge)
    assert done.outcome is Outcome.SUCCESS, done.message
    assert room.cluster.workload(API).images["app"] == a_reference(digest)
    assert room.cluster.canaries() == {}
    assert {(len(own), len(beside)) for own, beside in judge.asked} == {(1, 3), (2, 3)}
    assert all(pod.ready for own, _ in judge.asked for pod in own)


def test_a_bad_image_is_taken_away_and_the_service_keeps_its_template(room: Namespace) -> None:
    before = room.deploy(a_reference(), replicas=3)
    pods = {pod.name for pod in room.cluster.pods(API)}
    done = go(room, a_digest(), Judged(bad_with=2))
    assert (done.outcome, done.message) == (
        Outcome.FAILURE,
        "canary of api: judged failure",
    )
    after = room.cluster.workload(API)
    assert (after.images, after.template_hash) == (before.images, before.template_hash)
    assert {pod.name for pod in room.cluster.pods(API)} == pods
    assert LAST in after.annotations
    assert room.cluster.canaries() == {}


def test_a_rollback_takes_the_canary_away_and_its_run_stops(room: Namespace) -> None:
    room.deploy(a_reference(), replicas=2)
    back = a_digest()

    def judge(
        own: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        goal = Goal(API, a_reference(back), {}, 30.0, preempt=True)
        assert bring(goal, room.cluster, "run-9", Pace(now)).outcome is Outcome.SUCCESS
        return (judged(Outcome.SUCCESS, "fine", began),)

    done = go(room, a_digest(), judge)
    assert done.outcome is Outcome.INCONCLUSIVE, done.message
    assert room.cluster.workload(API).images["app"] == a_reference(back)
    assert room.cluster.canaries() == {}
