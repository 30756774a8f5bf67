"""`flowmaster migration`: where schemas are, and a person's word on one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.outcome import Outcome
from tests.builders import a_service, digest
from tests.cli.conftest import Shell
from tests.fakes.office import START, FakeOffice

SETTLE = ("migration", "settle", "schema", "production", "--version", "12", "--reason", "by hand")


@pytest.fixture
def office(office: FakeOffice) -> FakeOffice:
    services = (a_service("schema", kind=Kind.JOB), a_service("engine", migrations=("schema",)))
    named = {service.name: service for service in services}
    office.catalog = replace(office.catalog, services=named)
    office.operated_by("production", "group/operators")
    office.person("sam", 2, "group/operators")
    return office


def failed(office: FakeOffice) -> None:
    made = Migration("schema", digest(), 11, 12, MigrationPhase.EXPAND, reversible=False)
    said = "exit code 3"
    office.history.record(
        MigrationRecord(
            made, "production", Direction.UP, Outcome.FAILURE, START, "jane", "r1", said
        )
    )


def test_what_failed_halfway_is_listed_with_what_to_do(shell: Shell) -> None:
    failed(shell.office)
    result = shell.run("migration", "list", "production", "--json")
    [row] = json.loads(result.stdout)
    assert (row["job"], row["version"]) == ("schema", None)
    assert "failed halfway: exit code 3" in row["trouble"]
    assert "flowmaster migration settle schema production" in row["trouble"]


def test_every_environment_has_its_line(shell: Shell) -> None:
    result = shell.run("migration")
    lines = [line.split()[:3] for line in result.stdout.splitlines() if line.startswith("schema ")]
    assert lines[0] == ["schema", "environment", "version"]
    assert [line[1:] for line in lines[1:]] == [["dev", "?"], ["staging", "?"], ["production", "?"]]


def test_a_persons_word_is_on_record_under_the_name_that_gitlab_knows(shell: Shell) -> None:
    failed(shell.office)
    result = shell.run(*SETTLE, token="sam-token")
    assert result.stdout == "the schema of schema in production is at 12, by sam: by hand\n"
    last = shell.office.history.migrations("schema", "production")[0]
    assert (last.asked_by, last.version, last.settled) == ("sam", 12, True)


def test_only_an_operator_of_the_environment_may_say_it(shell: Shell) -> None:
    shell.office.person("dana", 1)
    result = shell.run(*SETTLE, token="dana-token")
    assert result.exit_code == 1
    assert "dana is not a member of group/operators" in result.stderr
    assert shell.office.history.records == []


def test_a_service_that_is_no_job_has_no_schema_to_speak_of(shell: Shell) -> None:
    words = ["engine" if word == "schema" else word for word in SETTLE]
    result = shell.run(*words, token="sam-token")
    assert result.exit_code == 1
    assert "engine is of kind deployment" in result.stderr


def test_an_unknown_job_gets_the_nearest_name(shell: Shell) -> None:
    words = ["shcema" if word == "schema" else word for word in SETTLE]
    result = shell.run(*words, token="sam-token")
    assert result.exit_code == 2
    assert "did you mean 'schema'?" in result.stderr


def test_a_version_that_is_no_number_is_wrong_usage(shell: Shell) -> None:
    words = ["twelve" if word == "12" else word for word in SETTLE]
    assert shell.run(*words, token="sam-token").exit_code == 2
