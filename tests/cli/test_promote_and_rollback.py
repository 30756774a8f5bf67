"""`promote` and `rollback`: runs that people ask for and wait for."""

from __future__ import annotations

from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.ports import LaunchedRun, RunReason
from tests.cli.conftest import Shell

SOAK = RunReason("service-0", "promotion", "soak", "soak 31 h of 48 h")
APPROVALS = RunReason("service-1", "promotion", "approvals", "approvals 1 of 2")


def shipped(shell: Shell, state: str = "QUEUED") -> str:
    """The run that the ship sensor launches for what the first run admitted."""
    tags = {"flowmaster/occasion": "ship:run-1"}
    shell.office.launcher.made["run-2"] = LaunchedRun("run-2", state, tags, "http://ui/runs/run-2")
    return "run-2"


def test_a_promotion_is_followed_until_it_has_shipped(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    launcher = shell.office.launcher
    steps = {"service-0/deployment": "SUCCESS", "service-0/health": "SUCCESS"}
    shell.whenever_asked = [
        lambda: launcher.becomes("run-1", "STARTED"),
        lambda: launcher.becomes("run-1", "SUCCESS"),
        lambda: None,
        lambda: shipped(shell) and None,
        lambda: launcher.becomes("run-2", "SUCCESS", steps=steps),
    ]
    result = shell.run("promote", "production", "v1.2.3", "--reason", "spring")
    (order, asked_by), *_ = launcher.orders
    assert result.exit_code == 0, result.output
    assert "rollout: http://ui/runs/run-2" in result.stderr
    assert "✓ service-0" in result.stderr
    assert (order.environment, asked_by) == ("production", "local")
    assert order.form["ship"] is True
    assert order.form["reason"] == "spring"
    assert {service for service, _ in order.assets} == set(shell.office.catalog.services)


def test_a_refused_promotion_prints_every_reason_at_once(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    refuse = lambda: shell.office.launcher.becomes(  # noqa: E731
        "run-1", "FAILURE", reasons=(SOAK, APPROVALS)
    )
    shell.whenever_asked = [refuse]
    result = shell.run("promote", "production", "v1.2.3")
    assert result.exit_code == 1
    assert "soak: soak 31 h of 48 h" in result.stderr
    assert "approvals: approvals 1 of 2" in result.stderr


def test_a_rollout_that_fails_is_a_failure_with_the_pods_reason(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    reason = RunReason("service-0", "deployment", "", "CrashLoopBackOff: cannot find module")
    launcher = shell.office.launcher
    shell.whenever_asked = [
        lambda: launcher.becomes("run-1", "SUCCESS"),
        lambda: shipped(shell) and None,
        lambda: launcher.becomes("run-2", "FAILURE", reasons=(reason,)),
    ]
    result = shell.run("promote", "production", "v1.2.3")
    assert result.exit_code == 1
    assert "CrashLoopBackOff: cannot find module" in result.stderr


def test_a_second_promotion_at_once_is_refused_and_named(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    first = shell.run("promote", "production", "v1.2.3", "--no-wait")
    second = shell.run("promote", "production", "v1.2.3", "--no-wait")
    assert (first.exit_code, second.exit_code) == (0, 1)
    assert "local is promoting v1.2.3 of platform to production right now (run run-1)" in (
        second.stderr
    )
    assert len(shell.office.launcher.orders) == 1


def test_a_promotion_may_follow_one_that_has_ended(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    shell.run("promote", "production", "v1.2.3", "--no-wait")
    shell.office.launcher.becomes("run-1", "FAILURE")
    assert shell.run("promote", "production", "v1.2.3", "--no-wait").exit_code == 0


def test_named_services_are_promoted_alone(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    words = ("--service", "service-1", "--no-wait", "--partial")
    assert shell.run("promote", "production", "v1.2.3", *words).exit_code == 0
    (order, _), *_ = shell.office.launcher.orders
    assert order.assets == (("service-1", "image"), ("service-1", "promotion"))
    assert order.form["partial"] is True


def test_only_operators_of_an_environment_may_promote_to_it(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    shell.office.operated_by("production", "group/operators")
    shell.office.person("dana", 1)
    shell.office.person("sam", 2, "group/operators")
    shell.client.app.state.office = shell.office.app().state.office  # type: ignore[attr-defined]
    words = ("promote", "production", "v1.2.3", "--no-wait")
    refused, allowed = shell.run(*words, token="dana-token"), shell.run(*words, token="sam-token")
    assert refused.exit_code == 1
    assert "dana is not a member of group/operators" in refused.stderr
    assert allowed.exit_code == 0
    assert [asked_by for _, asked_by in shell.office.launcher.orders] == ["sam"]


def test_an_unknown_token_is_refused_and_not_shown(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    result = shell.run("promote", "production", "v1.2.3", token="glpat-guess")
    assert result.exit_code == 1
    assert "GitLab does not know this token" in result.stderr
    assert "glpat-guess" not in result.output


def test_without_the_sandbox_nobody_promotes_without_a_token(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    shell.office.sandbox = False
    shell.client.app.state.office = shell.office.app().state.office  # type: ignore[attr-defined]
    result = shell.run("promote", "production", "v1.2.3")
    assert result.exit_code == 1
    assert "FLOWMASTER_TOKEN" in result.stderr
    assert shell.office.launcher.orders == []


def test_dagster_out_of_reach_is_said_with_status_3(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    shell.office.launcher.broken = Unreachable("Dagster at http://ui does not answer")
    result = shell.run("promote", "production", "v1.2.3")
    assert result.exit_code == 3
    assert "does not answer" in result.stderr


def test_a_rollback_names_target_and_reason_and_waits(shell: Shell) -> None:
    shell.whenever_asked = [lambda: shell.office.launcher.becomes("run-1", "SUCCESS")]
    words = ("--service", "service-0", "--to", "v1.2.2", "--reason", "errors")
    result = shell.run("rollback", "production", *words)
    (order, _), *_ = shell.office.launcher.orders
    assert result.exit_code == 0, result.output
    assert order.form == {"rollback_to": "v1.2.2", "reason": "errors"}
    assert order.assets == (("service-0", "deployment"), ("service-0", "health"))


def test_a_rollback_to_a_version_takes_the_services_that_ran_it(shell: Shell) -> None:
    shell.office.deployed("service-0", "production", "v1.2.2")
    shell.office.deployed("service-0", "production", "v1.2.3")
    shell.office.deployed("service-1", "production", "v1.2.1")
    words = ("--to", "v1.2.2", "--reason", "errors", "--no-wait")
    assert shell.run("rollback", "production", *words).exit_code == 0
    (order, _), *_ = shell.office.launcher.orders
    assert {service for service, _ in order.assets} == {"service-0"}


def test_a_rollback_to_previous_takes_the_services_of_the_last_release(shell: Shell) -> None:
    from datetime import timedelta

    late = shell.office.now
    shell.office.deployed("service-0", "production", "v1.2.2", late - timedelta(days=2))
    for service in ("service-1", "service-2"):
        shell.office.deployed(service, "production", "v1.2.3", late)
    shell.run("rollback", "production", "--reason", "errors", "--no-wait")
    (order, _), *_ = shell.office.launcher.orders
    assert {service for service, _ in order.assets} == {"service-1", "service-2"}


def test_a_rollback_to_what_never_ran_is_refused(shell: Shell) -> None:
    result = shell.run("rollback", "production", "--to", "v9.9.9", "--reason", "errors")
    assert result.exit_code == 1
    assert "no service of production ever ran v9.9.9" in result.stderr


def test_a_rollback_without_a_reason_is_wrong_usage(shell: Shell) -> None:
    assert shell.run("rollback", "production").exit_code == 2


def test_a_rollback_of_a_release_takes_all_that_came_with_the_service(shell: Shell) -> None:
    for service in ("service-0", "service-1"):
        shell.office.deployed(service, "production", "v1.2.3")
    shell.office.deployed("service-2", "production", "v1.2.2")
    words = ("--service", "service-0", "--method", "release", "--reason", "errors", "--no-wait")
    assert shell.run("rollback", "production", *words).exit_code == 0
    ((order, _),) = shell.office.launcher.orders
    assert {service for service, _ in order.assets} == {"service-0", "service-1"}
    assert order.form["method"] == "release"


def test_a_method_that_does_not_exist_is_wrong_usage(shell: Shell) -> None:
    words = ("--method", "prayer", "--reason", "errors")
    assert shell.run("rollback", "production", *words).exit_code == 2
