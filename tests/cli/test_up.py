"""`up`: homes, processes that live and end together, and what is left when the launcher dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.cli.up.command import chosen_ports
from flowmaster_delivery.cli.up.far_end import on_sandbox
from flowmaster_delivery.cli.up.home import Home, claimed
from flowmaster_delivery.cli.up.parts import Ports, free_port
from flowmaster_delivery.cli.up.platform import at_these_addresses
from flowmaster_delivery.cli.up.processes import Part, PartFailed, Processes
from flowmaster_delivery.cli.up.tether import group_lives
from flowmaster_delivery.model.errors import Permanent, Refused
from flowmaster_delivery.settings import Settings, variables_of
from flowmaster_delivery.wiring import open_catalog

SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('ready', flush=True); time.sleep(60)"
)


def a_part(name: str, code: str, logs: Path, patience: float = 20) -> Part:
    log = logs / f"{name}.log"
    return Part(name, [sys.executable, "-c", code], lambda: "ready" in log.read_text(), patience)


def until(holds: Callable[[], bool], limit: float = 15) -> bool:
    deadline = time.monotonic() + limit
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.stop([])


def test_parts_end_with_everything_they_started(processes: Processes, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    part = a_part("parent", code, tmp_path)
    processes.start(part)
    processes.wait_for([part])
    child = int((tmp_path / "parent.log").read_text().split()[1])
    assert processes.stop([["parent"]]) == ()
    assert until(lambda: not _alive(child))


def test_a_part_that_does_not_stop_is_killed_and_named(tmp_path: Path) -> None:
    processes = Processes(tmp_path, grace=0.3)
    part = a_part("stubborn", STUBBORN, tmp_path)
    processes.start(part)
    processes.wait_for([part])
    assert processes.stop([["stubborn"]]) == ("stubborn",)


def test_a_part_that_ends_by_itself_is_named_with_the_end_of_its_log(
    processes: Processes, tmp_path: Path
) -> None:
    part = a_part("webserver", "print('no such database'); raise SystemExit(3)", tmp_path)
    processes.start(part)
    with pytest.raises(PartFailed, match="webserver ended by itself with status 3") as failed:
        processes.wait_for([part])
    assert "no such database" in str(failed.value)


def test_a_part_that_does_not_answer_is_given_up(processes: Processes, tmp_path: Path) -> None:
    part = a_part("mute", "import time; time.sleep(60)", tmp_path, patience=0.2)
    processes.start(part)
    with pytest.raises(PartFailed, match="mute did not answer within 0 s"):
        processes.wait_for([part])


def test_a_step_that_fails_is_told(processes: Processes) -> None:
    with pytest.raises(PartFailed, match="instance ended with status 1"):
        processes.run("instance", [sys.executable, "-c", "raise SystemExit(1)"])


def test_what_a_part_gets_to_know_is_what_is_shared(processes: Processes, tmp_path: Path) -> None:
    processes.share({"FLOWMASTER_SANDBOX": "1"})
    code = "import os; print(os.environ['FLOWMASTER_SANDBOX'])"
    processes.run("asked", [sys.executable, "-c", code])
    assert (tmp_path / "asked.log").read_text() == "1\n"


def test_nothing_is_left_when_the_launcher_is_killed(tmp_path: Path) -> None:
    """Even SIGKILL, which nobody can catch: the tether notices that its other end is gone."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from flowmaster_delivery.cli.up.processes import Part, Processes\n"
        f"processes = Processes(Path({str(tmp_path)!r}))\n"
        f"processes.start(Part('part', [sys.executable, '-c', {SLEEPER!r}], lambda: True))\n"
        "print(*(p.pid for p in processes._running.values()), flush=True)\n"
        "time.sleep(60)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout
    group = int(launcher.stdout.readline())
    assert group_lives(group)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    assert until(lambda: not group_lives(group))


def test_one_platform_at_a_time_in_a_home(tmp_path: Path) -> None:
    with claimed(tmp_path / "home", fresh=True), pytest.raises(Refused, match="is up in"):
        claimed(tmp_path / "home", fresh=True).__enter__()


