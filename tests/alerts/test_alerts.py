"""Each alert fires on series of its trouble, and is silent on those of a platform that works.

Prometheus' own tool evaluates the rules; series are written in its notation, one sample a minute.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from flowmaster_delivery.model.pulse import DaemonBeat
from flowmaster_delivery.web.app import metrics_of
from flowmaster_delivery.web.metrics.serving import a_registry
from flowmaster_delivery.web.metrics.watching import WatchMetrics
from tests.fakes.office import START, FakeOffice
from tests.programs import promtool

ROOT = Path(__file__).parents[2]
FILE = ROOT / "helm" / "flowmaster-delivery" / "files" / "alerts.yaml"
PAGE = ROOT / "docs" / "operations.md"
RULES: list[dict[str, Any]] = [
    rule
    for group in YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
NAMES = {str(rule["alert"]) for rule in RULES}
AT = "120m"
"""When alerts are looked at; test time begins at the epoch."""
DAY = 86_400
ON = 'environment="production"'

Series = dict[str, str]

HEALTHY: Series = {
    'flowmaster_up{part="server"}': "1x200",
    "flowmaster_storage_up": "1x200",
    "flowmaster_launching_up": "1x200",
    'flowmaster_daemon_heartbeat_timestamp_seconds{loop="SENSOR"}': "0+60x200",
    'flowmaster_daemon_heartbeat_timestamp_seconds{loop="SCHEDULER"}': "0+60x200",
    'flowmaster_sensor_last_tick_timestamp_seconds{sensor="intake"}': "0+60x200",
    'flowmaster_sensor_interval_seconds{sensor="intake"}': "30x200",
    'flowmaster_sensor_running{sensor="intake"}': "1x200",
    f"flowmaster_watch_expected{{{ON}}}": "1x200",
    f"flowmaster_watch_looking{{{ON}}}": "1x200",
    f"flowmaster_watch_last_success_timestamp_seconds{{{ON}}}": "0+60x200",
    f"flowmaster_runs_queued_age_seconds{{{ON}}}": "60x200",
    f'flowmaster_runs_failed_last_hour{{{ON},purpose="delivery"}}': "2x200",
    f'flowmaster_runs_failed_last_hour{{{ON},purpose="promotion"}}': "30x200",
    f'flowmaster_incidents{{{ON},state="asked"}}': "0x200",
    f'flowmaster_incidents{{{ON},state="rolling_back"}}': "0x200",
    f'flowmaster_incidents{{{ON},state="left"}}': "9x200",
    f"flowmaster_environment_held{{{ON}}}": "0x200",
    'flowmaster_webhooks_total{code="202"}': "0+50x200",
    'flowmaster_webhooks_total{code="401"}': "0x200",
    "flowmaster_hints_waiting": "3x200",
    "flowmaster_hints_capacity": "1000x200",
    "flowmaster_gitlab_token_expiry_timestamp_seconds": f"{90 * DAY}x200",
}


@dataclass(frozen=True)
class Trouble:
    """What differs from a platform that works; None: the series is not there."""

    alert: str
    series: dict[str, str | None]
    labels: dict[str, str]


CRITICAL, WARNING = {"severity": "critical"}, {"severity": "warning"}
PRODUCTION = {"environment": "production"}
INTAKE = {"sensor": "intake"}
LAST_LOOK = f"flowmaster_watch_last_success_timestamp_seconds{{{ON}}}"
LOOKING = f"flowmaster_watch_looking{{{ON}}}"
TICK = 'flowmaster_sensor_last_tick_timestamp_seconds{sensor="intake"}'
HEARTBEAT = 'flowmaster_daemon_heartbeat_timestamp_seconds{loop="SENSOR"}'
EXPIRY = "flowmaster_gitlab_token_expiry_timestamp_seconds"
TROUBLES = {
    "no server is scraped": Trouble(
        "FlowMasterDown", {'flowmaster_up{part="server"}': None}, CRITICAL
    ),
    "the database is away": Trouble(
        "FlowMasterStorageAway", {"flowmaster_storage_up": "0x200"}, CRITICAL
    ),
    "no code location is loaded": Trouble(
        "FlowMasterCannotLaunch", {"flowmaster_launching_up": "0x200"}, WARNING
    ),
    "one loop of the daemon is dead": Trouble(
        "FlowMasterDaemonDown", {HEARTBEAT: "0+60x100 6000x100"}, CRITICAL
    ),
    "no loop has ever beaten": Trouble("FlowMasterDaemonDown", {HEARTBEAT: "0x200"}, CRITICAL),
    "a sensor ticks no more": Trouble(
        "FlowMasterSensorsStale", {TICK: "0+60x100 6000x100"}, {**INTAKE, **CRITICAL}
    ),
    "a sensor has never ticked": Trouble(
        "FlowMasterSensorsStale", {TICK: "0x200"}, {**INTAKE, **CRITICAL}
    ),
    "a person stopped a sensor": Trouble(
        "FlowMasterSensorStopped",
        {'flowmaster_sensor_running{sensor="intake"}': "0x200", TICK: "0x200"},
        {**INTAKE, **WARNING},
    ),
    "the watch is not there": Trouble(
        "FlowMasterWatchGone", {LOOKING: None, LAST_LOOK: None}, {**PRODUCTION, **CRITICAL}
    ),
    "all processes of the watch stand by": Trouble(
        "FlowMasterWatchGone", {LOOKING: "0x200"}, {**PRODUCTION, **CRITICAL}
    ),
    "the watch is blind": Trouble(
        "FlowMasterWatchStale", {LAST_LOOK: "0+60x100 6000x100"}, {**PRODUCTION, **CRITICAL}
    ),
    "runs wait": Trouble(
        "FlowMasterRunsQueued",
        {f"flowmaster_runs_queued_age_seconds{{{ON}}}": "0+60x200"},
        {**PRODUCTION, **WARNING},
    ),
    "runs fail": Trouble(
        "FlowMasterRunFailing",
        {f'flowmaster_runs_failed_last_hour{{{ON},purpose="ship"}}': "1x200"},
        {**PRODUCTION, **WARNING},
    ),
    "a person is asked": Trouble(
        "FlowMasterIncidentOpen",
        {f'flowmaster_incidents{{{ON},state="asked"}}': "1x200"},
        {**PRODUCTION, **WARNING},
    ),
    "a rollback does not end": Trouble(
        "FlowMasterRollbackStuck",
        {f'flowmaster_incidents{{{ON},state="rolling_back"}}': "1x200"},
        {**PRODUCTION, **CRITICAL},
    ),
    "an environment is held": Trouble(
        "FlowMasterEnvironmentHeld",
        {f"flowmaster_environment_held{{{ON}}}": "1x200"},
        {**PRODUCTION, **WARNING},
    ),
    "webhooks carry a wrong secret": Trouble(
        "FlowMasterWebhooksRejected", {'flowmaster_webhooks_total{code="401"}': "0+1x200"}, WARNING
    ),
    "the queue of hints is full": Trouble(
        "FlowMasterHintsWaiting", {"flowmaster_hints_waiting": "900x200"}, WARNING
    ),
    "the token expires within two weeks": Trouble(
        "FlowMasterTokenExpires", {EXPIRY: f"{10 * DAY}x200"}, WARNING
    ),
    "the token has expired": Trouble("FlowMasterTokenExpires", {EXPIRY: "60x200"}, CRITICAL),
}
SILENT: dict[str, dict[str, str | None]] = {
    "a platform that works": {},
    "a second process of the watch stands by": {
        f'flowmaster_watch_looking{{{ON},pod="b"}}': "0x200",
        f'flowmaster_watch_last_success_timestamp_seconds{{{ON},pod="b"}}': "0x200",
    },
    "the watch is a sensor": {
        f"flowmaster_watch_expected{{{ON}}}": "0x200",
        LOOKING: None,
        LAST_LOOK: None,
    },
    "a token that never expires": {EXPIRY: None},
    "a short blip of everything": {
        "flowmaster_storage_up": "1x118 0x1 1x80",
        "flowmaster_launching_up": "1x118 0x1 1x80",
        f'flowmaster_incidents{{{ON},state="asked"}}': "0x118 1x1 0x80",
    },
}


def evaluated(folder: Path, series: dict[str, str | None], expected: list[Trouble]) -> str:
    """What promtool says against it: of every alert, exactly the expected ones fire."""
    given = {name: values for name, values in {**HEALTHY, **series}.items() if values}
    fire = {
        name: [{"exp_labels": one.labels} for one in expected if one.alert == name]
        for name in NAMES
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "alert_rule_test": [
            {"eval_time": AT, "alertname": name, "exp_alerts": alerts}
            for name, alerts in fire.items()
        ],
    }
    # The rules without their words: what an alert says is read by people.
    bare = [{k: v for k, v in rule.items() if k != "annotations"} for rule in RULES]
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "all", "rules": bare}]}))
    content = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.json").write_text(json.dumps(content))
    said = subprocess.run(
        [promtool(), "test", "rules", "test.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return "" if said.returncode == 0 else said.stdout + said.stderr


def test_the_rules_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    copy = shutil.copy(FILE, tmp_path / "alerts.yaml")
    said = subprocess.run(
        [promtool(), "check", "rules", str(copy)], capture_output=True, text=True, timeout=50
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{len(RULES)} rules found" in said.stdout


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_each_trouble_fires_its_own_alert_and_no_other(tmp_path: Path, trouble: Trouble) -> None:
    assert evaluated(tmp_path, trouble.series, [trouble]) == ""


@pytest.mark.parametrize("series", SILENT.values(), ids=SILENT)
def test_what_is_no_trouble_fires_nothing(tmp_path: Path, series: dict[str, str | None]) -> None:
    assert evaluated(tmp_path, series, []) == ""


def test_every_alert_and_severity_has_its_trouble() -> None:
    told = {(one.alert, one.labels["severity"]) for one in TROUBLES.values()}
    assert told == {(rule["alert"], rule["labels"]["severity"]) for rule in RULES}


def test_every_metric_that_an_alert_names_is_told_by_the_platform(office: FakeOffice) -> None:
    office.pulse.daemons_ = [DaemonBeat("SENSOR", START)]
    server, watch = a_registry("server"), a_registry("watch")
    WatchMetrics(watch, ("production",))
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        client.post("/webhooks/gitlab", json={})
        server.register(metrics_of(client.app, START.date))  # type: ignore[arg-type]
        text = (generate_latest(server) + generate_latest(watch)).decode()
    told = set(re.findall(r"^(flowmaster_\w+)", text, flags=re.MULTILINE))
    named = {name for rule in RULES for name in re.findall(r"flowmaster_\w+", rule["expr"])}
    assert len(named) > 10
    assert named - told == set()


def test_every_alert_is_explained_on_the_page_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^### (FlowMaster\w+)", page, flags=re.MULTILINE)) == NAMES
