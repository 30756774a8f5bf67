"""The catalog from YAML: the shipped one, overlays, and every fault at its line."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.adapters.yaml_catalog import json_schema, load_catalog
from flowmaster_delivery.adapters.yaml_catalog.documents import LARGEST
from flowmaster_delivery.adapters.yaml_catalog.loading import shipped
from flowmaster_delivery.adapters.yaml_catalog.values import duration, spelled
from flowmaster_delivery.model.catalog import Criticality, GateName, Kind, RefKind
from flowmaster_delivery.model.errors import CatalogFault
from flowmaster_delivery.model.retention import RetentionRule
from flowmaster_delivery.policy.waves import waves
from tests.builders import catalog_yaml

SOUND = """\
name: small
forge_url: http://127.0.0.1:1
registry_url: http://127.0.0.1:2
repositories:
  platform: {project: group/platform}
environments:
  dev: {namespace: dev, ref: {branch: develop}, automatic: true}
  production:
    namespace: production
    upstream: dev
    ref: {tag: vX.Y.Z}
    gates: [soak, freeze]
    soak: {standard: 24h}
services:
  gateway:
    repository: platform
    path: services/gateway
    depends_on: [auth]
  auth:
    repository: platform
    path: services/auth
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(SOUND)
    return path


def faults_of(file: Path, old: str, new: str) -> tuple[str, ...]:
    """The faults, without the file's folder, of the sound catalog with one change."""
    assert SOUND.count(old) == 1
    file.write_text(SOUND.replace(old, new))
    with pytest.raises(CatalogFault) as caught:
        load_catalog(file)
    return tuple(fault.replace(f"{file}:", "") for fault in caught.value.faults)


# The shipped catalog


def test_it_has_all_twenty_nine_services() -> None:
    services = load_catalog(None).services.values()
    assert len(services) == 29
    backends = [s for s in services if s.repository == "flowmaster-platform"]
    assert len([s for s in backends if not s.placeholder]) == 13
    placeholders = [s.name for s in services if s.placeholder]
    assert placeholders == [f"service-{n}" for n in range(14, 23)]
    assert len([s for s in services if s.kind is not Kind.DEPLOYMENT]) == 3


def test_it_has_the_ports_of_the_registry_table() -> None:
    found = {s.name: s.port for s in load_catalog(None).services.values() if s.port}
    assert found == {
        "api-gateway": 9000,
        "auth-service": 9001,
        "document-intelligence": 9002,
        "process-design": 9003,
        "execution-engine": 9004,
        "scheduling": 9005,
        "human-task": 9007,
        "ai-agent": 9008,
        "notification": 9009,
        "websocket-gateway": 9010,
        "process-analytics": 9011,
        "external-integration": 9012,
        "sdx": 9013,
        "flowmaster-frontend": 3000,
        "flowmaster-engage": 3001,
        "flowmaster-manager": 3002,
        "nginx": 80,
    }


def test_it_has_the_environments_of_the_requirements() -> None:
    catalog = load_catalog(None)
    dev, staging, production = catalog.environments.values()
    assert [e.name for e in (dev, staging, production)] == ["dev", "staging", "production"]
    assert (dev.ref.branch, staging.ref.branch) == ("develop", "staging")
    assert production.ref.kind is RefKind.VERSION
    assert [e.rollout_timeout.seconds for e in (dev, staging, production)] == [300, 300, 600]
    assert (dev.automatic, staging.automatic, production.automatic) == (True, True, False)
    assert (production.approvals.count, production.approvals.group) == (
        2,
        "flow-master/senior-engineers",
    )
    critical = catalog.service("api-gateway")
    assert critical.criticality is Criticality.CRITICAL
    assert production.soak.required(critical) == timedelta(hours=48)
    assert production.soak.required(catalog.service("scheduling")) == timedelta(hours=24)


