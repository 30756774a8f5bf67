"""`flowmaster doctor` on the sandbox: well at first, then each thing broken in turn."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.checkup import Topic
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread
from flowmaster_delivery.settings import Secret, Settings
from flowmaster_delivery.wiring import open_storage
from tests.adapters.audit_writer import a_deed

PROJECT = "flow-master%2Fflowmaster-platform"
SENIORS = "flow-master%2Fsenior-engineers"
DAGSTER_YAML = """
event_log_storage:
  module: flowmaster_delivery.defs.event_log
  class: EventLog
  config: {{base_dir: "{home}"}}
telemetry: {{enabled: false}}
"""


@dataclass
class Patient:
    """An installation on a sandbox, and what the doctor says of it."""

    sandbox: Addresses
    folder: Path
    settings: Settings
    secrets: list[str] = field(default_factory=list)

    def run(self, *words: str) -> Result:
        """What it prints has no secret in it, whatever is wrong."""
        done = CliRunner().invoke(main, ["doctor", *words], obj=Session(self.settings))
        told = done.stdout + done.stderr
        kept = [*self.sandbox.users.values(), self.sandbox.slack_webhook_url, *self.secrets]
        assert [secret for secret in kept if secret in told] == []
        return done

    def findings(self, *words: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.run(*words, "--json").stdout)
        return found

    def of(self, topic: str, *words: str) -> dict[str, str]:
        """About to grade, of one topic."""
        return {f["about"]: f["grade"] for f in self.findings("--only", topic, *words)}

    def worst(self, topic: str, *words: str) -> dict[str, str]:
        """The finding of a topic that is not well; the only one."""
        [found] = [f for f in self.findings("--only", topic, *words) if f["grade"] != "ok"]
        return found

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o600)
        return path

    def holds(self, **secrets: str | None) -> None:
        """From now on these secrets stand in their files; None takes one away."""
        self.secrets += [value for value in secrets.values() if value]
        given = {
            name: Secret(None if value is None else self.write(name, value), name)
            for name, value in secrets.items()
        }
        self.settings = replace(self.settings, **given)  # type: ignore[arg-type]

    def overlay(self, **more: object) -> None:
        base = json.loads((self.folder / "base.json").read_text())
        self.write("overlay.json", json.dumps({**base, **more}))

    def fault(self, **order: object) -> None:
        self._post(f"{self.sandbox.control_url}/sandbox/faults", order, self.sandbox.control_token)

    def gitlab(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        headers = {"PRIVATE-TOKEN": self.sandbox.gitlab_token}
        url = f"{self.sandbox.gitlab_url}/api/v4/{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=10)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def token_of(self, user: str, scopes: str, days: int | None = None) -> str:
        [found] = self.gitlab("GET", f"users?username={user}")
        ends = datetime.now(UTC).date() + timedelta(days=days) if days is not None else None
        body = {"name": "t", "scopes": [scopes], **({"expires_at": str(ends)} if ends else {})}
        made = self.gitlab("POST", f"users/{found['id']}/personal_access_tokens", body)
        return str(made["token"])

    @staticmethod
    def _post(url: str, body: Mapping[str, object], token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(url, json=body, headers=headers, timeout=10)
        assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    folder = tmp_path_factory.mktemp("sandbox")
    with in_thread(Options(folder / "data", load_catalog(None))) as addresses:
        query = {"query": "count(http_requests_total)"}
        until(lambda: _found(f"{addresses.prometheus_url}/api/v1/query", query))
        yield addresses


def _found(url: str, query: Mapping[str, str]) -> bool:
    return bool(httpx.get(url, params=query, timeout=10).json()["data"]["result"])


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def patient(sandbox: Addresses, tmp_path: Path) -> Iterator[Patient]:
    home, smoke = tmp_path / "home", tmp_path / "smoke"
    home.mkdir()
    smoke.mkdir()
    (home / "dagster.yaml").write_text(DAGSTER_YAML.format(home=home))
    for name in ("smoke-password", "smoke-authorization"):
        (smoke / name).write_text("anything")
    settings = Settings.from_environ(
        {
            "DAGSTER_HOME": str(home),
            "FLOWMASTER_OVERLAY": str(tmp_path / "overlay.json"),
            "FLOWMASTER_KUBECONFIG": sandbox.kubeconfig,
            "FLOWMASTER_REGISTRY_USER": "root",
            "FLOWMASTER_SECRETS_DIR": str(smoke),
        }
    )
    made = Patient(sandbox, tmp_path, settings)
    places = {n: {"metrics": {"url": sandbox.prometheus_url}} for n in sandbox.environments}
    base = {
        "forge_url": sandbox.gitlab_url,
        "registry_url": sandbox.registry_url,
        "environments": places,
    }
    made.write("base.json", json.dumps(base))
    made.overlay()
    made.holds(
        gitlab_token=sandbox.gitlab_token,
        seal_key="5" * 64,
        registry_password=sandbox.gitlab_token,
        slack_webhook=sandbox.slack_webhook_url,
    )
    yield made
    url = f"{sandbox.control_url}/sandbox/faults"
    headers = {"Authorization": f"Bearer {sandbox.control_token}"}
    assert httpx.delete(url, headers=headers, timeout=10).is_success


def test_an_installation_that_is_well_is_found_well(patient: Patient) -> None:
    found = patient.findings()
    assert [f for f in found if f["grade"] == "failed"] == []
    well = {f["topic"] for f in found if f["grade"] == "ok"}
    assert well == {topic.value for topic in Topic} - {"dagster"}
    assert {f["topic"] for f in found if f["grade"] == "not checked"} == {"settings", "dagster"}


def test_people_get_a_line_for_each_and_what_to_do_beneath(patient: Patient) -> None:
    done = patient.run("--only", "cluster,clock")
    assert done.exit_code == 0
    assert "!  cluster  dev, staging, production\n" in done.stdout
    assert "    we may more than we need: do everything\n    → take away" in done.stdout
    assert (
        "✓  clock    GitLab, cluster of dev, cluster of staging, cluster of produc" in done.stdout
    )
    assert done.stdout.rstrip().endswith("10 ok, 3 warning")


def test_what_this_process_was_not_given_is_not_checked_and_passes_for_nothing(
    patient: Patient,
) -> None:
    patient.holds(gitlab_token=None)
    patient.settings = replace(patient.settings, kubeconfig=None, home=patient.folder / "none")
    done = patient.run("--only", "gitlab,cluster,storage,audit")
    assert done.exit_code == 1
    assert "✓" not in done.stdout
    assert "no access to a cluster" in done.stdout
    assert "set FLOWMASTER_GITLAB_TOKEN_FILE" in done.stdout
    assert "there is no dagster.yaml in" in done.stdout


def test_one_environment_is_checked_alone(patient: Patient) -> None:
    assert set(patient.of("cluster", "--environment", "staging")) == {"staging"}
    assert set(patient.of("metrics", "--environment", "staging")) == {"staging"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [(("--only", "clustr"), "'cluster'"), (("--environment", "stagin"), "'staging'")],
)
def test_a_name_that_nothing_has_is_wrong_usage(
    patient: Patient, words: tuple[str, ...], hint: str
) -> None:
    done = patient.run(*words)
    assert done.exit_code == 2
    assert f"did you mean {hint}" in done.stderr


def a_missing_file(patient: Patient) -> None:
    gone = Secret(patient.folder / "gone", "seal_key")
    patient.settings = replace(patient.settings, seal_key=gone)


def an_empty_file(patient: Patient) -> None:
    patient.holds(seal_key="  \n")
    patient.secrets.clear()


def no_text(patient: Patient) -> None:
    patient.holds(seal_key="x")
    (patient.folder / "seal_key").write_bytes(b"\xff\xfe")
    patient.secrets.clear()


@pytest.mark.parametrize(
    ("breaking", "seen"),
    [
        (a_missing_file, "cannot be read: No such file or directory"),
        (an_empty_file, "is empty"),
        (no_text, "is not text"),
        (lambda p: p.holds(seal_key="short-key"), "has 9 characters"),
    ],
    ids=["missing", "empty", "no text", "short"],
)
def test_a_secret_that_is_of_no_use_is_named_by_its_file(
    patient: Patient, breaking: Callable[[Patient], None], seen: str
) -> None:
    breaking(patient)
    [found] = [f for f in patient.findings("--only", "settings") if f["grade"] == "failed"]
    assert found["about"] == "seal_key"
    assert seen in found["seen"]
    assert "FLOWMASTER_SEAL_KEY_FILE" in found["seen"]
    assert patient.run("--only", "settings").exit_code == 1


def test_a_secret_that_everybody_can_read_is_warned_of(patient: Patient) -> None:
    (patient.folder / "gitlab_token").chmod(0o644)
    [found] = [f for f in patient.findings("--only", "settings") if f["grade"] == "warning"]
    assert (found["about"], "mode 0644" in found["seen"]) == ("gitlab_token", True)
    assert "0440" in found["mend"]


def test_a_secret_of_smoke_tests_that_is_absent_is_named(patient: Patient) -> None:
    (patient.folder / "smoke" / "smoke-password").unlink()
    failed = [f for f in patient.findings("--only", "settings") if f["grade"] == "failed"]
    assert [f["about"] for f in failed] == [
        f"smoke tests of {name}" for name in ("dev", "staging", "production")
    ]
    assert "no secret 'smoke-password'" in failed[0]["seen"]


def test_without_a_catalog_nothing_else_is_checked(patient: Patient) -> None:
    patient.overlay(environments={"dev": {"gates": ["smell"]}})
    found = patient.findings()
    [failed] = [f for f in found if f["grade"] == "failed"]
    assert failed["topic"] == "catalog"
    assert "'smell' is not known" in failed["seen"]
    others = {f["grade"] for f in found if f["topic"] not in ("catalog", "settings")}
    assert others == {"not checked"}


def test_a_cluster_that_gives_no_answer_fails_for_each_environment(patient: Patient) -> None:
    patient.fault(server="kubernetes", drop=True)
    found = patient.findings("--only", "cluster,registry")
    grades = {f["about"]: f["grade"] for f in found if f["topic"] == "cluster"}
    assert grades == dict.fromkeys(("dev", "staging", "production"), "failed")
    assert {f["grade"] for f in found if f["topic"] == "registry"} == {"ok"}


def test_a_cluster_that_does_not_know_us_says_so(patient: Patient) -> None:
    text = Path(patient.sandbox.kubeconfig).read_text()
    [token] = re.findall(r"token: ([\w-]+)", text)
    kubeconfig = patient.write("kubeconfig", text.replace(token, "nobodys"))
    patient.settings = replace(patient.settings, kubeconfig=kubeconfig)
    found = patient.worst("cluster", "--environment", "dev")
    assert (found["grade"], "answered 401" in found["seen"]) == ("failed", True)


def test_a_context_that_the_kubeconfig_lacks_is_named(patient: Patient) -> None:
    patient.overlay(environments={"dev": {"context": "flowmaster-def"}})
    found = patient.worst("cluster", "--environment", "dev")
    assert "did you mean 'flowmaster-dev'?" in found["seen"] + found["mend"]


def test_a_deployment_that_is_not_there_is_named(patient: Patient) -> None:
    patient.overlay(services={"sdx": {"workload": "sdx-v2"}})
    [found] = [
        f
        for f in patient.findings("--only", "cluster", "--environment", "dev")
        if "not there" in f["seen"]
    ]
    assert found["grade"] == "warning"
    assert found["seen"] == "1 of 26 Deployments are not there: sdx-v2"


def test_a_gitlab_token_that_is_wrong_fails_with_where_to_put_another(patient: Patient) -> None:
    patient.holds(gitlab_token="glpat-wrong-and-secret")
    found = patient.of("gitlab")
    assert set(found.values()) == {"failed"}
    told = patient.findings("--only", "gitlab")[0]
    assert "FLOWMASTER_GITLAB_TOKEN_FILE" in told["mend"]


def test_a_token_that_may_only_read_cannot_record(patient: Patient) -> None:
    patient.holds(gitlab_token=patient.token_of("root", "read_api"))
    found = next(f for f in patient.findings("--only", "gitlab") if f["grade"] == "failed")
    assert found["about"] == "token"
    assert "without the scope api" in found["seen"]


@pytest.mark.parametrize(("days", "grade"), [(5, "warning"), (60, "ok")])
def test_a_token_that_ends_soon_is_warned_of(patient: Patient, days: int, grade: str) -> None:
    patient.holds(gitlab_token=patient.token_of("root", "api", days))
    assert patient.of("gitlab")["token"] == grade


def test_a_group_that_policy_names_and_nobody_has_is_named(patient: Patient) -> None:
    rule = {"count": 1, "group": "flow-master/nobody"}
    patient.overlay(environments={"production": {"approvals": rule}})
    found = patient.worst("gitlab")
    assert (found["grade"], found["about"]) == ("failed", "group flow-master/nobody")


def test_a_group_with_too_few_people_could_never_approve(patient: Patient) -> None:
    patient.overlay(environments={"production": {"approvals": {"count": 4}}})
    found = patient.worst("gitlab")
    assert found["about"] == "group flow-master/senior-engineers"
    assert found["seen"].startswith("3 active people")
    assert "policy asks for 4" in found["seen"]


def test_a_project_that_our_token_does_not_see_is_named(patient: Patient) -> None:
    gone = {"flowmaster-testing": {"project": "flow-master/gone"}}
    patient.overlay(repositories=gone)
    found = patient.worst("gitlab")
    assert (found["grade"], found["about"]) == ("failed", "project flow-master/gone")


def test_a_main_branch_that_is_not_there_is_named(patient: Patient) -> None:
    patient.overlay(repositories={"flowmaster-testing": {"main": "trunk"}})
    found = patient.worst("gitlab")
    assert (found["grade"], found["seen"]) == ("failed", "it has no branch trunk")


def test_a_webhook_that_is_absent_or_says_too_little_is_warned_of(patient: Patient) -> None:
    [hook] = patient.gitlab("GET", f"projects/{PROJECT}/hooks")
    path = f"projects/{PROJECT}/hooks/{hook['id']}"
    patient.gitlab("PUT", path, {"url": hook["url"], "pipeline_events": False})
    assert patient.worst("gitlab")["seen"] == "it tells nothing of pipeline"
    patient.gitlab("DELETE", path)
    found = patient.worst("gitlab")
    assert (found["grade"], "no webhook leads to" in found["seen"]) == ("warning", True)
    triggers = dict.fromkeys(("push_events", "tag_push_events", "pipeline_events"), True)
    patient.gitlab("POST", f"projects/{PROJECT}/hooks", {"url": hook["url"], **triggers})
    assert "warning" not in patient.of("gitlab").values()


def test_webhooks_that_our_token_may_not_see_are_not_checked(patient: Patient) -> None:
    patient.holds(gitlab_token=patient.token_of("dana", "api"))
    found = patient.of("gitlab")
    assert found["webhook of flow-master/flowmaster-platform"] == "not checked"
    assert found["project flow-master/flowmaster-platform"] == "ok"


def test_a_registry_password_that_is_wrong_fails_with_what_to_set(patient: Patient) -> None:
    patient.holds(registry_password="glpat-wrong-and-secret")
    found = patient.findings("--only", "registry")
    assert {f["grade"] for f in found} == {"failed"}
    assert "FLOWMASTER_REGISTRY_USER" in found[0]["mend"]


def test_without_a_registry_user_tagging_is_not_checked(patient: Patient) -> None:
    patient.settings = replace(patient.settings, registry_user=None)
    grades = {f["seen"][:11]: f["grade"] for f in patient.findings("--only", "registry")}
    assert "ok" not in grades.values()


def test_a_check_leaves_nothing_in_the_registry(patient: Patient) -> None:
    headers = {"PRIVATE-TOKEN": patient.sandbox.gitlab_token}
    url = f"{patient.sandbox.gitlab_url}/api/v4/projects/{PROJECT}/registry/repositories?tags=true"
    before = httpx.get(url, headers=headers, timeout=10).json()
    assert set(patient.of("registry").values()) == {"ok"}
    assert httpx.get(url, headers=headers, timeout=10).json() == before


def test_a_metrics_server_that_is_ill_fails(patient: Patient) -> None:
    patient.fault(server="prometheus", status=503)
    assert set(patient.of("metrics").values()) == {"failed"}


def test_a_metric_that_nothing_scrapes_is_named(patient: Patient) -> None:
    url = patient.sandbox.prometheus_url
    patient.overlay(environments={"dev": {"metrics": {"url": url, "requests": "nobody_counts"}}})
    found = patient.worst("metrics", "--environment", "dev")
    assert found["grade"] == "warning"
    assert "no series of nobody_counts" in found["seen"]


def test_a_storage_whose_tables_are_old_is_to_be_migrated(patient: Patient) -> None:
    assert set(patient.of("storage").values()) == {"ok"}
    with closing(sqlite3.connect(patient.settings.home / "history" / "runs.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '16e3115a602a'")
        database.commit()
    [found] = [f for f in patient.findings("--only", "storage") if f["grade"] == "failed"]
    assert (found["about"], "16e3115a602a" in found["seen"]) == ("runs", True)
    assert "dagster instance migrate" in found["mend"]


def test_a_storage_that_cannot_be_opened_fails(patient: Patient) -> None:
    (patient.settings.home / "dagster.yaml").write_text("storage: {nonsense: 1}")
    found = patient.worst("storage")
    assert (found["grade"], "Dagster's storage gives no usable" in found["seen"]) == (
        "failed",
        True,
    )


def test_an_audit_trail_that_somebody_changed_is_found(patient: Patient) -> None:
    with open_storage(patient.settings, Lock()) as storage:
        storage.audit.append(a_deed(reason="first"))
        storage.audit.append(a_deed(reason="second"))
    assert patient.of("audit") == {"trail": "ok"}
    with closing(sqlite3.connect(patient.settings.home / "event_log.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f"DROP TRIGGER {name}")
        changed = "UPDATE flowmaster_audit SET content = replace(content, 'first', 'other')"
        database.execute(changed)
        database.commit()
    found = patient.worst("audit")
    assert (found["grade"], found["seen"].startswith("1 flaws in 2 entries: entry 1")) == (
        "failed",
        True,
    )


@pytest.mark.parametrize(("skew", "grade"), [(12, "warning"), (-90, "failed"), (90, "failed")])
def test_a_clock_that_is_wrong_is_found(patient: Patient, skew: int, grade: str) -> None:
    patient.fault(server="gitlab", skew=skew)
    found = patient.worst("clock")
    assert (found["about"], found["grade"]) == ("GitLab", grade)
    assert ("behind ours" if skew < 0 else "ahead of ours") in found["seen"]


def test_what_hangs_is_told_in_time_and_keeps_nothing_else(patient: Patient) -> None:
    patient.fault(server="gitlab", delay=20)
    began = time.monotonic()
    found = patient.findings("--only", "gitlab,registry", "--timeout", "4")
    assert time.monotonic() - began < 15
    grades = {f["topic"]: f["grade"] for f in found if f["topic"] != "registry"}
    assert grades == {"gitlab": "failed"}
    assert {f["seen"] for f in found if f["topic"] == "gitlab"} == {"it has no end within 4 s"}
