"""A checkup: everything side by side, whatever each comes to."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from flowmaster_delivery.flows.checkup.cluster import clock, cluster
from flowmaster_delivery.flows.checkup.running import Check, examine
from flowmaster_delivery.flows.checkup.servers import dagster
from flowmaster_delivery.flows.checkup.whole import Wanted, checks
from flowmaster_delivery.model.checkup import (
    DagsterFacts,
    Finding,
    Grade,
    Granted,
    ServerFacts,
    Topic,
)
from flowmaster_delivery.model.errors import Denied, NotConfigured, UnknownName, Unreachable
from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.policy.checkup.grading import fine
from flowmaster_delivery.policy.rights import rights_of
from tests.builders import NOON, a_catalog, a_service, dev
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.fake_doors import no_doors


def a_check(about: str, *found: Finding, error: Exception | None = None) -> Check:
    def look() -> Iterator[Finding]:
        yield from found
        if error:
            raise error

    return Check(Topic.GITLAB, about, look)


def well(about: str) -> Finding:
    return fine(Topic.GITLAB, about, "well")


def test_findings_come_in_the_order_of_the_checks() -> None:
    first = threading.Event()

    def late() -> Iterable[Finding]:
        first.wait(5)
        return [well("late")]

    def early() -> Iterable[Finding]:
        first.set()
        return [well("early")]

    found = examine([Check(Topic.GITLAB, "a", late), Check(Topic.GITLAB, "b", early)], 10)
    assert [finding.about for finding in found] == ["late", "early"]


def test_what_a_check_found_before_it_failed_is_told_as_well() -> None:
    broken = a_check("token", well("server"), error=Denied("it says no; renew it"))
    found = examine([broken, a_check("other", well("other"))], 5)
    assert [(f.about, f.grade) for f in found] == [
        ("server", Grade.OK),
        ("token", Grade.FAILED),
        ("other", Grade.OK),
    ]
    assert (found[1].seen, found[1].mend) == ("it says no", "renew it")


def test_what_this_process_was_not_given_is_not_checked() -> None:
    [found] = examine([a_check("token", error=NotConfigured("no token; set it"))], 5)
    assert (found.grade, found.seen, found.mend) == (Grade.NOT_CHECKED, "no token", "set it")


def test_what_nobody_foresaw_fails_without_its_words() -> None:
    [found] = examine([a_check("token", error=RuntimeError("with a secret in it"))], 5)
    assert found.grade is Grade.FAILED
    assert found.seen == "it could not be looked at (RuntimeError)"


def test_what_hangs_fails_in_time_and_holds_up_nobody() -> None:
    ended = threading.Event()

    def hang() -> Iterator[Finding]:
        yield well("begun")
        ended.wait(20)

    found = examine([Check(Topic.GITLAB, "slow", hang), a_check("b", well("b"))], 0.2)
    ended.set()
    assert [(f.about, f.grade) for f in found] == [
        ("begun", Grade.OK),
        ("slow", Grade.FAILED),
        ("b", Grade.OK),
    ]


CATALOG = a_catalog(services=[a_service("api")])


def test_every_topic_is_checked_and_only_those_that_are_wanted() -> None:
    every = checks(CATALOG, no_doors(), Wanted(), lambda: NOON)
    assert {check.topic for check in every} == set(Topic)
    wanted = Wanted((Topic.CLUSTER, Topic.CLOCK), ("dev",))
    some = checks(CATALOG, no_doors(), wanted, lambda: NOON)
    assert [check.about for check in some] == ["dev", "GitLab", "cluster of dev"]


def test_an_environment_that_nobody_has_is_no_wish() -> None:
    with pytest.raises(UnknownName):
        checks(CATALOG, no_doors(), Wanted(environments=("def",)), lambda: NOON)


def test_with_nothing_configured_nothing_is_found_well_but_the_catalog() -> None:
    found = examine(checks(CATALOG, no_doors(), Wanted(), lambda: NOON), 10)
    assert {f.topic for f in found if f.grade is Grade.OK} == {Topic.CATALOG}
    others = {f.grade for f in found if f.topic is not Topic.CATALOG}
    assert others == {Grade.NOT_CHECKED}


@dataclass
class Reticent:
    """A cluster whose authorizer does not tell its rules, and answers for each act."""

    rights_told: tuple[Right, ...]
    may_besides: set[Act]
    asked: list[Act] = field(default_factory=list)

    def server(self) -> ServerFacts:
        return ServerFacts("v1.31.0", NOON)

    def rights(self) -> Granted:
        return Granted(self.rights_told, complete=False)

    def may(self, act: Act) -> bool:
        self.asked.append(act)
        return act in self.may_besides


def of_rights(door: Any) -> list[Finding]:
    environment = dev()
    catalog = a_catalog(services=[a_service("api")], environments=[environment])
    running = FakeCluster()
    running.deploy(catalog.service("api"), "registry/api@sha256:" + "a" * 64)
    doors = replace(no_doors(), cluster=lambda _: running, cluster_door=lambda _: door)
    return [
        f
        for f in cluster(environment, catalog, doors, views=False)
        if "may" in f.seen or "rights" in f.seen
    ]


def test_a_cluster_that_does_not_tell_its_rules_is_asked_for_each_act() -> None:
    environment = dev()
    catalog = a_catalog(services=[a_service("api")], environments=[environment])
    told, *rest = rights_of(environment, catalog)
    acts = {Act(r.group, r.resource, v, n) for r in rest for v in r.verbs for n in r.names or ("",)}
    door = Reticent((told,), acts)
    [found] = of_rights(door)
    assert found.grade is Grade.OK
    assert acts <= set(door.asked)


def test_what_it_denies_then_is_missing_and_dangers_are_asked_for() -> None:
    door = Reticent((), {Act("", "secrets", "get")})
    lacking, beyond = of_rights(door)
    assert lacking.grade is Grade.FAILED
    assert (beyond.grade, "read secrets" in beyond.seen) == (Grade.WARNING, True)


def test_a_server_without_a_date_has_no_clock_to_check() -> None:
    [found] = clock("GitLab", lambda: ServerFacts("19", None), lambda: NOON)
    assert found.grade is Grade.NOT_CHECKED


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_a_second_more_or_less_is_no_difference_of_clocks(ahead: int) -> None:
    theirs = NOON + timedelta(seconds=ahead)
    [found] = clock("GitLab", lambda: ServerFacts("19", theirs), lambda: NOON)
    assert found.grade is Grade.OK


class Webserver:
    def __init__(self, facts: DagsterFacts | None) -> None:
        self._facts = facts

    def facts(self) -> DagsterFacts:
        if self._facts is None:
            raise Unreachable("Dagster's webserver did not answer in time")
        return self._facts


def of_dagster(facts: DagsterFacts | None, *, named: bool = True) -> dict[str, Grade]:
    doors = replace(no_doors(), dagster=Webserver(facts), dagster_named=named)
    check = Check(Topic.DAGSTER, "webserver", lambda: dagster(CATALOG, doors))
    return {found.about: found.grade for found in examine([check], 5)}


def test_a_code_location_that_is_not_loaded_and_a_daemon_that_is_down_fail() -> None:
    facts = DagsterFacts("1.13", {"ours": "it cannot be loaded"}, {"SENSOR": False, "ASSET": True})
    assert of_dagster(facts) == {
        "webserver": Grade.OK,
        "code location ours": Grade.FAILED,
        "daemon SENSOR": Grade.FAILED,
    }


def test_a_webserver_without_code_has_nothing_to_run() -> None:
    assert of_dagster(DagsterFacts("1.13"))["code location"] is Grade.FAILED


def test_a_webserver_that_somebody_named_must_answer() -> None:
    assert of_dagster(None) == {"webserver": Grade.FAILED}
    assert of_dagster(None, named=False) == {"webserver": Grade.NOT_CHECKED}
