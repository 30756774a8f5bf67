"""Refs by git's protocol v2, from answers as git gives them and as it must not."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.adapters.gitlab.git_refs import packets, parse_refs
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import DeliveryError, Denied, Malformed, NotFound, Unreachable
from tests.fakes.far_end import FarEnd, Reply

INFO = "/flow-master/platform.git/info/refs"
PACK = "/flow-master/platform.git/git-upload-pack"
A, B, C = "a" * 40, "b" * 40, "c" * 40


def line(text: str) -> bytes:
    content = text.encode() + b"\n"
    return b"%04x" % (len(content) + 4) + content


ADVERTISED = (
    line("# service=git-upload-pack")
    + b"0000"
    + line("version 2")
    + line("agent=git/2.39")
    + line("ls-refs=unborn")
    + line("fetch=shallow")
    + line("object-format=sha1")
    + b"0000"
)


@pytest.fixture
def git(far_end: FarEnd) -> FarEnd:
    far_end.say(INFO, Reply(ADVERTISED))
    return far_end


def says(git: FarEnd, *replies: Reply) -> None:
    git.say(PACK, *replies, method="POST")


def test_branches_and_tags_are_read_with_tags_peeled(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    lines = [
        f"{A} refs/heads/main",
        f"{B} refs/heads/feature/x",
        f"{C} refs/tags/v1.0.0 peeled:{A}",
        f"{B} refs/tags/light",
    ]
    says(git, Reply(b"".join(map(line, lines)) + b"0000"))
    refs = forge.refs(repository)
    assert refs.branches == {"main": A, "feature/x": B}
    assert refs.tags == {"v1.0.0": A, "light": B}


def test_it_takes_two_requests_that_ask_for_heads_and_tags_only(
    git: FarEnd, forge: GitLabForge, repository: Repository, counted: list[tuple[str, str]]
) -> None:
    says(git, Reply(b"0000"))
    forge.refs(repository)
    assert counted == [("GET", INFO), ("POST", PACK)]
    question = git.asked[1]
    assert list(packets(question.body)) == [
        b"command=ls-refs\n",
        b"agent=flowmaster-delivery\n",
        b"object-format=sha1\n",
        b"peel\n",
        b"ref-prefix refs/heads/\n",
        b"ref-prefix refs/tags/\n",
        None,
    ]
    assert question.headers["Git-Protocol"] == "version=2"
    user = base64.b64decode(question.headers["Authorization"].removeprefix("Basic ")).decode()
    assert user == "oauth2:glpat-secret"


def test_a_repository_without_refs_is_empty_and_no_error(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    says(git, Reply(b"0000"))
    assert forge.refs(repository).branches == {}


def test_five_thousand_tags_are_quick(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    many = b"".join(line(f"{n:040x} refs/tags/v1.0.{n} peeled:{A}") for n in range(5000))
    says(git, Reply(many + b"0000"))
    started = time.monotonic()
    assert len(forge.refs(repository).tags) == 5000
    assert time.monotonic() - started < 1


def test_a_repository_of_sha256_is_asked_in_its_own_format(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(
        INFO, Reply(ADVERTISED.replace(line("object-format=sha1"), line("object-format=sha256")))
    )
    says(far_end, Reply(line(f"{'d' * 64} refs/heads/main") + b"0000"))
    assert forge.refs(repository).branches == {"main": "d" * 64}
    assert b"object-format=sha256\n" in far_end.asked[1].body


def test_an_answer_without_its_end_is_no_shorter_list(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    says(git, Reply(line(f"{A} refs/heads/main")))
    with pytest.raises(Unreachable, match="broke off"):
        forge.refs(repository)


def test_an_answer_that_broke_off_once_is_asked_for_again(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    says(
        git,
        Reply(line(f"{A} refs/heads/main"), cut=50),
        Reply(line(f"{A} refs/heads/main") + b"0000"),
    )
    assert forge.refs(repository).branches == {"main": A}


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>please log in</html>",
        b"zzzz",
        b"0003",
        b"fff1" + b"x" * 70000,
        line("not a ref") + b"0000",
        line("ABCDEF refs/heads/main") + b"0000",
        line(f"{A}  ") + b"0000",
        line("ERR access denied or repository not exported") + b"0000",
    ],
)
def test_an_answer_of_another_form_is_malformed(answer: bytes) -> None:
    with pytest.raises(Malformed):
        parse_refs(answer)


@given(st.binary(max_size=200))
def test_whatever_comes_is_refs_or_an_error_of_ours(answer: bytes) -> None:
    try:
        parse_refs(answer)
    except DeliveryError:
        return
    assert b"0000" in answer


@pytest.mark.parametrize(
    "advertised",
    [
        b"<!DOCTYPE html><title>Sign in</title>",
        line("# service=git-upload-pack") + b"0000" + line(f"{A} HEAD\0multi_ack") + b"0000",
        line("# service=git-upload-pack") + b"0000" + line("version 2") + b"0000",
        b"",
    ],
)
def test_a_server_that_does_not_speak_v2_is_named(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, advertised: bytes
) -> None:
    far_end.say(INFO, Reply(advertised))
    with pytest.raises(Malformed):
        forge.refs(repository)


def test_an_expired_token_says_what_the_token_needs(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(INFO, Reply(b"HTTP Basic: Access denied", status=401))
    with pytest.raises(Denied, match="read_repository"):
        forge.refs(repository)


def test_a_project_that_is_not_there_is_not_found(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(INFO, Reply(b"The project you were looking for could not be found", status=404))
    with pytest.raises(NotFound, match="flow-master/platform"):
        forge.refs(repository)


def test_a_project_that_moved_is_not_followed(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(
        INFO, Reply(status=301, headers={"Location": f"{far_end.url}/new/home.git/info/refs?x"})
    )
    with pytest.raises(Malformed, match="new/home"):
        forge.refs(repository)
    assert far_end.paths() == [INFO]


def test_a_server_that_fails_for_a_moment_is_asked_again(
    git: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    says(git, Reply(status=502), Reply(hang_up=True), Reply(b"0000"))
    assert forge.refs(repository).tags == {}
