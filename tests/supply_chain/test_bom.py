"""The bill of materials has what the lock names, with its hashes, and is CycloneDX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supply_chain.bom import bill
from supply_chain.pins import Pin, pins

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-audit" / "bin" / "python"
DIGEST = "a" * 64
PIN = Pin("ruamel-yaml", "1.0", (DIGEST,))


def part(name: str, version: str) -> dict[str, Any]:
    ref = f"{name}=={version}"
    return {"bom-ref": ref, "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}


ENVIRONMENT: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "components": [part("ruamel.yaml", "1.0"), part("pytest", "9.0")],
    "dependencies": [
        {"ref": "root-component", "dependsOn": ["pytest==9.0", "ruamel.yaml==1.0"]},
        {"ref": "ruamel.yaml==1.0"},
        {"ref": "pytest==9.0", "dependsOn": ["ruamel.yaml==1.0"]},
    ],
}


def test_it_is_cut_to_what_the_lock_names() -> None:
    made = bill(ENVIRONMENT, [PIN])
    assert [component["name"] for component in made["components"]] == ["ruamel.yaml"]
    assert made["dependencies"] == [
        {"ref": "root-component", "dependsOn": ["ruamel.yaml==1.0"]},
        {"ref": "ruamel.yaml==1.0"},
    ]


def test_it_has_the_hashes_of_the_lock() -> None:
    (component,) = bill(ENVIRONMENT, [PIN])["components"]
    (files,) = component["externalReferences"]
    assert files["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]


@pytest.mark.parametrize("pin", [Pin("ruamel-yaml", "1.1"), Pin("missing", "1.0")], ids=str)
def test_an_environment_that_is_not_the_locks_is_refused(pin: Pin) -> None:
    with pytest.raises(ValueError, match=f"not the lock's: {pin}"):
        bill(ENVIRONMENT, [pin])


@pytest.fixture(scope="module")
def tools() -> Path:
    if TOOLS.exists():
        return TOOLS
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    outcome = pytest.fail if required else pytest.skip
    raise outcome.Exception("no environment of the audit's tools: make audit makes it")


@pytest.mark.timeout(240)
def test_the_real_one_is_valid_and_complete(tools: Path, tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    command = [str(tools), "-m", "supply_chain.sbom", sys.executable, str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=230)
    assert done.returncode == 0, done.stderr
    made = json.loads(target.read_text(encoding="utf-8"))
    wanted = {p.version for p in pins((ROOT / "requirements-image.lock").read_text("utf-8"))}
    assert {component["version"] for component in made["components"]} == wanted
    assert made["metadata"]["component"]["name"] == "flowmaster-delivery"
    graph = {entry["ref"]: entry.get("dependsOn", []) for entry in made["dependencies"]}
    assert any(ref.startswith("dagster==") for ref in graph["root-component"])
    licensed = [component for component in made["components"] if component.get("licenses")]
    assert len(licensed) > 0.9 * len(made["components"])


def test_what_is_no_cyclonedx_is_found_out(tools: Path) -> None:
    asked = 'from supply_chain.sbom import faults_of; print(faults_of("{}"))'
    done = subprocess.run([str(tools), "-c", asked], cwd=ROOT, capture_output=True, text=True)
    assert "required" in done.stdout, done.stderr