def test_its_images_stand_under_their_projects() -> None:
    catalog = load_catalog(None)
    assert catalog.service("api-gateway").image == "flow-master/flowmaster-platform/api-gateway"
    assert len(catalog.repositories) == 7


def test_its_services_roll_out_in_a_handful_of_waves() -> None:
    catalog = load_catalog(None)
    found = waves(catalog.services.values())
    assert 2 <= len(found) <= 8
    assert "database-migrations" in found[0], "schemas first"
    assert "auth-service" in found[1]
    assert found[-1] == ("nginx",)


def test_the_sandboxs_overlay_shortens_and_changes_nothing_else() -> None:
    plain, short = load_catalog(None), load_catalog(None, shipped("sandbox.yaml"))
    assert short.services == plain.services
    assert short.environments["production"].soak.standard < timedelta(minutes=1)
    assert short.environments["production"].gates == plain.environments["production"].gates
    for environment in short.environments.values():
        assert environment.health.heartbeat >= 2 * environment.health.look_every
        assert environment.rollout_timeout <= timedelta(seconds=60)


@pytest.mark.parametrize("overlay", [False, True])
def test_the_shipped_schema_is_current(overlay: bool) -> None:
    name = "overlay.schema.json" if overlay else "catalog.schema.json"
    written = shipped(name).read_text()
    assert written == json.dumps(json_schema(overlay=overlay), indent=2) + "\n", (
        f"the types changed: write json_schema(overlay={overlay}) to {name} again"
    )


@pytest.mark.parametrize("name", ["flowmaster", "sandbox"])
def test_editors_find_the_schema(name: str) -> None:
    first = shipped(f"{name}.yaml").read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert shipped(schema).is_file()


# Reading


def test_a_file_becomes_a_catalog_with_upstream_environments_first(file: Path) -> None:
    text = SOUND.replace("  dev: {namespace: dev, ref: {branch: develop}, automatic: true}\n", "")
    late = "  dev: {namespace: dev, ref: {branch: develop}, automatic: true}\nservices:"
    file.write_text(text.replace("services:", late, 1))
    catalog = load_catalog(file)
    assert list(catalog.environments) == ["dev", "production"]
    assert catalog.service("gateway").depends_on == ("auth",)
    assert catalog.source == str(file)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("24h", timedelta(hours=24)),
        ("300s", timedelta(seconds=300)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("14d", timedelta(days=14)),
    ],
)
def test_durations_carry_their_unit(file: Path, text: str, span: timedelta) -> None:
    file.write_text(SOUND.replace("24h", text))
    assert load_catalog(file).environments["production"].soak.standard == span


def test_the_schemas_own_defaults_are_of_the_form_that_it_asks_for() -> None:
    schema = json.dumps(json_schema())
    assert '"PT' not in schema
    assert '"default": "10m"' in schema


@given(st.timedeltas(timedelta(0), timedelta(days=366)))
@settings(max_examples=50, deadline=None)
def test_a_duration_is_read_as_it_is_spelled(span: timedelta) -> None:
    whole = timedelta(seconds=int(span.total_seconds()))
    assert duration(spelled(whole)) == whole


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1.5h", "1 h", "1w", "9999999999d", "367d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        duration(text)


def test_a_freeze_by_dates_is_read_as_dates(file: Path) -> None:
    freeze = "[{name: x, first_day: 2026-12-21, until: 2027-01-03, zone: Europe/Berlin}]"
    file.write_text(SOUND.replace("24h}", f"24h}}\n    freezes: {freeze}"))
    (window,) = load_catalog(file).environments["production"].freezes
    assert (window.first_day, window.until) == (date(2026, 12, 21), date(2027, 1, 3))


def test_aliases_may_share_what_several_services_have(file: Path) -> None:
    text = SOUND.replace("depends_on: [auth]", "shared_paths: &shared [lib, proto]")
    file.write_text(text + "    shared_paths: *shared\n")
    catalog = load_catalog(file)
    assert catalog.service("auth").shared_paths == ("lib", "proto")


