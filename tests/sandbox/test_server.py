"""The sandbox as a whole: seeded, reached by every protocol, told to fail, and ended."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.model.catalog import Catalog, Kind
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.hosting import bind
from flowmaster_delivery.sandbox.server import Options, in_thread

CATALOG = load_catalog(None)
PLATFORM = "flow-master/flowmaster-platform"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """One seeded sandbox for the tests that change nothing that others look at."""
    folder = tmp_path_factory.mktemp("sandbox")
    with in_thread(Options(folder / "data", CATALOG)) as addresses:
        yield addresses


@pytest.fixture
def catalog() -> Catalog:
    return CATALOG


def gitlab(sandbox: Addresses, path: str, user: str = "root") -> httpx.Response:
    headers = {"PRIVATE-TOKEN": sandbox.users[user]}
    return httpx.get(f"{sandbox.gitlab_url}/api/v4/{path}", headers=headers, timeout=10)


def cluster_client(sandbox: Addresses) -> httpx.Client:
    kubeconfig = YAML(typ="safe").load(Path(sandbox.kubeconfig).read_text())
    token = kubeconfig["users"][0]["user"]["token"]
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=sandbox.kubernetes_url, headers=headers, verify=context)


def cluster(sandbox: Addresses, path: str) -> httpx.Response:
    with cluster_client(sandbox) as client:
        return client.get(path)


def order(sandbox: Addresses, path: str, body: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {sandbox.control_token}"}
    answer = httpx.post(f"{sandbox.control_url}/sandbox/{path}", json=body, headers=headers)
    assert answer.is_success, answer.text


def until(condition: object, seconds: float = 10) -> None:
    """Wait for something that comes by itself."""
    assert callable(condition)
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.05)


def test_the_addresses_are_written_for_whoever_comes(sandbox: Addresses) -> None:
    written = json.loads((Path(sandbox.kubeconfig).parent / "sandbox.json").read_text())
    assert written == json.loads(json.dumps(sandbox.as_dict()))
    for name in ("gitlab_url", "gitlab_token", "registry_url", "prometheus_url", "kubeconfig"):
        assert written[name]
    assert written["git_remote"] == f"{sandbox.gitlab_url}/{PLATFORM}.git"
    assert written["webhook_url"].endswith("/webhooks/gitlab")


def test_every_repository_of_the_catalog_is_there_with_its_first_release(
    sandbox: Addresses, catalog: Catalog
) -> None:
    for repository in catalog.repositories.values():
        place = f"projects/{repository.project.replace('/', '%2F')}/repository"
        branches = gitlab(sandbox, f"{place}/branches").json()
        assert {b["name"] for b in branches} == {"develop", "staging", "main"}
        [tag] = gitlab(sandbox, f"{place}/tags").json()
        assert (tag["name"], tag["commit"]["id"]) == ("v1.0.0", branches[0]["commit"]["id"])


def test_the_seeded_pipelines_have_passed(sandbox: Addresses) -> None:
    place = f"projects/{PLATFORM.replace('/', '%2F')}"
    pipelines = gitlab(sandbox, f"{place}/pipelines").json()
    assert {p["ref"]: p["status"] for p in pipelines} == dict.fromkeys(
        ("develop", "staging", "main", "v1.0.0"), "success"
    )


def test_the_seniors_are_a_group_of_their_own(sandbox: Addresses) -> None:
    seniors = gitlab(sandbox, "groups/flow-master%2Fsenior-engineers/members").json()
    assert {m["username"] for m in seniors} == {"sam", "sofia", "sergio"}
    assert gitlab(sandbox, "user", "dana").json()["username"] == "dana"
    assert not gitlab(sandbox, "user", "dana").json().get("is_admin")


def test_every_project_tells_the_platform_of_its_news(sandbox: Addresses, catalog: Catalog) -> None:
    for repository in catalog.repositories.values():
        [hook] = gitlab(sandbox, f"projects/{repository.project.replace('/', '%2F')}/hooks").json()
        assert hook["url"] == sandbox.webhook_url
        assert hook["pipeline_events"]
        assert sandbox.webhook_secret not in json.dumps(hook)


def test_every_service_runs_its_first_release_by_digest_everywhere(
    sandbox: Addresses, catalog: Catalog
) -> None:
    wanted = {s.name for s in catalog.services.values() if s.kind is Kind.DEPLOYMENT}
    for environment in catalog.environments.values():
        path = f"/apis/apps/v1/namespaces/{environment.namespace}/deployments"
        found = cluster(sandbox, path).json()["items"]
        assert {d["metadata"]["name"] for d in found} == wanted
        images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in found]
        assert all("@sha256:" in image for image in images)
        replicas = {d["spec"]["replicas"] for d in found}
        assert replicas == ({2} if environment.name == "production" else {1})


def test_the_gateway_has_a_sidecar(sandbox: Addresses) -> None:
    path = "/apis/apps/v1/namespaces/flowmaster-dev/deployments/api-gateway"
    containers = cluster(sandbox, path).json()["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["api-gateway", "proxy"]


def test_every_service_answers_soon_after_the_start(sandbox: Addresses, catalog: Catalog) -> None:
    deployed = [s for s in catalog.services.values() if s.kind is Kind.DEPLOYMENT]

    def all_answer() -> bool:
        addresses = [
            f"{place.base_url}/{service.name}{service.health_path}"
            for place in sandbox.environments.values()
            for service in deployed
        ]
        with httpx.Client() as client:
            return all(client.get(a).status_code == 200 for a in addresses)

    until(all_answer)


def test_what_runs_is_what_the_registry_calls_the_first_release(sandbox: Addresses) -> None:
    host = sandbox.registry_url.partition("://")[2]
    with httpx.Client() as client:
        image = f"{PLATFORM}/auth-service"
        scope = {"service": "container_registry", "scope": f"repository:{image}:pull"}
        login = client.get(
            f"{sandbox.registry_url}/jwt/auth", params=scope, auth=("dana", sandbox.users["dana"])
        )
        answer = client.head(
            f"{sandbox.registry_url}/v2/{image}/manifests/v1.0.0",
            headers={"Authorization": f"Bearer {login.json()['token']}"},
        )
    digest = answer.headers["docker-content-digest"]
    path = "/apis/apps/v1/namespaces/flowmaster-production/deployments/auth-service"
    [container] = cluster(sandbox, path).json()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{host}/{image}@{digest}"


def test_the_registry_is_closed_to_strangers(sandbox: Addresses) -> None:
    path = f"{sandbox.registry_url}/v2/{PLATFORM}/auth-service/tags/list"
    assert httpx.get(path).status_code == 401
    wrong = httpx.get(f"{sandbox.registry_url}/jwt/auth", auth=("dana", "wrong"))
    assert wrong.status_code == 401


@pytest.mark.parametrize("name", ["gitlab_url", "kubernetes_url", "control_url"])
def test_strangers_are_turned_away(sandbox: Addresses, name: str) -> None:
    paths = {"gitlab_url": "/api/v4/user", "kubernetes_url": "/api", "control_url": "/"}
    answer = httpx.get(getattr(sandbox, name) + paths[name], verify=False)  # noqa: S501
    assert answer.status_code == 401


def git(sandbox: Addresses, folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    helper = f"credential.helper=store --file '{sandbox.git_credentials}'"
    identity = ["-c", "user.name=Root", "-c", "user.email=root@flow-master.example"]
    command = ["git", "-C", str(folder), "-c", helper, *identity, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def images_of(sandbox: Addresses, service: str, commit: str) -> bool:
    """Whether the registry has an image of the service that was built at the commit."""
    image = f"{PLATFORM}/{service}"
    scope = {"scope": f"repository:{image}:pull"}
    login = httpx.get(
        f"{sandbox.registry_url}/jwt/auth", params=scope, auth=("root", sandbox.gitlab_token)
    )
    answer = httpx.get(
        f"{sandbox.registry_url}/v2/{image}/tags/list",
        headers={"Authorization": f"Bearer {login.json()['token']}"},
    )
    return commit[:8] in answer.json()["tags"]


def test_a_push_builds_the_image_of_what_it_changed_and_of_nothing_else(
    sandbox: Addresses, tmp_path: Path
) -> None:
    git(sandbox, tmp_path, "clone", "-q", "--branch", "develop", sandbox.git_remote, ".")
    (tmp_path / "services" / "ai-agent" / "src" / "main.py").write_text("print('new')\n")
    git(sandbox, tmp_path, "commit", "-q", "-a", "-m", "feat(ai-agent): new")
    git(sandbox, tmp_path, "push", "-q", "origin", "develop")
    head = git(sandbox, tmp_path, "rev-parse", "HEAD")
    place = f"projects/{PLATFORM.replace('/', '%2F')}/pipelines?sha={head}"
    until(lambda: [p["status"] for p in gitlab(sandbox, place).json()] == ["success"])
    assert images_of(sandbox, "ai-agent", head)
    assert not images_of(sandbox, "api-gateway", head)


def test_kubectl_sees_the_deployments(sandbox: Addresses) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on this machine")
    command = [kubectl, "--kubeconfig", sandbox.kubeconfig, "get", "deploy", "-A", "-o", "name"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert out.count("deployment.apps/api-gateway") == 3


def test_prometheus_counts_what_the_services_answer(sandbox: Addresses) -> None:
    query = 'sum(up{namespace="flowmaster-dev",service="auth-service"})'

    def is_up() -> bool:
        answer = httpx.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": query})
        return [r["value"][1] for r in answer.json()["data"]["result"]] == ["1"]

    until(is_up)


def test_a_broken_service_is_unavailable_until_it_is_mended(sandbox: Addresses) -> None:
    address = f"{sandbox.environments['staging'].base_url}/scheduling/health"
    until(lambda: httpx.get(address).status_code == 200)
    order(sandbox, "break/scheduling", {})
    until(lambda: httpx.get(address).status_code == 503)
    order(sandbox, "mend/scheduling", {})
    until(lambda: httpx.get(address).status_code == 200)


def test_what_runs_in_one_environment_is_broken_and_well_in_the_others(sandbox: Addresses) -> None:
    broken, well = (
        f"{sandbox.environments[name].base_url}/scheduling/health" for name in ("staging", "dev")
    )
    until(lambda: httpx.get(broken).status_code == 200 == httpx.get(well).status_code)
    order(sandbox, "break/scheduling/staging", {"crash": True})
    until(lambda: httpx.get(broken).status_code == 503)
    assert httpx.get(well).status_code == 200
    order(sandbox, "mend/scheduling", {})
    until(lambda: httpx.get(broken).status_code == 200)


def test_a_service_that_is_down_hangs_up_on_real_clients(sandbox: Addresses) -> None:
    address = f"{sandbox.environments['staging'].base_url}/notification/health"
    until(lambda: httpx.get(address).status_code == 200)
    order(sandbox, "services", {"workload": "notification", "down": True})
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(address)
    order(sandbox, "mend/notification", {})
    assert httpx.get(address).status_code == 200


def test_a_server_fails_as_ordered_and_only_as_often(sandbox: Addresses) -> None:
    order(
        sandbox, "faults", {"server": "gitlab", "match": "/api/v4/user", "status": 503, "times": 1}
    )
    order(
        sandbox, "faults", {"server": "gitlab", "match": "/api/v4/user", "drop": True, "times": 1}
    )
    with pytest.raises(httpx.RemoteProtocolError):
        gitlab(sandbox, "user")
    assert [gitlab(sandbox, "user").status_code for _ in range(2)] == [503, 200]


def test_an_empty_sandbox_has_only_its_administrator(tmp_path: Path) -> None:
    with in_thread(Options(tmp_path / "data", tier="premium")) as empty:
        assert gitlab(empty, "projects").json() == []
        assert [u["username"] for u in gitlab(empty, "users").json()] == ["root"]
        assert gitlab(empty, "user").json()["is_admin"] is True
        assert list(empty.users) == ["root"]
        assert empty.git_remote == f"{empty.gitlab_url}/"


def test_a_sandbox_can_be_started_again_in_its_folder_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    tokens = []
    for _ in range(2):
        with in_thread(Options(tmp_path / "data")) as empty:
            tokens.append(empty.gitlab_token)
        with pytest.raises(httpx.ConnectError):
            httpx.get(empty.gitlab_url)
    assert tokens[0] != tokens[1]
    assert not (tmp_path / "data" / "sandbox.json").exists()


def test_open_connections_do_not_hold_up_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with httpx.Client() as client:
        with in_thread(Options(tmp_path / "data")) as empty:
            assert client.get(f"{empty.prometheus_url}/-/ready").status_code == 200
            watched = cluster_client(empty)
            watch = watched.stream("GET", "/api/v1/pods?watch=true", timeout=30)
            assert watch.__enter__().status_code == 200
            began = time.monotonic()
        assert time.monotonic() - began < 5
        watched.close()
    assert not caplog.records


def test_a_port_that_is_taken_ends_the_start_with_words(tmp_path: Path) -> None:
    taken = bind()
    taken.listen()
    port = int(taken.getsockname()[1])
    with (
        taken,
        pytest.raises(OSError, match=str(port)),
        in_thread(Options(tmp_path / "data", ports={"gitlab": port})),
    ):
        pass


def test_it_can_listen_on_another_address_of_this_machine(tmp_path: Path) -> None:
    with in_thread(Options(tmp_path / "data", host="127.0.0.2")) as told:
        assert told.gitlab_url.startswith("http://127.0.0.2:")
        headers = {"PRIVATE-TOKEN": told.gitlab_token}
        assert httpx.get(f"{told.gitlab_url}/api/v4/user", headers=headers).status_code == 200
        assert cluster(told, "/version").status_code == 200
        elsewhere = told.gitlab_url.replace("127.0.0.2", "127.0.0.1")
        with pytest.raises(httpx.ConnectError):
            httpx.get(elsewhere)


def test_an_address_of_another_machine_ends_the_start_with_words(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"on 192\.0\.2\.1"),
        in_thread(Options(tmp_path / "data", host="192.0.2.1")),
    ):
        pass


def test_two_sandboxes_run_side_by_side(tmp_path: Path) -> None:
    with in_thread(Options(tmp_path / "a")) as one, in_thread(Options(tmp_path / "b")) as other:
        assert one.gitlab_url != other.gitlab_url
        headers = {"PRIVATE-TOKEN": one.gitlab_token}
        assert httpx.get(f"{other.gitlab_url}/api/v4/user", headers=headers).status_code == 401


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminate"])
def test_the_command_runs_until_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    script = "from flowmaster_delivery.cli.sandbox import sandbox; sandbox()"
    command = [sys.executable, "-c", script, "--empty", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        file = tmp_path / "data" / "sandbox.json"
        until(lambda: file.exists() or process.poll() is not None, 20)
        assert process.poll() is None
        url = json.loads(file.read_text())["gitlab_url"]
        process.send_signal(number)
        out, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, b"")
    assert url in out.decode()
    assert not file.exists()


def test_the_command_says_when_the_folder_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    script = "from flowmaster_delivery.cli.sandbox import sandbox; sandbox()"
    command = [sys.executable, "-c", script, "--empty", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "not the sandbox's" in done.stderr
    assert "Traceback" not in done.stderr
