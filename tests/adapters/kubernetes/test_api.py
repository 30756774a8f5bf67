"""Calls to an API server that misbehaves, and the ways to it that are refused."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from kubernetes import client

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.cluster import KubernetesCluster
from flowmaster_delivery.adapters.kubernetes.gathering import Gathering
from flowmaster_delivery.adapters.kubernetes.limits import TokenBucket
from flowmaster_delivery.adapters.kubernetes.watching import NamespaceWatch
from flowmaster_delivery.model.catalog import Kind, Service
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Throttled,
    UnknownName,
    Unreachable,
)
from flowmaster_delivery.model.rollout import Pod
from tests.adapters.kubernetes.conftest import SECRET, kubeconfig
from tests.fakes.far_end import FarEnd, Reply

PATH = "/api/v1/namespaces/dev/pods"
API = Service("api", Kind.DEPLOYMENT, "r", "api", "group/api", port=8080)
DEPLOYMENT = "/apis/apps/v1/namespaces/dev/deployments/api"
POD = Pod("api-1", None, True, "h", None)
PROXY = f"{PATH}/api-1:8080/proxy/health"


def status(code: int, reason: str = "", message: str = "said so") -> Reply:
    return Reply({"kind": "Status", "reason": reason, "message": message, "code": code}, code)


def deployment(image: str, version: str = "5", annotations: dict[str, str] | None = None) -> Reply:
    container = {"name": "api", "image": image}
    meta = {"name": "api", "namespace": "dev", "uid": "u", "resourceVersion": version}
    spec = {"template": {"spec": {"containers": [container]}}}
    return Reply({"metadata": {**meta, "annotations": annotations or {}}, "spec": spec})


def test_every_call_carries_the_credentials(far: FarEnd, api: Api) -> None:
    far.say(PATH, Reply({"items": []}))
    api.get(PATH)
    assert far.asked[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("first", [status(503), status(429), status(500), Reply(hang_up=True)])
def test_a_read_is_repeated_while_the_server_is_in_trouble(
    far: FarEnd, api: Api, first: Reply
) -> None:
    far.say(PATH, first, Reply({"items": []}))
    assert api.get(PATH) == {"items": []}
    assert len(far.asked) == 2


def test_a_read_gives_up_at_its_budget(far: FarEnd, api: Api) -> None:
    far.say(PATH, status(503))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="503: said so"):
        api.get(PATH)
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize(
    ("code", "kind"), [(401, Denied), (403, Denied), (404, NotFound), (422, Permanent)]
)
def test_what_stays_wrong_is_not_asked_again(
    far: FarEnd, api: Api, code: int, kind: type[DeliveryError]
) -> None:
    far.say(PATH, status(code))
    with pytest.raises(kind, match="said so"):
        api.get(PATH)
    assert len(far.asked) == 1


def test_credentials_that_expired_are_read_anew_once_and_the_call_goes_through(
    far: FarEnd, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path, far.url)
    api = Api(connect(path, None), connect_again=lambda: connect(path, None))
    kubeconfig(tmp_path, far.url, {"token": "the-next-token"})
    far.say(PATH, status(401), Reply({"items": []}), method="PATCH")
    assert api.once("PATCH", PATH, body={}) == {"items": []}
    assert [asked.headers["authorization"] for asked in far.asked] == [
        f"Bearer {SECRET}",
        "Bearer the-next-token",
    ]
    api.close()


def test_credentials_that_stay_expired_are_not_read_at_every_call(
    far: FarEnd, tmp_path: Path
) -> None:
    path, read = kubeconfig(tmp_path, far.url), list[int]()

    def again() -> client.ApiClient:
        read.append(1)
        return connect(path, None)

    api = Api(connect(path, None), connect_again=again)
    far.say(PATH, status(401))
    for _ in range(3):
        with pytest.raises(Denied):
            api.get(PATH)
    assert (len(read), len(far.asked)) == (1, 4)
    api.close()


def test_a_kubeconfig_that_is_half_written_leaves_the_answer_as_it_was(
    far: FarEnd, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path, far.url)
    api = Api(connect(path, None), connect_again=lambda: connect(path, None))
    path.write_text("{")
    far.say(PATH, status(401))
    with pytest.raises(Denied, match="said so"):
        api.get(PATH)
    api.close()


def test_a_server_that_hangs_costs_its_time_once(far: FarEnd, api: Api) -> None:
    far.say(PATH, Reply({}, delay=2.0))
    started = time.monotonic()
    with pytest.raises(Unreachable):
        api.once("GET", PATH)
    assert time.monotonic() - started < 1.0
    assert len(far.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"[" * 200_000])
def test_an_answer_of_another_form_is_malformed(far: FarEnd, api: Api, body: bytes) -> None:
    far.say(PATH, Reply(body))
    with pytest.raises(Malformed):
        api.get(PATH)


def test_a_write_is_never_repeated_and_told_to_wait_says_how_long(far: FarEnd, api: Api) -> None:
    far.say(PATH, Reply(status(429).body, 429, {"Retry-After": "7"}), method="POST")
    with pytest.raises(Throttled) as told:
        api.once("POST", PATH, body={})
    assert told.value.retry_after == 7.0
    assert len(far.asked) == 1


def test_no_error_shows_the_token(far: FarEnd, api: Api) -> None:
    far.say(PATH, status(401))
    with pytest.raises(Denied) as denied:
        api.get(PATH)
    assert SECRET not in str(denied.value)


def set_image(cluster: KubernetesCluster) -> str:
    done = cluster.set_image(
        API, "new@sha256:1", resource_version="4", annotations={"flowmaster.ai/run": "r"}
    )
    return done.resource_version


@pytest.mark.parametrize(
    "body", [f'{{"message": "{"x" * 495}{SECRET}"}}', f"<p>{'x' * 170}Bearer {SECRET}</p>"]
)
def test_a_server_that_says_the_token_back_has_it_hidden(far: FarEnd, api: Api, body: str) -> None:
    far.say(PATH, Reply(body.encode(), 403))
    with pytest.raises(Denied) as caught:
        api.get(PATH)
    assert SECRET[:6] not in str(caught.value)


@pytest.mark.parametrize(
    "user",
    [
        {"client-certificate-data": f"{SECRET}!", "client-key-data": SECRET},
        {"tokenFile": "/nonexistent"},
        [SECRET],
        {"token": SECRET, "exec": None},
    ],
)
def test_a_kubeconfig_that_is_odd_is_refused_without_what_stands_in_it(
    tmp_path: Path, user: dict[str, object]
) -> None:
    with pytest.raises(Permanent, match=r"FLOWMASTER_KUBECONFIG|running a program") as caught:
        connect(kubeconfig(tmp_path, "https://127.0.0.1:1", user), None)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_kubeconfig_that_is_no_yaml_is_refused_without_the_lines_around(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(f"users:\n- user: {{token: {SECRET}, x: [}}\n")
    with pytest.raises(Permanent, match="line 2 is not YAML; check FLOWMASTER_") as caught:
        connect(path, None)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_patch_without_an_answer_that_was_carried_out_is_done(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(DEPLOYMENT, Reply({}, delay=1.0), method="PATCH")
    far.say(DEPLOYMENT, deployment("new@sha256:1", annotations={"flowmaster.ai/run": "r"}))
    assert set_image(cluster) == "5"
    assert [asked.method for asked in far.asked].count("PATCH") == 1


@pytest.mark.parametrize(
    "found", [deployment("old"), deployment("new@sha256:1", annotations={"flowmaster.ai/run": "x"})]
)
def test_a_patch_without_an_answer_that_was_not_carried_out_is_unreachable(
    far: FarEnd, cluster: KubernetesCluster, found: Reply
) -> None:
    far.say(DEPLOYMENT, Reply({}, delay=1.0), method="PATCH")
    far.say(DEPLOYMENT, found)
    with pytest.raises(Unreachable):
        set_image(cluster)


def test_a_patch_names_its_manager_version_and_form(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(DEPLOYMENT, deployment("new@sha256:1"), method="PATCH")
    set_image(cluster)
    [asked] = far.asked
    assert asked.query == {"fieldManager": ["flowmaster"]}
    assert asked.headers["Content-Type"] == "application/strategic-merge-patch+json"
    assert json.loads(asked.body)["metadata"]["resourceVersion"] == "4"


@pytest.mark.parametrize("code", [200, 301, 403, 500])
def test_what_a_pod_answers_is_the_result(
    far: FarEnd, cluster: KubernetesCluster, code: int
) -> None:
    far.say(PROXY, Reply(b"hello", code))
    assert cluster.pod_answers(API, POD, 0.5).status == code


def test_a_pod_that_is_slow_or_refuses_has_not_answered(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(PROXY, Reply(b"", delay=1.0), status(503, message="connection refused"))
    slow, refused = cluster.pod_answers(API, POD, 0.2), cluster.pod_answers(API, POD, 0.5)
    assert (slow.status, slow.error) == (None, "gave no answer within 0.2 s")
    assert refused.status is None
    assert "connection refused" in refused.error


def test_a_pod_that_we_may_not_ask_says_nothing_about_its_health(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(PROXY, status(403, "Forbidden", "may not get pods/proxy"))
    with pytest.raises(Denied, match="may not get pods/proxy"):
        cluster.pod_answers(API, POD, 0.5)


def line(kind: str, item: dict[str, object]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def test_a_watch_that_has_expired_lists_again_and_wakes_who_waits(far: FarEnd, api: Api) -> None:
    deployments = "/apis/apps/v1/namespaces/dev/deployments"
    expired = line("ERROR", {"code": 410, "message": "too old resource version"})
    item = {"metadata": {"name": "api", "resourceVersion": "9"}}
    far.say(
        deployments,
        Reply({"metadata": {"resourceVersion": "1"}, "items": []}),
        Reply(expired),
        Reply({"metadata": {"resourceVersion": "9"}, "items": [item]}),
        Reply(b"", delay=1.0),
    )
    watch = NamespaceWatch(api, "dev")
    started = time.monotonic()
    watch.wait("api", "8", 5.0)
    assert time.monotonic() - started < 4.0
    watch.close()


@pytest.mark.parametrize("user", [{"exec": {"command": "sh"}}, {"auth-provider": {"name": "gcp"}}])
def test_a_kubeconfig_that_runs_a_program_is_refused(
    tmp_path: Path, user: dict[str, object]
) -> None:
    with pytest.raises(Permanent, match="running a program"):
        connect(kubeconfig(tmp_path, "http://127.0.0.1:1", user), None)


def test_a_context_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'staging'"):
        connect(kubeconfig(tmp_path, "http://127.0.0.1:1"), "stagin")


def test_files_that_a_kubeconfig_names_lie_beside_it(far: FarEnd, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file")
    api = Api(connect(kubeconfig(tmp_path, far.url, {"tokenFile": "token"}), None))
    far.say(PATH, Reply({"items": []}))
    api.get(PATH)
    api.close()
    assert far.asked[0].headers["authorization"] == "Bearer from-a-file"


def test_no_proxy_of_the_environment_leads_to_loopback(
    far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    api = Api(connect(kubeconfig(tmp_path, far.url), None))
    far.say(PATH, Reply({"items": []}))
    assert api.get(PATH)["items"] == []
    api.close()
    assert connect(kubeconfig(tmp_path, "https://k8s.example"), None).configuration.proxy


@pytest.mark.parametrize("content", ["", "a: [", "- 1", None])
def test_a_kubeconfig_that_cannot_be_used_says_what_to_set(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Permanent, match="FLOWMASTER_KUBECONFIG"):
        connect(path, None)


def test_outside_of_a_pod_there_are_no_credentials_to_find() -> None:
    with pytest.raises(Permanent, match="set FLOWMASTER_KUBECONFIG"):
        connect(None, None)


def test_who_asks_during_a_read_gets_the_next_one_and_all_of_them_one() -> None:
    reads: list[frozenset[str]] = []
    first, go = threading.Event(), threading.Event()

    def read(names: frozenset[str]) -> dict[str, int]:
        reads.append(names)
        first.set()
        go.wait(5)
        return dict.fromkeys(names, len(reads))

    gathering: Gathering[int] = Gathering(read)
    got: dict[str, int | None] = {}
    threads = [
        threading.Thread(target=lambda n=name: got.update({n: gathering.get(n)}))
        for name in ("a", "b", "c", "d")
    ]
    threads[0].start()
    first.wait(5)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.1)
    go.set()
    for thread in threads:
        thread.join()
    assert reads == [frozenset("a"), frozenset("bcd")]
    assert got == {"a": 1, "b": 2, "c": 2, "d": 2}


def test_a_read_that_fails_fails_for_all_who_asked_and_for_nobody_after() -> None:
    answers: list[DeliveryError | dict[str, int]] = [Unreachable("gone"), {"a": 1}]

    def read(_: frozenset[str]) -> dict[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer

    gathering: Gathering[int] = Gathering(read)
    with pytest.raises(Unreachable):
        gathering.get("a")
    assert gathering.get("a") == 1


def test_a_burst_passes_and_then_calls_are_spread() -> None:
    now = [0.0]
    bucket = TokenBucket(per_second=10, at_once=3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    now[0] = 1.0
    assert bucket.take() == 0
