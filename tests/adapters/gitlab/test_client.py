"""How GitLab is asked: pages, patience, tokens, and what is made of its faults."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Throttled,
    Transient,
    Unreachable,
)
from flowmaster_delivery.model.source import Pipeline, PipelineState
from tests.adapters.gitlab.conftest import QUICK
from tests.fakes.far_end import FarEnd, Reply

PROJECT = "/api/v4/projects/flow-master%2Fplatform"
PIPELINES = f"{PROJECT}/pipelines"
JOBS = f"{PROJECT}/pipelines/7/jobs"
SHA = "a" * 40


def pipeline(number: int, status: str = "success") -> dict[str, object]:
    return {
        "id": number,
        "iid": number,
        "project_id": 1,
        "sha": SHA,
        "ref": "develop",
        "status": status,
        "source": "push",
        "web_url": f"https://gitlab/-/pipelines/{number}",
    }


def job(number: int) -> dict[str, object]:
    return {"id": number, "name": f"test:{number}", "stage": "test", "status": "success"}


def test_pipelines_are_read_in_one_request_by_our_token(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, counted: list[tuple[str, str]]
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(2, "running"), pipeline(1)]))
    newest, oldest = forge.pipelines(repository)
    assert newest == Pipeline(
        2, "develop", SHA, PipelineState.RUNNING, "https://gitlab/-/pipelines/2", source="push"
    )
    assert oldest.state is PipelineState.SUCCESS
    assert counted == [("GET", PIPELINES)]
    asked = far_end.asked[0]
    assert asked.headers["PRIVATE-TOKEN"] == "glpat-secret"
    assert asked.query == {"order_by": ["id"], "sort": ["desc"], "per_page": ["100"]}


def test_a_first_page_that_points_to_a_second_is_still_one_request(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    link = f'<{far_end.url}{PIPELINES}?page=2>; rel="next"'
    far_end.say(PIPELINES, Reply([pipeline(n) for n in range(100)], headers={"Link": link}))
    assert len(forge.pipelines(repository)) == 100
    assert len(far_end.asked) == 1


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("created", PipelineState.RUNNING),
        ("pending", PipelineState.RUNNING),
        ("waiting_for_resource", PipelineState.RUNNING),
        ("canceling", PipelineState.RUNNING),
        ("a word yet to come", PipelineState.RUNNING),
        ("failed", PipelineState.FAILED),
        ("canceled", PipelineState.CANCELED),
        ("skipped", PipelineState.SKIPPED),
        ("manual", PipelineState.MANUAL),
    ],
)
def test_a_state_that_is_no_end_is_running(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, word: str, state: PipelineState
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(1, word)]))
    assert forge.pipelines(repository)[0].state is state


def test_pages_are_followed_to_an_empty_last_one(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    more = {"Link": f'<{far_end.url}{JOBS}?page=2&per_page=100>; rel="next"'}
    endless = {"Link": f'<{far_end.url}{JOBS}?page=3&per_page=100>; rel="next"'}
    far_end.say(JOBS, Reply([job(n) for n in range(100)], headers=more), Reply([], headers=endless))
    assert len(forge.jobs(repository, 7)) == 100
    assert [asked.query.get("page") for asked in far_end.asked] == [None, ["2"]]


def test_jobs_come_in_the_order_in_which_they_were_made(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(JOBS, Reply([job(9), job(8)]))
    assert [found.name for found in forge.jobs(repository, 7)] == ["test:8", "test:9"]


def test_a_link_to_another_host_never_leads_there(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    stranger = FarEnd()
    link = {"Link": f'<{stranger.url}/steal?page=2>; rel="next"'}
    far_end.say(JOBS, Reply([job(1)], headers=link), Reply([job(2)]))
    assert len(forge.jobs(repository, 7)) == 2
    stranger.close()
    assert stranger.asked == []


def test_a_list_without_end_is_not_believed(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    link = {"Link": f'<{far_end.url}{JOBS}?page=2>; rel="next"'}
    far_end.say(JOBS, Reply([job(n) for n in range(1000)], headers=link))
    with pytest.raises(Malformed, match="10000"):
        forge.jobs(repository, 7)


def test_a_redirect_to_another_host_does_not_get_our_token(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    stranger = FarEnd()
    far_end.say(PIPELINES, Reply(status=302, headers={"Location": f"{stranger.url}/steal"}))
    with pytest.raises(Malformed, match="token does not belong"):
        forge.pipelines(repository)
    stranger.close()
    assert stranger.asked == []


def test_a_project_that_moved_is_read_where_it_is_now(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply(status=301, headers={"Location": "/api/v4/projects/7/pipelines"}))
    far_end.say("/api/v4/projects/7/pipelines", Reply([pipeline(1)]))
    assert len(forge.pipelines(repository)) == 1


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply({"message": "401 Unauthorized"}, 401), Denied, "FLOWMASTER_GITLAB_TOKEN_FILE"),
        (Reply({"error": "invalid_token"}, 401), Denied, "invalid_token"),
        (Reply({"message": "403 Forbidden"}, 403), Denied, "right"),
        (Reply({"message": "404 Project Not Found"}, 404), NotFound, "404 Project Not Found"),
        (Reply({"error": "page is invalid"}, 400), Permanent, "page is invalid"),
        (Reply({"message": {"a": ["is bad"]}}, 400), Permanent, "is bad"),
        (Reply(b"<html>a proxy's page</html>", 200), Malformed, "no JSON"),
        (Reply(b"[" * 200_000, 200), Malformed, "no JSON"),
        (Reply(b'[{"id": 1', 200, {"Content-Type": "application/json"}), Malformed, "no JSON"),
        (Reply({"id": 1}, 200), Malformed, "no list"),
        (Reply(None, 200), Malformed, "no list"),
        (Reply([{"id": "x"}], 200), Malformed, "id"),
        (Reply([None], 200), Malformed, "odd"),
    ],
)
def test_what_cannot_get_better_is_permanent_and_asked_once(
    far_end: FarEnd,
    forge: GitLabForge,
    repository: Repository,
    reply: Reply,
    error: type[DeliveryError],
    words: str,
) -> None:
    far_end.say(PIPELINES, reply)
    with pytest.raises(error, match=words) as caught:
        forge.pipelines(repository)
    assert not isinstance(caught.value, Transient)
    assert len(far_end.asked) == 1
    assert "glpat-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"Retry later", 429),
        Reply(b"Retry later", 429, {"Retry-After": "0"}),
        Reply({"message": "500 Internal Server Error"}, 500),
        Reply(b"<html>502</html>", 502),
        Reply(b"", 503),
        Reply(hang_up=True),
        Reply([], cut=20),
        Reply([], delay=0.6),
    ],
)
def test_what_may_get_better_is_asked_again(
    far_end: FarEnd, forge: GitLabForge, repository: Repository, reply: Reply
) -> None:
    far_end.say(PIPELINES, reply, Reply([pipeline(1)]))
    assert len(forge.pipelines(repository)) == 1
    assert len(far_end.asked) == 2


def test_a_server_that_stays_away_is_unreachable_after_three_times(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply(b"down", 503))
    with pytest.raises(Unreachable, match="503"):
        forge.pipelines(repository)
    assert len(far_end.asked) == 3


def test_a_server_that_is_down_is_unreachable(repository: Repository) -> None:
    gone = FarEnd()
    gone.close()
    forge = GitLabForge(gone.url, lambda: "t", timeout=0.2, patience=QUICK)
    with pytest.raises(Unreachable, match="no usable answer"):
        forge.pipelines(repository)
    forge.close()


def test_a_long_wait_that_gitlab_asks_for_is_passed_on(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply(b"Retry later", 429, {"Retry-After": "90"}))
    with pytest.raises(Throttled) as caught:
        forge.pipelines(repository)
    assert caught.value.retry_after == 90
    assert len(far_end.asked) == 1


def test_an_answer_that_is_too_long_is_not_read(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply(b"[" + b" " * (33 * 1024 * 1024) + b"]"))
    with pytest.raises(Malformed, match="more than"):
        forge.pipelines(repository)


def test_an_answer_that_dribbles_is_not_awaited_for_ever(
    far_end: FarEnd, repository: Repository
) -> None:
    impatient = GitLabForge(far_end.url, lambda: "t", timeout=0.15, patience=QUICK)
    far_end.say(PIPELINES, Reply(b"[" + b" " * 30, dribble=0.1))
    with pytest.raises(Unreachable):
        impatient.pipelines(repository)
    impatient.close()


def test_a_renewed_token_counts_at_the_next_call(
    far_end: FarEnd, repository: Repository, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    forge = GitLabForge(far_end.url, token.read_text, timeout=0.4, patience=QUICK)
    far_end.say(PIPELINES, Reply([]))
    forge.pipelines(repository)
    token.write_text("new")
    forge.pipelines(repository)
    forge.close()
    assert [asked.headers["PRIVATE-TOKEN"] for asked in far_end.asked] == ["old", "new"]


def test_a_token_that_can_be_none_is_not_sent(far_end: FarEnd, repository: Repository) -> None:
    forge = GitLabForge(far_end.url, lambda: "two\nlines", patience=QUICK)
    with pytest.raises(Denied) as caught:
        forge.pipelines(repository)
    forge.close()
    assert far_end.asked == []
    assert "two" not in str(caught.value)


def test_many_threads_share_one_forge(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    far_end.say(PIPELINES, Reply([pipeline(1)], delay=0.01))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: forge.pipelines(repository), range(40)))
    assert [len(page) for page in found] == [1] * 40


def test_the_path_of_a_project_is_one_segment_whatever_it_contains(
    far_end: FarEnd, forge: GitLabForge
) -> None:
    far_end.say("/api/v4/projects/a%2F..%2Fb%3Fc/pipelines", Reply([]))
    assert forge.pipelines(Repository("odd", "a/../b?c")) == ()


def test_pages_for_people_are_named_without_asking(
    far_end: FarEnd, forge: GitLabForge, repository: Repository
) -> None:
    home = f"{far_end.url}/flow-master/platform"
    assert forge.url(repository) == home
    assert forge.url(repository, commit=SHA) == f"{home}/-/commit/{SHA}"
    assert forge.url(repository, tag="v1.0.0+a/b") == f"{home}/-/tags/v1.0.0%2Ba%2Fb"
    assert far_end.asked == []
