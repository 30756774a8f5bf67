"""What ends a process and what does not; what makes it ready."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.pulse import Beat, Heart
from flowmaster_delivery.policy.liveness import code_is_stuck, watch_is_not_ready, watch_is_stuck

NOW = 10_000.0


def a_heart(*beats: Beat, started: float = NOW - 3_600) -> Heart:
    return Heart("any", started, beats)


def a_look(ago: float = 15.0, trouble: str = "", **more: float) -> Beat:
    succeeded = NOW - ago if not trouble else NOW - 3_000
    given = {"every": 20.0, "ended": NOW - ago, "succeeded": succeeded, **more}
    return Beat("production", trouble=trouble, **given)


def test_a_watch_that_looks_is_alive_and_ready() -> None:
    heart = a_heart(a_look())
    assert watch_is_stuck(heart, NOW) == watch_is_not_ready(heart, NOW) == ()


def test_no_process_at_all_is_neither() -> None:
    assert watch_is_stuck(None, NOW) == ("no `flowmaster watch` is running here",)
    assert watch_is_not_ready(None, NOW) == ("no `flowmaster watch` is running here",)


def test_a_look_that_saw_nothing_is_alive_and_not_ready() -> None:
    heart = a_heart(a_look(trouble="the cluster is away"))
    assert watch_is_stuck(heart, NOW) == ()
    assert watch_is_not_ready(heart, NOW) == ("production: the cluster is away",)


@pytest.mark.parametrize(("seconds", "stuck"), [(299, False), (301, True)])
def test_a_look_that_goes_on_is_stuck_after_its_time(seconds: float, stuck: bool) -> None:
    heart = a_heart(a_look(running_since=NOW - seconds))
    found = watch_is_stuck(heart, NOW)
    assert bool(found) is stuck
    assert not stuck or found == ("production: a look has been going on for 301 s",)
    assert bool(watch_is_not_ready(heart, NOW)) is stuck


@pytest.mark.parametrize(("ago", "stuck"), [(299, False), (301, True)])
def test_a_loop_that_looks_no_more_is_stuck(ago: float, stuck: bool) -> None:
    assert bool(watch_is_stuck(a_heart(a_look(ago=ago)), NOW)) is stuck


def test_where_looks_are_far_apart_more_time_passes_before_one_is_missed() -> None:
    assert watch_is_stuck(a_heart(a_look(ago=600, every=120.0)), NOW) == ()
    assert watch_is_stuck(a_heart(a_look(ago=1_300, every=120.0)), NOW) != ()


def test_a_watch_that_has_just_started_is_alive_and_not_ready() -> None:
    heart = a_heart(Beat("production", 20.0, running_since=NOW - 2), started=NOW - 3)
    assert watch_is_stuck(heart, NOW) == ()
    assert watch_is_not_ready(heart, NOW) == ("production: nothing has been looked at yet",)


def test_one_environment_of_several_is_enough_to_be_stuck() -> None:
    heart = a_heart(a_look(), Beat("dev", 20.0, running_since=NOW - 900))
    assert watch_is_stuck(heart, NOW) == ("dev: a look has been going on for 900 s",)


@pytest.mark.parametrize(("seconds", "stuck"), [(119, False), (121, True)])
def test_an_evaluation_that_dagster_gave_up_long_ago_is_stuck(seconds: float, stuck: bool) -> None:
    heart = a_heart(Beat("ship", ended=NOW - 1), Beat("intake", running_since=NOW - seconds))
    found = code_is_stuck(heart, NOW)
    assert bool(found) is stuck
    assert not stuck or found == ("sensor intake has been evaluated for 121 s",)


def test_a_code_server_that_nobody_asks_is_well_since_the_daemon_may_be_away() -> None:
    assert code_is_stuck(None, NOW) == ()
    assert code_is_stuck(a_heart(Beat("intake", ended=NOW - 90_000)), NOW) == ()


def test_an_evaluation_that_failed_is_no_reason_to_end_the_code_server() -> None:
    assert code_is_stuck(a_heart(Beat("intake", ended=NOW, trouble="GitLab is away")), NOW) == ()
