"""What a story on a real node needs: images by digest, figures of the pods, and requests."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.ports import Cluster
from flowmaster_delivery.sandbox.hosting import bind, port_of

SWITCH = "FLOWMASTER_TEST_NODE"
PROGRAMS = ("docker", "docker-registry", "gcc", "prometheus")
SOURCE = Path(__file__).with_name("answering.c")
IMAGE = "group/api"
PORT = 8080
DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
SCRAPES = """
global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: pods
    file_sd_configs: [{{files: ["{targets}"], refresh_interval: 1s}}]
"""


def kubeconfig_of_node() -> Path:
    """The kubeconfig of a cluster with a node on this machine, whose containers are Docker's."""
    named = os.environ.get(SWITCH, "")
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if named and not absent:
        return Path(named)
    missing = f"no {', '.join(absent)} on this machine" if named else f"{SWITCH} names no cluster"
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    raise (pytest.fail if required else pytest.skip).Exception(missing)


@contextmanager
def running(command: Sequence[str], ready: str, log: Path) -> Iterator[None]:
    """A server on loopback from when it answers at the address until its end."""
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out) as process,
    ):
        try:
            await_until(lambda: _answers(ready), 20)
            yield
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with bind() as free:
        return port_of(free)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry; its host and port."""
    host = f"127.0.0.1:{free_port()}"
    config = folder / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        f"http: {{addr: '{host}'}}\n"
    )
    command = ["docker-registry", "serve", str(config)]
    with running(command, f"http://{host}/v2/", folder / "registry.log"):
        yield host


class Images:
    """Images of one static program, pushed to a registry; known by their digests."""

    def __init__(self, folder: Path, host: str) -> None:
        self._host = host
        self._layer = folder / "layer.tar"
        program = folder / "answering"
        command = ["gcc", "-static", "-O1", "-o", str(program), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        with tarfile.open(self._layer, "w") as layer:
            layer.add(program, "answering")

    def push(self, version: str, fails_every: int = 0) -> str:
        """The digest of an image that answers with the version; 1 fails in health too."""
        name = f"{self._host}/{IMAGE}:{version}"
        entry = json.dumps(["/answering", version, str(fails_every)])
        docker("import", "-c", f"ENTRYPOINT {entry}", str(self._layer), name)
        pushed = DIGEST.search(docker("push", name))
        docker("rmi", name)
        assert pushed, f"docker said no digest of {name}"
        return pushed.group(1)

    def forget(self, namespace: str) -> None:
        """Take what was pulled from the node, when the last container of the namespace has ended.

        The node may show its pods for another minute; nothing runs of them then.
        """
        running = ("ps", "--quiet", "--filter", f"name=k8s_api_.*_{namespace}_")
        await_until(lambda: not docker(*running).strip(), 45)
        pulled = docker("images", "--quiet", "--no-trunc", f"{self._host}/{IMAGE}").split()
        if pulled:
            docker("rmi", "--force", *set(pulled))


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def prometheus(folder: Path, namespace: str, cluster: Cluster) -> Iterator[str]:
    """Debian's Prometheus, told every second which pods there are; its address."""
    targets, config = folder / "targets.json", folder / "prometheus.yml"
    targets.write_text("[]")
    config.write_text(SCRAPES.format(targets=targets))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'figures'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
    ]

    def name_targets() -> None:
        found = [
            {
                "targets": [f"{pod.address}:{PORT}"],
                "labels": {"namespace": namespace, "pod": pod.name},
            }
            for pods in cluster.all_pods().values()
            for pod in pods
            if pod.address and pod.ready
        ]
        fresh = targets.with_suffix(".new")
        fresh.write_text(json.dumps(found))
        fresh.replace(targets)

    with (
        running(command, f"{url}/-/ready", folder / "prometheus.log"),
        repeated(name_targets, 1.0),
    ):
        yield url


class Visitors:
    """Requests to one address, each on a connection of its own, and what came back.

    A node that is slow may lead a few to a pod that has ended already: they get no answer.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._guard = threading.Lock()
        self._seen: Counter[tuple[int, str]] = Counter()

    def visit(self) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=5)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            answer = (response.status, response.read().decode())
        except OSError as error:
            answer = (0, type(error).__name__)
        finally:
            connection.close()
        with self._guard:
            self._seen[answer] += 1

    def forget(self) -> None:
        with self._guard:
            self._seen.clear()

    @property
    def seen(self) -> Counter[tuple[int, str]]:
        """Status (0: no answer) and version to how often."""
        with self._guard:
            return Counter(self._seen)


@contextmanager
def repeated(action: Callable[[], None], seconds: float) -> Iterator[None]:
    """In a thread, over and over; what it raises ends it and is raised at the end."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                action()
                stop.wait(seconds)
        except BaseException as error:  # noqa: BLE001  # raised below, in the thread of the test
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    for fault in faults:
        raise fault


def await_until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.1)
