"""Which role may change which ref: the table behind the refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.sandbox.gitlab import access
from flowmaster_delivery.sandbox.gitlab.access import RefChange, reaches, refusal
from flowmaster_delivery.sandbox.gitlab.ci import CiService
from flowmaster_delivery.sandbox.gitlab.pipelines import slug
from flowmaster_delivery.sandbox.gitlab.records import ProtectedRef
from flowmaster_delivery.sandbox.gitlab.repository import GitRepository
from flowmaster_delivery.sandbox.gitlab.state import Project

ZEROS, OLD, NEW = "0" * 40, "1" * 40, "2" * 40
MOVE, MAKE, DELETE = (OLD, NEW), (ZEROS, NEW), (OLD, ZEROS)


@pytest.fixture
def project() -> Project:
    project = Project(1, "app", "group/app", 1, GitRepository(Path("nowhere")), 1)
    project.protected_branches = {
        "main": ProtectedRef(1, "main", 0, 40),
        "release/*": ProtectedRef(2, "release/*", 40, 30),
    }
    project.protected_tags = {"v*": ProtectedRef(3, "v*", 40)}
    return project


@pytest.mark.parametrize(
    ("role", "ref", "change", "expected"),
    [
        (20, "refs/heads/feature", MAKE, access.NO_PUSH),
        (30, "refs/heads/feature", MAKE, None),
        (30, "refs/heads/feature", DELETE, None),
        (40, "refs/heads/main", MOVE, access.NO_PUSH_PROTECTED),
        (60, "refs/heads/main", MOVE, None),
        (60, "refs/heads/main", DELETE, access.NO_DELETE_DEFAULT),
        (30, "refs/heads/release/1", MOVE, access.NO_PUSH_PROTECTED),
        (40, "refs/heads/release/1", MOVE, None),
        (30, "refs/heads/release/1", DELETE, access.NO_DELETE_PROTECTED),
        (40, "refs/heads/release/1", DELETE, access.NO_DELETE_BY_GIT),
        (30, "refs/tags/nightly", MAKE, None),
        (30, "refs/tags/nightly", MOVE, access.NO_TAG_CHANGE),
        (40, "refs/tags/nightly", MOVE, None),
        (30, "refs/tags/v1", MAKE, access.NO_TAG_CREATE),
        (40, "refs/tags/v1", MAKE, None),
        (60, "refs/tags/v1", MOVE, access.NO_TAG_UPDATE),
        (40, "refs/tags/v1", DELETE, access.NO_TAG_DELETE_BY_GIT),
        (30, "refs/tags/v1", DELETE, access.NO_TAG_DELETE),
        (60, "refs/merge-requests/1/head", MOVE, access.NO_PUSH),
    ],
)
def test_each_role_may_what_gitlab_lets_it(
    project: Project, role: int, ref: str, change: tuple[str, str], expected: str | None
) -> None:
    assert refusal(project, role, RefChange(ref, *change)) == expected


def test_force_is_watched_on_protected_branches_that_move(project: Project) -> None:
    changes = [
        RefChange("refs/heads/main", *MOVE),
        RefChange("refs/heads/release/1", *MAKE),
        RefChange("refs/heads/feature", *MOVE),
        RefChange("refs/tags/v1", *MOVE),
    ]
    assert access.refs_without_force(project, changes) == ["refs/heads/main"]
    project.protected_branches["main"].allow_force_push = True
    assert access.refs_without_force(project, changes) == []


@given(st.integers(0, 59))
def test_level_zero_lets_nobody_but_administrators(role: int) -> None:
    assert not reaches(role, 0)
    assert reaches(60, 0)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (("services/api/main.py",), True),
        (("services/api",), True),
        (("services/api-gateway/main.py",), False),
        ((), False),
        (None, True),
    ],
)
def test_a_service_is_touched_by_whole_folders_only(
    changed: tuple[str, ...] | None, expected: bool
) -> None:
    assert CiService("api", "api", ("services/api/",)).touched_by(changed) is expected


@given(st.text(max_size=100))
def test_a_slug_is_fit_for_a_registry_tag(ref: str) -> None:
    made = slug(ref)
    assert len(made) <= 63
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not made.startswith("-")
