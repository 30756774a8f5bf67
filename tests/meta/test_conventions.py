"""What a reader relies on and no linter knows."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import flowmaster_delivery
from flowmaster_delivery.settings import PREFIX, Secret, Settings

ROOT = Path(__file__).parents[2]
PACKAGE = Path(flowmaster_delivery.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 300
LONGEST_FUNCTION = 60


def test_the_package_has_modules_to_look_at() -> None:
    assert len(MODULES) > 50


def test_no_module_is_longer_than_300_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in MODULES
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_setting_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    derived = {"home", "sandbox"}
    missing = []
    for field in fields(Settings):
        name = {"server_url": "url"}.get(field.name, field.name).upper()
        name += "_FILE" if field.type in (Secret, "Secret") else ""
        if field.name not in derived and f"{PREFIX}{name}" not in readme:
            missing.append(f"{PREFIX}{name}")
    assert missing == []


LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
WHOLE = "requirements.lock"


def packages(lock: str) -> dict[str, set[str]]:
    """What a lock pins, `name==version`, each with its hashes."""
    pinned: dict[str, set[str]] = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if found := re.match(r"[a-z0-9][^ ]*==[^ ]+", line):
            hashes = pinned.setdefault(found[0], set())
        elif line.strip():
            hashes.add(line.strip(" \\"))
    return pinned


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_hashes_everything(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text(encoding="utf-8")
    assert packages(lock)
    assert [name for name, hashes in packages(lock).items() if not hashes] == []


@pytest.mark.parametrize("lock", ["requirements-build.lock", "requirements-image.lock"])
def test_a_smaller_lock_is_a_part_of_the_whole(lock: str) -> None:
    whole = packages(WHOLE)
    assert len(whole) > 100
    assert {n: h for n, h in packages(lock).items() if whole.get(n) != h} == {}


def test_the_image_gets_no_tool_of_the_project() -> None:
    names = {pin.split("==")[0] for pin in packages("requirements-image.lock")}
    assert (
        names & {"pytest", "mypy", "ruff", "hypothesis", "import-linter", "hatchling", "uv"}
        == set()
    )
    assert {"dagster", "dagster-postgres", "kubernetes"} <= names


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
