"""What comes over the wire in place of git's own words: garbage, bombs, and paths that lead out."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.sandbox.gitlab.answers import ApiError
from flowmaster_delivery.sandbox.gitlab.smart_http import (
    LONGEST_BODY,
    GitRequest,
    commands,
    plain_body,
    token_in,
)
from tests.sandbox.gitlab.stage import Clone, Stage

OLD, NEW = "1" * 40, "2" * 40


def line(text: bytes) -> bytes:
    return b"%04x" % (len(text) + 4) + text


def test_the_commands_of_a_push_are_read_up_to_the_flush() -> None:
    body = (
        line(f"{OLD} {NEW} refs/heads/main\0 report-status".encode())
        + line(f"{OLD} {NEW} refs/tags/v1\n".encode())
        + b"0000PACK"
        + line(f"{OLD} {NEW} refs/heads/not-read".encode())
    )
    assert [(c.ref, c.old, c.new) for c in commands(body)] == [
        ("refs/heads/main", OLD, NEW),
        ("refs/tags/v1", OLD, NEW),
    ]


@pytest.mark.parametrize("body", [b"", b"0000", b"0004", b"00"])
def test_a_push_without_commands_changes_nothing(body: bytes) -> None:
    assert commands(body) == []


def test_a_push_that_is_no_packet_lines_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        commands(b"not packet lines at all")
    assert refused.value.status == 400


def request(**headers: str) -> GitRequest:
    return GitRequest("POST", "group/app", "git-upload-pack", "", headers)


def test_a_gzipped_body_is_unpacked() -> None:
    packed = gzip.compress(b"0000")
    assert plain_body(request(**{"content-encoding": "gzip"}), packed) == b"0000"
    assert plain_body(request(), b"0000") == b"0000"


def test_a_body_that_only_says_gzip_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        plain_body(request(**{"content-encoding": "gzip"}), b"plain")
    assert refused.value.status == 400


def test_a_gzip_bomb_is_refused() -> None:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    block = bytes(1024 * 1024)
    bomb = b"".join(packer.compress(block) for _ in range(LONGEST_BODY // len(block) + 1))
    with pytest.raises(ApiError) as refused:
        plain_body(request(**{"content-encoding": "gzip"}), bomb + packer.flush())
    assert refused.value.status == 413


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic ???", "Basic eA=="])
def test_a_login_that_is_none_has_no_token(header: str) -> None:
    assert token_in({"authorization": header}) == ""


@pytest.mark.parametrize(
    "tail", ["HEAD", "config", "objects/info/packs", "../2.git/info/refs", "info/refs?service=x"]
)
def test_only_gits_smart_paths_are_served(stage: Stage, tail: str) -> None:
    project = stage.project()
    address = f"{stage.url}/{project.full_path}.git/{tail}"
    answer = httpx.get(address, auth=("root", stage.tokens["root"]))
    assert answer.status_code == 404


def test_an_address_without_git_at_its_end_leads_there(stage: Stage, tmp_path: Path) -> None:
    project = stage.project()
    remote = stage.remote(project).removesuffix(".git")
    assert "refs/heads/main" in Clone(tmp_path).done("ls-remote", remote)


def test_garbage_for_a_push_changes_nothing(stage: Stage) -> None:
    project = stage.project()
    before = dict(project.repository.branches())
    answer = httpx.post(
        f"{stage.url}/{project.full_path}.git/git-receive-pack",
        auth=("dana", stage.tokens["dana"]),
        content=line(f"{OLD} {NEW} refs/heads/develop\0 report-status".encode()) + b"0000junk",
        headers={"Content-Type": "application/x-git-receive-pack-request"},
        timeout=10,
    )
    assert answer.status_code in (200, 400, 500)
    project.repository.forget_refs()
    assert project.repository.branches() == before
