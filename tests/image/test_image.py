"""What the Dockerfile promises, asked of the image that it makes."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath

import pytest
from packaging.markers import Marker

from tests.image.containers import (
    HOME,
    SCRATCH,
    Files,
    created,
    docker,
    image_under_test,
    inspected,
    run,
)

ROOT = Path(__file__).parents[2]
BINARIES = ("usr/bin/", "usr/local/bin/", "bin/", "sbin/", "usr/sbin/", "opt/venv/bin/")
BUILDS = {"gcc", "cc", "c++", "g++", "clang", "ld", "as", "make", "cmake", "rustc", "cargo"}
TOOLS = {"uv", "hatch", "hatchling", "pytest", "ruff", "mypy"}
PACKAGE = re.compile(r"opt/venv/lib/python3\.\d+/site-packages/flowmaster_delivery/")
UNCHECKED = bytes([1, 0, 0, 0])
"""Flags of bytecode that is believed as it stands (PEP 552)."""
INSTALLED = """
from importlib.metadata import distributions
import json, re
print(json.dumps({re.sub("[-_.]+", "-", d.name.lower()): d.version for d in distributions()}))
"""


@pytest.fixture(scope="module")
def image() -> str:
    return image_under_test()


@pytest.fixture(scope="module")
def files(image: str) -> Files:
    return Files.of(image)


def test_it_starts_as_a_numeric_user_that_is_not_root(image: str) -> None:
    assert inspected(image)["User"] == "10001:10001"
    assert run(image, "id", "-u").strip() == "10001"


def test_the_command_line_works_on_a_read_only_file_system_without_network(image: str) -> None:
    assert "flowmaster [OPTIONS] COMMAND" in run(image)
    assert re.search(r"\d+ services of .*; no faults", run(image, "flowmaster", "catalog", "check"))


def test_dagster_loads_the_definitions_on_a_read_only_file_system(image: str) -> None:
    command = ("dagster", "definitions", "validate", "-m", "flowmaster_delivery.definitions")
    assert "All code locations passed validation" in run(image, *command)


def test_nothing_is_written_outside_of_the_instance_and_the_scratch_folder(image: str) -> None:
    """Asked of a container that could write anywhere, and of which the user could."""
    with created(image, "flowmaster", "catalog", "check") as name:
        assert docker("start", "--attach", name).returncode == 0
        changed = [line[2:] for line in docker("diff", name).stdout.splitlines()]
    assert [path for path in changed if not path.startswith((HOME, SCRATCH))] == []


def test_there_is_no_compiler_and_no_tool_of_the_build(files: Files) -> None:
    programs = {PurePath(path).name for path in files.modes if path.startswith(BINARIES)}
    assert "python3" in {name[:7] for name in programs}
    assert programs & (BUILDS | TOOLS) == set()
    assert [path for path in files.modes if path.startswith("opt/venv/bin/pip")] == []


def test_no_program_gives_its_caller_another_users_rights(files: Files) -> None:
    assert [path for path, mode in files.modes.items() if mode & 0o6000] == []


def test_only_root_may_change_what_runs(files: Files) -> None:
    others = [p for p, mode in files.modes.items() if p.startswith("opt/") and mode & 0o022]
    assert others == []


def test_it_holds_what_the_lock_says_and_nothing_else(image: str) -> None:
    installed = json.loads(run(image, "python", "-c", INSTALLED))
    del installed["flowmaster-delivery"]
    assert installed == locked()


def locked() -> dict[str, str]:
    """What requirements-image.lock says for Linux."""
    where = {"sys_platform": "linux", "platform_machine": "x86_64"}
    lock = (ROOT / "requirements-image.lock").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\$", lock, flags=re.MULTILINE)
    return {n: v for n, v, marker in found if not marker or Marker(marker).evaluate(where)}


def test_bytecode_is_there_and_is_believed_without_a_look_at_file_times(
    image: str, files: Files
) -> None:
    assert "PYTHONDONTWRITEBYTECODE=1" in inspected(image)["Env"]
    sources = {path for path in files.texts if PACKAGE.match(path) and path.endswith(".py")}
    assert len(sources) > 300
    compiled = {
        path: text[4:8].encode("latin-1")
        for path, text in files.texts.items()
        if PACKAGE.match(path) and path.endswith(".pyc")
    }
    assert len(compiled) == len(sources)
    assert set(compiled.values()) == {UNCHECKED}


def test_the_labels_say_what_it_was_made_from(image: str) -> None:
    prefix = "org.opencontainers.image."
    labels = {k.removeprefix(prefix): v for k, v in inspected(image)["Labels"].items()}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert labels["title"] == "FlowMaster Delivery"
    assert f'version = "{labels["version"]}"' in project
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+", labels["created"])
    assert labels["base.name"]
    assert labels["licenses"] == "Apache-2.0"
    assert "source" in labels


def test_neither_the_repository_nor_the_surroundings_of_the_build_are_in_it(files: Files) -> None:
    parts = {part for path in files.modes if path.startswith("opt/") for part in path.split("/")}
    assert parts & {".git", ".surroundings", "pip.conf", "ca.crt", "Dockerfile", "helm"} == set()
    assert [path for path in files.modes if path.startswith(("build/", "root/.cache/"))] == []
    assert [path for path in files.modes if "site-packages/tests/" in path] == []


def test_no_secret_is_in_it(image: str, files: Files) -> None:
    assert files.saying(r"^-----BEGIN [A-Z ]*PRIVATE KEY-----$") == []
    names = [entry.split("=", 1)[0] for entry in inspected(image)["Env"]]
    assert [name for name in names if re.search("TOKEN|SECRET|PASSWORD|KEY", name)] == []


def test_no_address_of_a_package_index_is_in_it(image: str, files: Files) -> None:
    """A package's own documentation may tell where packages come from; no setting may."""
    setting = r"index[-_]url\s*[=:]\s*['\"]?https?://|^PIP_[A-Z_]*URL=|https?://[^\s/]*:[^\s/@]*@"
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert re.findall(setting, history + json.dumps(inspected(image)), re.MULTILINE) == []
    told = [path for path in files.saying(setting) if not path.endswith((".py", ".pyc", ".md"))]
    assert told == []
