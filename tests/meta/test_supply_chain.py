"""Nothing that is not pinned comes into what we ship."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_base_of_the_image_is_pinned_by_digest() -> None:
    assert re.findall(
        r"^ARG BASE=\S+:3\.\d+\.\d+-\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE
    )
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


def test_everything_that_the_image_installs_has_a_hash_or_is_the_project_itself() -> None:
    commands = re.sub(r"\\\n\s*", "", DOCKERFILE)
    installs = re.findall(r"bin/pip [^&\n]*", commands)
    assert len(installs) == 4
    assert [
        line for line in installs if not {"--require-hashes", "--no-index"} & set(line.split())
    ] == []


def test_what_bandit_is_told_to_pass_over_says_what_and_why() -> None:
    marks = [
        (path.name, line.partition("# nosec")[2])
        for folder in ("flowmaster_delivery", "supply_chain")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "# nosec" in line
    ]
    assert len(marks) > 5
    assert [m for m in marks if not re.fullmatch(r"( B\d{3})+  # \w.{7,}", m[1])] == []


def test_the_build_sees_nothing_that_it_does_not_name() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source.replace("[s]", "s") for line in copied for source in line.split()}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources | {"Dockerfile"}
