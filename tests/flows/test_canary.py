"""A canary's way over the cluster: steps, endings, orders, other writers, and death anywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.flows.canary.trying import sweep
from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Goal, Pace
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import CanaryCommand, Traffic
from flowmaster_delivery.model.catalog import Catalog, Repository
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Pod, PodProblem
from flowmaster_delivery.policy.canary_marks import LAST
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.flows.killing import (
    API,
    NEW,
    OLD,
    OTHER,
    OTHER_DIGEST,
    PRODUCTION,
    RULE,
    STORIES,
    KillPoint,
    Stage,
    judged,
    kill_points,
    survived,
)

S, F, U, E = Outcome.SUCCESS, Outcome.FAILURE, Outcome.INCONCLUSIVE, Outcome.ERROR
CANARY = "api-canary"
CATALOG = Catalog(
    "test",
    "",
    "http://registry",
    {"platform": Repository("platform", "group/platform")},
    {"production": PRODUCTION},
    {"api": API},
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def untouched(stage: Stage) -> bool:
    live = stage.cluster.deployments["api"]
    return (live.images["api"], live.generation, live.desired) == (OLD, 1, 3)


def alone(stage: Stage) -> bool:
    """Nothing of a canary is left."""
    return sorted(stage.cluster.deployments) == ["api"] and not stage.cluster.weights.get("api")


def killed_at(stage: Stage, call: str, run: str = "run-1") -> None:
    """Run, and be killed before the first use of a call."""

    def die() -> None:
        raise Killed

    stage.cluster.on_call[call] = die
    with pytest.raises(Killed):
        stage.go(run)
    stage.cluster.time.sleep(60)


def test_a_good_image_comes_by_steps_and_then_as_a_whole(stage: Stage) -> None:
    done = stage.go()
    assert done.outcome is S, done.message
    assert stage.cluster.deployments["api"].images["api"] == NEW
    assert alone(stage)
    assert done.previous_digest == OLD.rpartition("@")[2]
    assert done.message == "api: 3 of 3 replicas run it; its canary: judged success"
    writes = [c for c in stage.cluster.calls if c in ("create_canary", "set_image", "remove")]
    assert writes == ["create_canary", "set_image", "remove"]


def test_it_says_its_share_and_where_it_stands(stage: Stage) -> None:
    stage.go()
    assert "canary 1 of 4 pods, step 1 of 2, 2 s of 4 s: judged success" in stage.said
    assert "canary 2 of 5 pods, step 2 of 2, 2 s of 4 s: judged success" in stage.said


def test_it_is_judged_beside_stable_since_its_own_pods_were_ready_in_this_share(
    stage: Stage,
) -> None:
    stage.go()
    assert [(own, beside) for own, beside, _ in stage.asked_about] == [
        (1, 3),
        (1, 3),
        (2, 3),
        (2, 3),
    ]
    begins = [began for *_, began in stage.asked_about]
    assert begins[0] == begins[1] < begins[2] == begins[3]


def test_one_lease_is_held_from_the_canary_to_the_end(stage: Stage) -> None:
    done = stage.go()
    assert stage.cluster.calls.count("acquire") == 1
    assert stage.cluster.deployments["api"].annotations["flowmaster.ai/fencing-token"] == "1"
    assert done.token == 1
    assert stage.cluster.leases["api"].holder == ""


def test_the_lease_is_renewed_through_a_long_pause(stage: Stage) -> None:
    steps = tuple(replace(step, pause=timedelta(minutes=5)) for step in RULE.steps)
    stage.rule = replace(RULE, steps=steps)
    assert stage.go().outcome is S
    assert stage.cluster.calls.count("renew") >= 600 / 10


def test_a_bad_image_is_taken_away_at_once_and_stable_is_not_touched(stage: Stage) -> None:
    stage.verdicts = [F]
    done = stage.go()
    assert (done.outcome, done.message) == (F, "canary of api: judged failure")
    assert untouched(stage)
    assert alone(stage)
    assert "set_image" not in stage.cluster.calls
    assert [j.outcome for j in done.judgements] == [F]


def test_a_bad_image_has_no_requests_before_it_has_no_pods() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.ROUTE), verdicts=[F])
    stage.cluster.weights["api"] = 0
    assert stage.go().outcome is F
    calls = [c for c in stage.cluster.calls if c in ("weigh", "scale", "remove")]
    assert calls == ["weigh", "weigh", "weigh", "scale", "remove"]
    assert alone(stage)


def test_weights_of_a_route_follow_the_steps_and_are_taken_back() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.AUTO))
    stage.cluster.weights["api"] = 0
    seen = []

    def judge(*_: object) -> tuple[Judgement, ...]:
        seen.append(stage.cluster.weights["api"])
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    assert stage.go().outcome is S
    assert seen == [10, 10, 50, 50]
    assert stage.cluster.weights["api"] == 0
    assert any("10 % by route" in words for words in stage.said)


def test_without_a_route_auto_lets_pods_make_the_share() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.AUTO))
    assert stage.go().outcome is S
    assert any("1 of 4 pods" in words for words in stage.said)


def test_without_a_route_a_share_by_route_is_refused_before_anything_is_made() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.ROUTE))
    with pytest.raises(Refused, match="no HTTPRoute leads to api"):
        stage.go()
    assert "create_canary" not in stage.cluster.calls


def test_pods_that_do_not_start_end_it_early(stage: Stage) -> None:
    stage.cluster.problems[NEW] = PodProblem("api-canary-x", "api", "ErrImagePull", "not found")
    done = stage.go()
    assert done.outcome is F
    assert "not found" in done.message
    assert untouched(stage)
    assert alone(stage)


def test_pods_that_crash_during_the_pause_end_it(stage: Stage) -> None:
    crash = PodProblem("api-canary-x", "api", "CrashLoopBackOff", "back-off", restarts=5)

    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.problems[NEW] = crash
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is F
    assert "CrashLoopBackOff" in done.message
    assert alone(stage)


def test_no_traffic_holds_then_asks_a_person_and_goes_loudly_in_the_end(stage: Stage) -> None:
    stage.verdicts = [U] * 1000
    started = stage.cluster.time.seconds
    done = stage.go()
    assert done.outcome is U
    assert "nobody decided" in done.message
    assert [event.kind for event in stage.notifier.told] == ["canary_asks", "canary_given_up"]
    assert stage.notifier.told[1].severity is Severity.CRITICAL
    assert 40 <= stage.cluster.time.seconds - started < 50
    assert untouched(stage)
    assert alone(stage)


def test_figures_that_are_away_roll_nothing_back_and_ask_a_person(stage: Stage) -> None:
    stage.verdicts = [E] * 1000
    done = stage.go()
    assert done.outcome is U
    assert [event.kind for event in stage.notifier.told] == ["canary_asks", "canary_given_up"]


def test_figures_that_are_away_for_a_moment_are_nobodys_business(stage: Stage) -> None:
    stage.verdicts = [E]
    assert stage.go().outcome is S
    assert stage.notifier.told == []


def test_an_error_of_the_judge_is_an_error_and_no_failure(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        raise Unreachable("prometheus does not answer")

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "prometheus does not answer" in done.message


@pytest.mark.parametrize(
    ("command", "outcome", "words"),
    [
        (CanaryCommand.PROMOTE, S, "promoted by sam: so be it"),
        (CanaryCommand.ABORT, U, "aborted by sam: so be it"),
    ],
)
def test_whoever_is_asked_decides(
    stage: Stage, command: CanaryCommand, outcome: Outcome, words: str
) -> None:
    stage.verdicts = [U] * 1000
    tell = stage.notifier.tell

    def answer(event: object) -> None:
        tell(event)  # type: ignore[arg-type]
        stage.order(command)

    stage.notifier.tell = answer  # type: ignore[method-assign]
    done = stage.go()
    assert done.outcome is outcome
    assert words in done.message
    assert alone(stage)


def test_a_paused_canary_stays_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.later(CanaryCommand.PAUSE)
    asked = []

    def judge(own: tuple[Pod, ...], *_: object) -> tuple[Judgement, ...]:
        asked.append(len(own))
        if len(asked) == 8:
            stage.order(CanaryCommand.RESUME)
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    assert stage.go().outcome is S
    assert asked == [1] * 8 + [2, 2]
    assert any("paused by sam" in words for words in stage.said)


def test_an_order_of_before_does_not_count(stage: Stage) -> None:
    stage.order(CanaryCommand.ABORT)
    stage.cluster.time.sleep(1)
    assert stage.go().outcome is S


def test_orders_that_cannot_be_read_hold_it(stage: Stage) -> None:
    real, failures = stage.history.canary_orders, [Unreachable("database is away")] * 3

    def orders(*names: str) -> object:
        if failures:
            raise failures.pop()
        return real(*names)

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    assert stage.go().outcome is S
    assert any("orders cannot be read: database is away" in words for words in stage.said)


def test_orders_that_stay_unread_leave_the_canary_for_the_next_run(stage: Stage) -> None:
    real, away = stage.history.canary_orders, [True]

    def orders(*names: str) -> object:
        if away:
            raise Unreachable("database is away")
        return real(*names)

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    done = stage.go()
    assert done.outcome is Outcome.ERROR
    assert "stands where it stood: orders cannot be read: database is away" in done.message
    assert "api-canary" in stage.cluster.deployments
    away.clear()
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_failure_needs_no_orders_to_end_it(stage: Stage) -> None:
    def orders(*_: str) -> object:
        raise Unreachable("database is away")

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    stage.verdicts = [F]
    assert stage.go().outcome is F
    assert alone(stage)


def test_a_gate_that_closes_before_the_next_step_ends_it(stage: Stage) -> None:
    answers = ["", "approvals: 1 of 2"]
    done = stage.go(still_admitted=lambda: answers.pop(0))
    assert done.outcome is U
    assert done.message == "canary of api: its gate has closed: approvals: 1 of 2"
    assert untouched(stage)
    assert alone(stage)


def test_a_gate_that_closes_before_stable_is_touched_ends_it(stage: Stage) -> None:
    answers = ["", "", "approvals: 1 of 2"]
    assert stage.go(still_admitted=lambda: answers.pop(0)).outcome is U
    assert untouched(stage)
    assert alone(stage)


def test_a_gate_that_is_closed_already_makes_no_canary(stage: Stage) -> None:
    assert stage.go(still_admitted=lambda: "hold: sam").outcome is U
    assert "create_canary" not in stage.cluster.calls


def test_an_order_to_promote_skips_the_judgement_and_never_the_gate(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.later(CanaryCommand.PROMOTE)
    answers = ["", "hold: sam"]
    assert stage.go(still_admitted=lambda: answers.pop(0)).outcome is U
    assert stage.asked_about == []
    assert untouched(stage)


def test_a_gate_that_cannot_be_asked_for_a_moment_is_waited_for(stage: Stage) -> None:
    failures = [Unreachable("gitlab is away")] * 2

    def asked() -> str:
        if stage.asked_about and failures:
            raise failures.pop()
        return ""

    assert stage.go(still_admitted=asked).outcome is S
    assert "the gate cannot be asked: gitlab is away" in stage.said


def test_a_gate_that_stays_away_ends_it_loudly(stage: Stage) -> None:
    def asked() -> str:
        if stage.asked_about:
            raise Unreachable("gitlab is away")
        return ""

    assert stage.go(still_admitted=asked).outcome is U
    assert [event.kind for event in stage.notifier.told] == ["canary_given_up"]
    assert alone(stage)


@pytest.mark.parametrize(
    "changes",
    [{"desired": 0, "updated": 0, "total": 0, "available": 0}, {"paused": True}],
    ids=["scaled to nothing", "paused"],
)
def test_nothing_to_compare_with_means_no_canary(stage: Stage, changes: dict[str, object]) -> None:
    stage.cluster.edit("api", **changes)
    stage.go()
    assert "create_canary" not in stage.cluster.calls
    assert "set_image" in stage.cluster.calls


def test_an_image_that_runs_already_is_not_tried(stage: Stage) -> None:
    done = stage.go(digest=OLD.rpartition("@")[2])
    assert (done.outcome, done.changed) == (S, False)
    assert stage.cluster.calls == ["canaries", "workload", "workload"]


def test_replicas_of_stable_are_followed_and_never_written(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.edit(
        "api", desired=5, updated=5, total=5, available=5
    )
    assert stage.go().outcome is S
    assert stage.cluster.deployments["api"].desired == 5
    assert any("1 of 6 pods" in words for words in stage.said)


def test_an_image_that_somebody_else_sets_meanwhile_stands(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.edit("api", images={"api": OTHER, "proxy": "proxy@sha256:0"})
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "by another writer" in done.message
    assert stage.cluster.deployments["api"].images["api"] == OTHER
    assert alone(stage)


def test_a_deployment_that_is_deleted_under_us_takes_its_canary_along(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        del stage.cluster.deployments["api"]
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "there is no Deployment api" in done.message
    assert stage.cluster.deployments == {}


def test_a_canary_whose_service_is_gone_goes_too(stage: Stage) -> None:
    killed_at(stage, "set_image")
    del stage.cluster.deployments["api"]
    with pytest.raises(NotFound):
        stage.go("run-2")
    assert stage.cluster.deployments == {}


def test_a_canary_that_somebody_deletes_is_not_made_again(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.deployments.pop(CANARY, None)
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "the canary of api is gone" in done.message
    assert untouched(stage)


def test_a_cluster_that_is_away_for_a_while_is_waited_for(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.failing.update(
        pods=[Unreachable("gone")] * 10
    )
    assert stage.go().outcome is S


def test_a_cluster_that_stays_away_leaves_the_canary_for_the_next_run(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.failing["workload"] = [Unreachable("gone")] * 200
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is E
    assert "stands where it stood" in done.message
    stage.judge = None
    stage.cluster.failing.clear()
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_lease_that_is_lost_stops_it_without_another_write(stage: Stage) -> None:
    stage.rule = replace(RULE, steps=(replace(RULE.steps[0], pause=timedelta(minutes=1)),))
    stage.cluster.failing["renew"] = [Superseded("run-9 has taken over api")]
    done = stage.go()
    assert (done.outcome, done.message) == (U, "run-9 has taken over api")
    assert CANARY in stage.cluster.deployments


def test_a_rollback_takes_the_canary_away_and_the_older_run_stops(stage: Stage) -> None:
    time = stage.cluster.time

    def judge(*_: object) -> tuple[Judgement, ...]:
        goal = Goal(API, OLD, {}, 60.0, preempt=True)
        back = bring(goal, stage.cluster, "run-9", Pace(time.now, sleep=time.sleep))
        assert back.outcome is S
        assert alone(stage)
        return (judged(S, "fine", time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert untouched(stage)
    assert alone(stage)
    assert stage.cluster.calls.count("set_image") == 0


def test_a_canary_that_cannot_be_taken_away_keeps_no_rollback_waiting(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.failing["remove"] = [Refused("not ours")]
    said = []
    pace = Pace(
        stage.cluster.time.now,
        lambda p: said.append(p.message),
        monotonic=stage.cluster.time.monotonic,
        sleep=stage.cluster.time.sleep,
    )
    goal = Goal(API, OTHER, {}, 60.0, preempt=True)
    assert bring(goal, stage.cluster, "run-9", pace).outcome is S
    assert "a canary of api may be left, and is taken away later: not ours" in said


def test_a_canceled_run_takes_its_canary_away_and_may_be_tried_again(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.canceled = True
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "canceled" in done.message
    assert untouched(stage)
    assert alone(stage)
    stage.canceled, stage.judge = False, None
    assert stage.go("run-2").outcome is S


def test_a_canary_of_another_image_is_removed_before_a_new_one(stage: Stage) -> None:
    killed_at(stage, "set_image")
    done = stage.go("run-2", OTHER_DIGEST)
    assert done.outcome is S
    assert stage.cluster.deployments["api"].images["api"] == OTHER
    assert alone(stage)
    assert stage.cluster.calls.count("create_canary") == 2


def test_a_canary_left_by_a_crash_is_gone_on_with_by_the_next_run(stage: Stage) -> None:
    killed_at(stage, "set_image")
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_canary_that_expired_begins_anew(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.time.sleep(86_400)
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 2


def test_what_was_found_bad_is_tried_again_once_that_is_on_record(stage: Stage) -> None:
    stage.verdicts = [F]
    done = stage.go()
    assert LAST in stage.cluster.deployments["api"].annotations
    again = stage.go("run-2")
    assert (again.outcome, again.message) == (F, done.message)
    assert stage.cluster.calls.count("create_canary") == 1
    stage.record(done)
    assert stage.go("run-3").message == done.message, "killed before its hold was placed"
    stage.follow(done)
    assert stage.go("run-4").outcome is S


def test_a_jump_of_the_clock_does_not_shorten_a_pause(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        asked.append(stage.cluster.time.seconds)
        stage.jump += timedelta(hours=1)
        return (judged(S, "fine", stage.cluster.time.now()),)

    asked: list[float] = []
    stage.judge = judge
    assert stage.go().outcome is S
    assert len(asked) == 4
    assert asked[1] - asked[0] >= 2


def test_judgements_are_kept_once_each_and_the_last_ones_stay(stage: Stage) -> None:
    stage.rule = replace(RULE, patience=timedelta(minutes=5), deadline=timedelta(seconds=2))
    count = iter(range(1000))

    def judge(*_: object) -> tuple[Judgement, ...]:
        return (judged(U, f"{next(count)} requests are too few", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert len(done.judgements) == 60
    assert done.judgements[-1].words in done.message


def test_what_another_run_holds_is_refused_with_its_name(stage: Stage) -> None:
    stage.cluster.acquire("api", "run-0", preempt=False, ttl=1_000)
    with pytest.raises(Refused, match="run-0"):
        stage.go()
    assert "create_canary" not in stage.cluster.calls


# The janitor


def swept(stage: Stage, later: timedelta) -> tuple[str, ...]:
    return sweep(PRODUCTION, CATALOG, stage.ports, stage.cluster.time.now() + later)


def test_an_expired_canary_that_nobody_holds_is_swept_away(stage: Stage) -> None:
    killed_at(stage, "set_image")
    assert swept(stage, timedelta(0)) == ()
    assert swept(stage, timedelta(days=1)) == (
        "the expired canary of api, left by run run-1 was taken away",
    )
    assert alone(stage)
    assert untouched(stage)


def test_a_canary_whose_run_lives_is_not_swept_away(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.acquire("api", "run-1", preempt=False, ttl=1_000)
    assert swept(stage, timedelta(days=1)) == ()
    assert CANARY in stage.cluster.deployments


def test_a_canary_that_says_nothing_of_itself_is_swept_away(stage: Stage) -> None:
    stage.cluster.create_canary(API, NEW, pods=1, annotations={})
    assert swept(stage, timedelta(0)) == ("the expired canary of api was taken away",)


# Death


def test_there_are_enough_points_to_be_killed_at() -> None:
    points = kill_points()
    assert len(points) > 500
    assert {"create_canary", "scale", "weigh", "annotate", "set_image", "remove", "release"} <= {
        point.name for point in points
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_at_any_step_the_next_run_reaches_the_same_end_without_a_second_effect(
    story: object,
) -> None:
    points = [point for point in kill_points() if point.story == story]
    wrong = {str(point): said for point in points if (said := survived(point))}
    assert wrong == {}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_killed_twice_it_still_reaches_the_same_end(data: st.DataObject) -> None:
    point = data.draw(st.sampled_from(kill_points()))
    assert survived(point, again=data.draw(st.integers(0, 40))) == ""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(Outcome), max_size=12), st.lists(st.sampled_from(CanaryCommand)))
def test_whatever_is_seen_and_ordered_it_ends_clean(
    verdicts: list[Outcome], commands: list[CanaryCommand]
) -> None:
    stage = Stage(verdicts=[*verdicts])
    left = [*commands]
    judge = stage._judge

    def ordered(
        own: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        assert untouched(stage)
        if left:
            stage.order(left.pop(0))
        return judge(own, beside, began)

    stage.judge = ordered
    done = stage.go()
    assert alone(stage)
    assert untouched(stage) == (done.outcome is not S)
    if done.outcome is F:
        assert F in verdicts
    if done.outcome is S:
        promoted = CanaryCommand.PROMOTE in commands
        assert promoted or F not in verdicts[: len(stage.asked_about)]


def test_a_point_before_the_first_effect_changes_nothing() -> None:
    first = next(point for point in kill_points() if point.name == "create_canary")
    assert isinstance(first, KillPoint)
    stage = first.story.stage()
    stage.cluster.kill_at = first.call
    with pytest.raises(Killed):
        stage.go()
    assert untouched(stage)
    assert isinstance(stage.cluster, FakeCluster)
