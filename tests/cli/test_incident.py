"""`incident`: lists, reports, and what a person decides."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.incidents.opening import every
from flowmaster_delivery.model.incident import Incident, IncidentState, Moment
from flowmaster_delivery.model.rollback import Action, Trigger
from tests.cli.conftest import Shell


@pytest.fixture
def asked(shell: Shell) -> Incident:
    now = shell.office.now
    incident = Incident(
        id="1a2b3c4d",
        environment="production",
        services=("service-0",),
        trigger=Trigger.LATENCY,
        action=Action.ASK,
        state=IncidentState.ASKED,
        opened_at=now,
        updated_at=now,
        reason="p95 is 0.9 s, 0.2 s may be",
        why="policy of production: latency asks a person",
        from_digest="sha256:bad",
        to_digest="sha256:good",
        timeline=(Moment(now, "it began"),),
        deadline=now + timedelta(minutes=30),
    )
    shell.office.history.record(incident)
    return incident


def only(shell: Shell) -> Incident:
    (found,) = every(shell.office.catalog, shell.office.history)
    return found


def test_incidents_are_listed_with_what_was_done(shell: Shell, asked: Incident) -> None:
    listed = shell.run("incident")
    assert listed.exit_code == 0, listed.output
    for word in ("1a2b3c4d", "production", "service-0", "latency", "asked"):
        assert word in listed.stdout
    rows = json.loads(shell.run("incident", "list", "--json").stdout)
    assert [row["id"] for row in rows] == [asked.id]


def test_only_open_ones_are_listed_where_that_is_wanted(shell: Shell, asked: Incident) -> None:
    shell.office.history.record(replace(asked, id="00000000", state=IncidentState.ROLLED_BACK))
    rows = json.loads(shell.run("incident", "list", "--open", "--json").stdout)
    assert [row["id"] for row in rows] == [asked.id]


def test_what_people_and_pods_say_is_shown_as_it_is(shell: Shell, asked: Incident) -> None:
    said = "log: [/api] answered [red]500[/red]"
    shell.office.history.record(replace(asked, reason=said))
    listed = shell.run("incident")
    assert listed.exit_code == 0, listed.output
    assert said in " ".join(listed.stdout.split())


def test_where_nothing_happened_that_is_said(shell: Shell) -> None:
    assert shell.run("incident").stdout == "there is no incident\n"


def test_the_report_is_shown_and_can_be_pasted(shell: Shell, asked: Incident) -> None:
    shown = shell.run("incident", "show", asked.id)
    assert "p95 is 0.9 s" in shown.stdout
    pasted = shell.run("incident", "show", asked.id, "--markdown")
    assert pasted.stdout.startswith("# Incident 1a2b3c4d: service-0 in production waits for")
    as_object = json.loads(shell.run("incident", "show", asked.id, "--json").stdout)
    assert as_object["trigger"] == "latency"


def test_an_unknown_incident_names_the_open_ones(shell: Shell, asked: Incident) -> None:
    result = shell.run("incident", "show", "1a2b3c4e")
    assert result.exit_code == 2
    assert f"did you mean '{asked.id}'" in result.stderr


def test_approving_launches_the_run_that_rolls_back_and_waits_for_it(
    shell: Shell, asked: Incident
) -> None:
    shell.office.person("sofia", 3)
    shell.whenever_asked = [lambda: shell.office.launcher.becomes("run-1", "SUCCESS")]
    result = shell.run("incident", "approve", asked.id, token="sofia-token")
    assert result.exit_code == 0, result.output
    ((order, by),) = shell.office.launcher.orders
    assert by == "sofia"
    assert order.form["incident"] == asked.id
    assert order.assets == (("service-0", "deployment"), ("service-0", "health"))
    assert only(shell).decided_by == "sofia"


def test_two_people_who_approve_launch_one_run(shell: Shell, asked: Incident) -> None:
    for _ in range(2):
        assert shell.run("incident", "approve", asked.id, "--no-wait").exit_code == 0
    assert len(shell.office.launcher.orders) == 1


def test_living_with_it_is_on_record_with_the_reason(shell: Shell, asked: Incident) -> None:
    result = shell.run("incident", "dismiss", asked.id, "--reason", "known and harmless")
    assert "service-0 in production stays as it is" in result.stdout
    left = only(shell)
    assert (left.state, left.dismissed) == (IncidentState.LEFT, (Trigger.LATENCY,))
    assert "known and harmless" in left.timeline[-1].words
    assert shell.office.launcher.orders == []


def test_who_is_asked_is_told_in_every_list_what_to_do(shell: Shell, asked: Incident) -> None:
    decide = f"decide: flowmaster incident approve {asked.id}, or flowmaster incident dismiss"
    assert decide in shell.run("incident").stdout
    seen = shell.run("status")
    assert "! service-0 in production waits for a person: p95 is 0.9 s" in seen.stdout
    assert decide in seen.stdout
    shell.office.history.record(replace(asked, decided_by="sofia"))
    assert "sofia has decided to roll back" in shell.run("incident").stdout


def test_a_row_fits_a_narrow_terminal_and_its_reason_stands_beneath(
    shell: Shell, asked: Incident
) -> None:
    many = tuple(f"service-{number}" for number in range(12))
    shell.office.history.record(
        replace(asked, services=many, state=IncidentState.ROLLING_BACK, reason="word " * 40)
    )
    head, row, reason, *_ = shell.run("incident").stdout.splitlines()
    assert max(len(head), len(row)) <= 80
    assert "12 services" in row
    assert reason.startswith("    latency: word word")


def test_an_unknown_incident_names_all_where_none_is_open(shell: Shell, asked: Incident) -> None:
    shell.office.history.record(replace(asked, state=IncidentState.ROLLED_BACK))
    assert f"'{asked.id}'" in shell.run("incident", "show", "1a2b3c4e").stderr


def test_what_is_decided_is_not_decided_again(shell: Shell, asked: Incident) -> None:
    shell.run("incident", "dismiss", asked.id, "--reason", "known")
    result = shell.run("incident", "approve", asked.id)
    assert result.exit_code == 1
    assert "nobody is asked" in result.stderr
    assert "service-0 in production was left as it is" in result.stderr


@pytest.mark.parametrize("words", [("approve",), ("dismiss", "--reason", "I like it")])
def test_only_operators_decide(shell: Shell, asked: Incident, words: tuple[str, ...]) -> None:
    shell.office.operated_by("production", "group/operators")
    shell.office.person("dana", 1)
    shell = Shell(shell.office, shell.client)
    shell.client.app.state.office = replace(  # type: ignore[attr-defined]
        shell.client.app.state.office,  # type: ignore[attr-defined]
        catalog=shell.office.catalog,
    )
    result = shell.run("incident", words[0], asked.id, *words[1:], token="dana-token")
    assert result.exit_code == 1
    assert "dana is not a member of group/operators" in result.stderr
    assert only(shell).state is IncidentState.ASKED