def test_a_home_on_the_sandbox_begins_anew(tmp_path: Path) -> None:
    with claimed(tmp_path, fresh=True) as home:
        home.write("history/runs.db", "old")
        (tmp_path / "mine.txt").write_text("not the platform's")
    with claimed(tmp_path, fresh=True):
        assert not (tmp_path / "history").exists()
        assert (tmp_path / "mine.txt").exists()


def test_a_record_of_real_deployments_is_never_emptied(tmp_path: Path) -> None:
    with claimed(tmp_path, fresh=False) as home:
        home.write("history/runs.db", "evidence")
    with pytest.raises(Refused, match="not the sandbox's"), claimed(tmp_path, fresh=True):
        pass
    assert (tmp_path / "history" / "runs.db").read_text() == "evidence"


def test_real_servers_do_not_share_a_home_with_a_sandbox(tmp_path: Path) -> None:
    with claimed(tmp_path, fresh=True):
        pass
    with pytest.raises(Refused, match="belongs to a sandbox"), claimed(tmp_path, fresh=False):
        pass


def test_secrets_are_files_for_their_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made, given = home.secret("seal_key"), home.secret("gitlab_token", "glpat-1")
    assert made.read_text() == home.secret("seal_key").read_text()
    assert given.read_text() == "glpat-1"
    assert [path.stat().st_mode & 0o777 for path in (made, given, made.parent)] == [
        0o600,
        0o600,
        0o700,
    ]


def test_everything_on_the_sandbox_is_on_loopback_and_no_secret_is_a_variable(
    tmp_path: Path,
) -> None:
    told = {
        "gitlab_url": "http://127.0.0.1:1",
        "registry_url": "http://127.0.0.1:2",
        "services_url": "http://127.0.0.1:3/",
        "prometheus_url": "http://127.0.0.1:9",
        "kubeconfig": str(tmp_path / "kubeconfig"),
        "gitlab_token": "glpat-secret",
        "webhook_secret": "hook-secret",
        "webhook_signing_token": "whsec_c2VjcmV0",
        "slack_webhook_url": "http://127.0.0.1:4/slack/services/T/B/secret-path",
    }
    home = Home(tmp_path)
    home.write("sandbox/sandbox.json", json.dumps(told))
    settings = on_sandbox(Settings.from_environ({"DAGSTER_HOME": str(tmp_path)}), home)
    catalog = open_catalog(settings)
    urls = [catalog.forge_url, catalog.registry_url]
    urls += [str(place.base_url) for place in catalog.environments.values()]
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert urls[-1] == "http://127.0.0.1:3/production"
    variables = variables_of(settings)
    secrets = [value for name, value in told.items() if "secret" in value or "whsec" in value]
    assert len(secrets) == 4
    assert not any(secret in value for secret in secrets for value in variables.values())
    assert Settings.from_environ(variables) == settings
    assert settings.gitlab_token.read() == "glpat-secret"


def test_links_lead_to_the_port_of_the_ui_or_to_where_people_reach_it() -> None:
    ports = Ports(ui=4000, server=4080, code=4030)
    plain = Settings.from_environ({})
    behind_a_proxy = Settings.from_environ({"FLOWMASTER_UI_URL": "https://ui.example"})
    assert at_these_addresses(plain, ports).ui_url == "http://127.0.0.1:4000"
    assert at_these_addresses(behind_a_proxy, ports).ui_url == "https://ui.example"
    assert at_these_addresses(behind_a_proxy, ports).dagster_url == "http://127.0.0.1:4000"


def test_a_taken_port_is_not_chosen() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_a_secret_that_is_missing_says_what_to_set() -> None:
    with pytest.raises(Permanent, match="FLOWMASTER_GITLAB_TOKEN_FILE"):
        Settings.from_environ({}).gitlab_token.read()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_platforms_that_start_at_once_have_code_servers_of_their_own() -> None:
    assert len({chosen_ports(0, 0).code for _ in range(5)}) > 1
