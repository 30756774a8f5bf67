"""What was seen in a checkup, judged."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from flowmaster_delivery.model.catalog import ApprovalRule, OverrideRule
from flowmaster_delivery.model.checkup import (
    Finding,
    Grade,
    HookFacts,
    SecretFile,
    StorageFacts,
    TokenFacts,
    Topic,
)
from flowmaster_delivery.model.rights import Right
from flowmaster_delivery.policy.checkup.cluster import of_rights, of_version, of_workloads
from flowmaster_delivery.policy.checkup.forge import groups_of, of_hooks, of_token
from flowmaster_delivery.policy.checkup.grading import failed, fine, not_checked, passed, warning
from flowmaster_delivery.policy.checkup.home import of_secret, of_storage
from tests.builders import NOON, a_catalog, production

OURS = HookFacts(
    "https://flow.example/webhooks/gitlab", frozenset({"push", "tag_push", "pipeline"})
)
FINE = fine(Topic.GITLAB, "a", "b")


@pytest.mark.parametrize(
    ("findings", "well"),
    [
        ([FINE], True),
        ([FINE, warning(Topic.GITLAB, "a", "b", "c")], True),
        ([FINE, not_checked(Topic.GITLAB, "a", "b")], True),
        ([FINE, failed(Topic.GITLAB, "a", "b")], False),
        ([not_checked(Topic.GITLAB, "a", "b")], False),
        ([], False),
    ],
)
def test_a_checkup_passes_where_something_was_looked_at_and_nothing_failed(
    findings: list[Finding], well: bool
) -> None:
    assert passed(findings) is well


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("v1.20.2", Grade.OK),
        ("v1.33.1+k3s1", Grade.OK),
        ("v1.19.16-eks", Grade.WARNING),
        ("of unknown version", Grade.OK),
    ],
)
def test_a_kubernetes_that_is_too_old_is_warned_of(version: str, grade: Grade) -> None:
    assert of_version("dev", version).grade is grade


def test_what_everybody_may_ask_about_himself_is_not_too_much() -> None:
    own = Right("authorization.k8s.io", "selfsubjectrulesreviews", (), ("create",))
    [found] = of_rights("dev", (), (own,), "dev")
    assert found.grade is Grade.OK
    whole = Right("authorization.k8s.io", "*", (), ("create",))
    [found] = of_rights("dev", (), (whole,), "dev")
    assert found.grade is Grade.WARNING


def test_many_missing_rights_are_counted_where_they_are_not_named() -> None:
    lacking = tuple(Right("", f"r{n}", (), ("get",)) for n in range(9))
    [found] = of_rights("dev", lacking, (), "dev")
    assert found.seen.endswith("get r5; and 3 more")


def test_workloads_of_nobody_are_nobodys_fault() -> None:
    assert of_workloads("dev", [], ["other"]).grade is Grade.OK


def test_the_most_people_that_any_rule_asks_of_a_group_are_needed() -> None:
    place = production(
        approvals=ApprovalRule(2, "g/seniors"),
        operators="g/ops",
        override=OverrideRule("g/seniors", ()),
    )
    assert groups_of(a_catalog(environments=[place])) == {"g/ops": 1, "g/seniors": 2}


@pytest.mark.parametrize(
    ("hooks", "grade", "words"),
    [
        ([OURS], Grade.OK, "leads to"),
        ([], Grade.WARNING, "no webhook leads"),
        ([HookFacts("https://other.example/", OURS.events)], Grade.WARNING, "no webhook leads"),
        ([HookFacts(OURS.url, OURS.events, paused=True)], Grade.WARNING, "paused"),
        (
            [HookFacts(OURS.url, frozenset({"push"}))],
            Grade.WARNING,
            "nothing of pipeline, tag_push",
        ),
        (
            [HookFacts(OURS.url, frozenset({name})) for name in sorted(OURS.events)],
            Grade.OK,
            "leads to",
        ),
        ([HookFacts(f"{OURS.url}/", OURS.events)], Grade.OK, "leads to"),
    ],
)
def test_webhooks_are_judged_by_what_reaches_us(
    hooks: list[HookFacts], grade: Grade, words: str
) -> None:
    found = of_hooks("g/p", hooks)
    assert (found.grade, words in found.seen) == (grade, True)


def test_a_token_without_scopes_that_ends_tomorrow_is_told_both() -> None:
    facts = TokenFacts("bot", frozenset(), NOON.date() + timedelta(days=1))
    assert [f.grade for f in of_token(facts, NOON)] == [Grade.FAILED, Grade.WARNING]
    [found] = of_token(TokenFacts("bot", frozenset({"api"}), date(2030, 1, 1)), NOON)
    assert found.seen == "of bot, scopes api, until 2030-01-01"


@pytest.mark.parametrize(
    ("mode", "grade"),
    [(0o400, Grade.OK), (0o440, Grade.OK), (0o644, Grade.WARNING), (0o660, Grade.WARNING)],
)
def test_a_secret_is_for_this_process_alone(mode: int, grade: Grade) -> None:
    file = SecretFile("gitlab_token", "VARIABLE", "/s/gitlab-token", length=26, mode=mode)
    assert of_secret(file).grade is grade


def test_every_part_of_a_storage_that_is_old_is_named() -> None:
    facts = StorageFacts("Pg", {"runs": ("a", "b"), "events": ("b", "b"), "schedules": (None, "b")})
    found = list(of_storage(facts))
    assert [(f.about, f.grade) for f in found] == [
        ("runs", Grade.FAILED),
        ("schedules", Grade.FAILED),
    ]
    assert "at revision none, not at b" in found[1].seen