def test_a_tenth_environment_is_a_change_of_the_file_only(file: Path) -> None:
    more = "".join(f"  eu{n}: {{namespace: eu{n}, ref: {{branch: b{n}}}}}\n" for n in range(8))
    file.write_text(SOUND.replace("services:\n  gateway", f"{more}services:\n  gateway"))
    assert len(load_catalog(file).environments) == 10


def test_a_thousand_services_are_read(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(catalog_yaml(1000))
    assert len(load_catalog(path).services) == 1000


# Overlays


def test_an_overlay_wins_where_it_speaks_and_leaves_the_rest(file: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("environments: {production: {soak: {critical: 20s}}}\n")
    soak = load_catalog(file, over).environments["production"].soak
    assert (soak.standard, soak.critical) == (timedelta(hours=24), timedelta(seconds=20))


def test_of_several_overlays_the_last_wins(file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("forge_url: http://one\nregistry_url: http://one\n")
    two.write_text("forge_url: http://two/\n")
    catalog = load_catalog(file, [one, two])
    assert (catalog.forge_url, catalog.registry_url) == ("http://two", "http://one")


def test_an_overlays_list_replaces(file: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("environments: {production: {gates: [soak, hold]}}\n")
    gates = load_catalog(file, over).environments["production"].gates
    assert gates == (GateName.SOAK, GateName.HOLD)


def test_a_fault_of_an_overlay_is_reported_at_the_overlays_line(file: Path, tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("environments:\n  dev:\n    upstream: devv\n")
    with pytest.raises(CatalogFault) as caught:
        load_catalog(file, over)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{over}:3: environments.dev.upstream: there is no environment 'devv'")


# Faults


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "upstream: dev\n",
            "upsteam: dev\n",
            "10: environments.production.upsteam: no such field; did you mean 'upstream'?",
        ),
        (
            "standard: 24h",
            "standrd: 24h",
            "13: environments.production.soak.standrd: no such field; did you mean 'standard'?",
        ),
        (
            "[auth]",
            "[auht]",
            "18: services.gateway.depends_on.0: there is no service 'auht'; did you mean 'auth'?",
        ),
        (
            "gates: [soak, freeze]",
            "gates: [soak, freez]",
            "12: environments.production.gates.1: 'freez' is not known; did you mean 'freeze'?",
        ),
        (
            "platform\n    path: services/gateway",
            "platfrom\n    path: services/gateway",
            (
                "16: services.gateway.repository: there is no repository 'platfrom'; "
                "did you mean 'platform'?"
            ),
        ),
        (
            "standard: 24h",
            "standard: 24",
            (
                "13: environments.production.soak.standard: a duration is a number with its unit: "
                "24h, 300s, 10m, 1h30m, 14d (it is 24)"
            ),
        ),
        (
            "[auth]",
            "[gateway]",
            "18: services.gateway.depends_on: goes in a circle: gateway → gateway",
        ),
        (
            "path: services/auth",
            "path: services/auth\n    depends_on: [gateway]",
            "18: services.gateway.depends_on: goes in a circle: gateway → auth → gateway",
        ),
        (
            "automatic: true",
            "upstream: production",
            "7: environments.dev.upstream: goes in a circle: dev → production → dev",
        ),
        (
            "path: services/auth",
            "path: services/auth\n    path: again",
            "22: 'path' stands here a second time; first in 21",
        ),
        (
            "path: services/auth",
            "path: services/auth\n    image: group/platform/gateway",
            "22: services.auth.image: 'group/platform/gateway' is that of 'gateway' too",
        ),
        (
            "namespace: production",
            "namespace: dev",
            (
                "9: environments.production.namespace: 'dev on the current context' is that of "
                "'dev' too"
            ),
        ),
        (
            "  gateway:\n",
            "  Gate_Way:\n",
            (
                "15: services.Gate_Way: 'Gate_Way' is no name; up to 63 of a-z, 0-9 and '-', with "
                "a letter or digit at both ends"
            ),
        ),
        (
            "path: services/gateway",
            "path: ../gateway",
            (
                "17: services.gateway.path: a path stands below the repository's root, without "
                "'.', '..' and blanks (it is '../gateway')"
            ),
        ),
        (
            "ref: {tag: vX.Y.Z}",
            "ref: {}",
            "11: environments.production.ref: needs one of 'branch: NAME' and 'tag: vX.Y.Z'",
        ),
        (
            "gates: [soak, freeze]",
            "gates: [freeze]",
            "13: environments.production.soak: is never asked for: add 'soak' to the gates",
        ),
        (
            "gates: [soak, freeze]",
            "gates: [soak, approvals]",
            "12: environments.production.gates: 'approvals' is required, but approvals.count is 0",
        ),
        (
            "automatic: true",
            "gates: [upstream_healthy]",
            "7: environments.dev.gates: 'upstream_healthy' needs an upstream environment",
        ),
        (
            "upstream: dev\n",
            "upstream: dev\n    validation: [smell]\n",
            "11: environments.production.validation.0: 'smell' is not known; did you mean 'smoke'?",
        ),
        (
            "path: services/auth",
            "path: services/auth\n    applies: [configmaps]",
            (
                "22: services.auth.applies: is for kind 'manifests', and this is of kind "
                "'deployment'"
            ),
        ),
        (
            "path: services/auth",
            "path: services/auth\n    kind: manifests\n    applies: [configmaps, secrets]",
            (
                "23: services.auth.applies.1: 'secrets' would let the platform read secrets or "
                "give itself rights; leave it to people or another controller"
            ),
        ),
        (
            "path: services/auth",
            (
                "path: services/auth\n    kind: manifests\n"
                "    applies: [roles.rbac.authorization.k8s.io]"
            ),
            (
                "23: services.auth.applies.0: 'roles.rbac.authorization.k8s.io' would let "
                "the platform read secrets or give itself rights; leave it to people or another "
                "controller"
            ),
        ),
    ],
)
def test_a_fault_is_named_at_its_line(file: Path, old: str, new: str, fault: str) -> None:
    assert fault in faults_of(file, old, new)


@pytest.mark.parametrize(
    ("freeze", "fault"),
    [
        (
            'start: "61 * * * *", duration: 1h',
            "start: '61 * * * *' is no cron expression of five fields",
        ),
        (
            'start: "@daily", duration: 1h',
            "start: '@daily' is no cron expression of five fields",
        ),
        (
            'start: "0 18 * * fri", duration: 1h, zone: Europe/Berln',
            "zone: there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
        ),
        (
            'start: "0 18 * * fri", duration: 1h, zone: ../../etc/passwd',
            "zone: there is no time zone '../../etc/passwd'",
        ),
        ("first_day: 2026-12-21, until: 2026-12-20", "until: lies before first_day"),
    ],
)
def test_a_freeze_that_cannot_be_is_named(file: Path, freeze: str, fault: str) -> None:
    faults = faults_of(file, "24h}", f"24h}}\n    freezes: [{{name: x, {freeze}}}]")
    assert any(one.startswith(f"14: environments.production.freezes.0.{fault}") for one in faults)


@pytest.mark.parametrize("freeze", ["duration: 1h", "first_day: 2026-12-21", ""])
def test_half_a_freeze_is_named(file: Path, freeze: str) -> None:
    more = f", {freeze}" if freeze else ""
    (fault,) = faults_of(file, "24h}", f"24h}}\n    freezes: [{{name: x{more}}}]")
    assert "needs either 'start' and 'duration' or 'first_day' and 'until'" in fault


def test_every_fault_is_reported_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = SOUND.replace("24h", "24").replace("[auth]", "[auht]").replace("name:", "nmae:", 1)
    file.write_text(text + "    colour: red\n")
    with pytest.raises(CatalogFault) as caught:
        load_catalog(file)
    lines = [fault.removeprefix(f"{file}:").split(":")[0] for fault in caught.value.faults]
    assert lines == ["1", "1", "13", "18", "22"]
    assert "has 5 faults" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "other"),
    [
        ("path: services/gateway\n    depends_on: [auth]", "depends_on: [auht]", "'auht'"),
        ("namespace: production\n    upstream: dev", "namespace: P\n    upstream: devv", "'devv'"),
    ],
)
def test_one_fault_of_an_entry_hides_no_other(file: Path, old: str, new: str, other: str) -> None:
    faults = faults_of(file, old, new)
    assert len(faults) == 2
    assert [one for one in faults if other in one]


