"""Every pod of the chart: hardened, limited, probed, with what its part needs and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helm.charts import Object, named, render

EVERYTHING = {
    "overlay": "name: flowmaster\n",
    "secrets": {
        "webhookSecret": True,
        "slackWebhook": True,
        "metricsToken": True,
    },
    "environments": {"production": {"kubeconfigSecret": "cluster", "smokeSecret": "smoke"}},
    "monitoring": {"always": True},
    "ingress": {"enabled": True, "tlsSecret": "tls"},
    "webserver": {"replicas": 2},
}
WITH_RIGHTS = {"daemon": "dagster", "webserver": "dagster", "server": "server"}
ALONE = {"webserver": ["dagster"], "server": ["server"]}
"""Pods of several containers, and which of them uses the token."""
READS = {
    "code": {"database-password", "seal-key", "gitlab-token", "registry-password", "slack-webhook"},
    "daemon": {"database-password", "seal-key"},
    "view": {"database-password"},
    "postgresql": {"database-password"},
    "webserver": {"database-password", "seal-key", "gitlab-token"},
}


@pytest.fixture(scope="module", params=["least", "everything"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(EVERYTHING if request.param == "everything" else {})


def test_every_container_is_hardened_and_limited(objects: list[Object]) -> None:
    for what, pod in _pods(objects):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], what
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, what
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"], what
            assert own["allowPrivilegeEscalation"] is False, what
            assert own["capabilities"] == {"drop": ["ALL"]}, what
            assert {"requests", "limits"} <= container["resources"].keys(), what


def test_no_pod_shares_anything_of_its_node(objects: list[Object]) -> None:
    for what, pod in _pods(objects):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), what
        assert not [v for v in pod["volumes"] if "hostPath" in v], what


def test_every_part_that_runs_for_long_is_probed(objects: list[Object]) -> None:
    for what, pod in _pods(objects, "Deployment", "StatefulSet"):
        for container in pod["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), what


def test_a_token_of_the_cluster_is_where_its_rights_are_used(objects: list[Object]) -> None:
    for what, pod in _pods(objects, "Deployment", "StatefulSet"):
        account = pod["serviceAccountName"].rpartition("delivery-")[2]
        part = what.rpartition("delivery-")[2]
        mounting = [c["name"] for c in pod["containers"] if "token" in _mounted(c)]
        assert mounting == ALONE.get(part, []), what
        automatic = account != "none" and part not in ALONE
        assert pod["automountServiceAccountToken"] is automatic, what
        if not part.startswith("watch-"):
            assert account == WITH_RIGHTS.get(part, "none"), what


def test_each_watch_acts_for_its_own_environment_alone(objects: list[Object]) -> None:
    for name in ("dev", "staging", "production"):
        watch = named(objects, "Deployment", f"watch-{name}")
        pod = watch["spec"]["template"]["spec"]
        assert pod["containers"][0]["command"][-1] == name
        assert pod["serviceAccountName"].endswith((f"-env-{name}", "-none"))


@pytest.mark.parametrize("part", READS)
def test_a_part_reads_the_secrets_that_it_needs(objects: list[Object], part: str) -> None:
    kind = "StatefulSet" if part == "postgresql" else "Deployment"
    pod = named(objects, kind, part)["spec"]["template"]["spec"]
    [volume] = [v for v in pod["volumes"] if v["name"] == f"secrets-{part}"]
    keys = {item["key"] for item in volume["secret"]["items"]}
    assert keys <= READS[part]
    assert "database-password" in keys


def test_no_secret_stands_in_a_variable_but_the_name_of_the_login(objects: list[Object]) -> None:
    for what, pod in _pods(objects):
        for container in pod["containers"]:
            taken = [e["name"] for e in container.get("env", ()) if "valueFrom" in e]
            assert taken in ([], ["OAUTH2_PROXY_CLIENT_ID"]), what
            assert "envFrom" not in container, what


def test_only_the_webserver_behind_the_login_believes_a_header(objects: list[Object]) -> None:
    believing = [
        f"{what}/{container['name']}"
        for what, pod in _pods(objects)
        for container in pod["containers"]
        for variable in container.get("env", ())
        if variable["name"] == "FLOWMASTER_IDENTITY_HEADER"
    ]
    assert believing == ["fm-flowmaster-delivery-webserver/dagster"]


def test_a_changed_catalog_restarts_what_has_read_it() -> None:
    before, after = render(), render({"overlay": "name: other\n"})
    for part in ("code", "daemon", "server", "webserver", "watch-dev"):
        marks = [
            named(objects, "Deployment", part)["spec"]["template"]["metadata"]["annotations"]
            for objects in (before, after)
        ]
        assert marks[0]["checksum/config"] != marks[1]["checksum/config"], part


def _mounted(container: dict[str, Any]) -> set[str]:
    return {mount["name"] for mount in container.get("volumeMounts", ())}


def _pods(objects: list[Object], *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for found in objects:
        name, spec = found["metadata"]["name"], found.get("spec", {})
        if kinds and found["kind"] not in kinds:
            continue
        if found["kind"] == "Pod":
            yield name, spec
        elif found["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif isinstance(spec, dict) and "template" in spec:
            yield name, spec["template"]["spec"]