def test_a_password_in_an_address_is_refused_and_not_repeated(file: Path) -> None:
    (fault,) = faults_of(file, "http://127.0.0.1:1", "https://root:hunter2@gitlab.example")
    assert "forge_url" in fault
    assert "hunter2" not in fault


def test_an_entry_that_is_no_mapping_is_a_fault_among_others(file: Path) -> None:
    faults = faults_of(file, "[auth]", "[auth]\n  third: 5")
    assert [one for one in faults if one.startswith("19: services.third")]


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n", "services: {}\n"])
def test_a_file_without_a_catalog_is_a_catalog_fault(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(CatalogFault):
        load_catalog(file)


@pytest.mark.parametrize("text", ["a: [", "a: 'x", "\tb: 1", "a: !!python/object:os.system x"])
def test_what_is_no_yaml_is_a_catalog_fault_with_its_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(CatalogFault) as caught:
        load_catalog(file)
    assert f"{file}:" in caught.value.faults[0]


def test_bytes_that_are_no_text_are_a_catalog_fault(file: Path) -> None:
    file.write_bytes(b"name: \xff\xfe\x00")
    with pytest.raises(CatalogFault):
        load_catalog(file)


def test_aliases_that_never_end_are_refused(file: Path) -> None:
    file.write_text("a: &a\n  b: *a\n")
    with pytest.raises(CatalogFault, match="aliases make it endless"):
        load_catalog(file)


def test_aliases_that_grow_without_measure_are_refused(file: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file.write_text("\n".join(lines))
    with pytest.raises(CatalogFault, match="aliases make it endless"):
        load_catalog(file)


def test_a_file_that_is_not_there_is_a_catalog_fault(tmp_path: Path) -> None:
    with pytest.raises(CatalogFault, match="cannot be read"):
        load_catalog(tmp_path / "none.yaml")


def test_a_file_that_is_too_large_is_not_parsed(file: Path) -> None:
    file.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(CatalogFault, match="too much for a catalog"):
        load_catalog(file)


def test_retention_is_said_by_the_catalog_and_has_ages_of_its_own(file: Path) -> None:
    assert load_catalog(file).retention == RetentionRule()
    file.write_text(SOUND.replace("services:", "retention: {runs: 30d, jobs: 2h}\nservices:", 1))
    rule = load_catalog(file).retention
    assert (rule.runs, rule.jobs) == (timedelta(days=30), timedelta(hours=2))
    assert rule.heartbeats == RetentionRule().heartbeats


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("{heartbeats: 3d}", "is shorter than the 15d that the soak of 'dev' looks back"),
        ("{runs: soon}", "a duration is a number with its unit"),
        ("{audit: 1d}", "audit"),
        ("never", "retention"),
    ],
)
def test_what_retention_cannot_be_is_a_fault(file: Path, said: str, fault: str) -> None:
    file.write_text(SOUND.replace("services:", f"retention: {said}\nservices:", 1))
    with pytest.raises(CatalogFault, match=fault):
        load_catalog(file)
