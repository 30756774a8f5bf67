"""The UI behind its login, for real: the sandbox's GitLab, oauth2-proxy, and our webserver.

Every process listens on loopback and ends with the block that started it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread
from flowmaster_delivery.settings import environ_of_child
from tests.builders import catalog_yaml
from tests.stories.node import free_port

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "scripts" / "oauth2-proxy" / "build"
SWITCH = "FLOWMASTER_TEST_OAUTH2_PROXY"
OPERATORS = "operators"
HEADER = "X-Forwarded-Preferred-Username"
START = 240.0
"""Seconds that a process may take until it answers, on a machine that does other things too."""
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
  status tags { key value }
  eventConnection { events { ... on MessageEvent { message } } } } } }"""


def oauth2_proxy() -> Path:
    """The real oauth2-proxy: where the environment says, or where its script has built it."""
    named = os.environ.get(SWITCH)
    where = subprocess.run(["sh", str(BUILD), "--where"], capture_output=True, text=True)
    found = Path(named or where.stdout.strip())
    if found.is_file():
        return found
    missing = f"no oauth2-proxy at {found}; scripts/oauth2-proxy/build makes it"
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    raise (pytest.fail if required else pytest.skip).Exception(missing)


@dataclass
class Browser:
    """Somebody at the UI: keeps cookies, follows redirects, signs in with GitLab."""

    url: str
    forge: str
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(follow_redirects=True, timeout=60, trust_env=False)
    )

    def sign_in(self, name: str, path: str = "/") -> httpx.Response:
        """Open a page, be sent to GitLab, choose who to be there; the page that comes then."""
        asked = self.client.get(f"{self.url}{path}")
        assert str(asked.url).startswith(f"{self.forge}/oauth/authorize"), asked.url
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text)
        form = {key: unescape(value) for key, value in hidden} | {"username": name}
        return self.client.post(f"{self.forge}/oauth/authorize", data=form)

    def graphql(
        self, query: str, headers: Mapping[str, str] | None = None, **variables: object
    ) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return self.client.post(
            f"{self.url}/graphql", json=body, headers=dict(headers or {}), follow_redirects=False
        )

    def ask(self, query: str, headers: Mapping[str, str] | None = None, **variables: object) -> Any:
        answer = self.graphql(query, headers, **variables)
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        return next(iter(answer.json()["data"].values()))

    def launch(self, environment: str, headers: Mapping[str, str] | None = None) -> Any:
        """Ask for a promotion's prognosis, as the UI's Materialize button does."""
        assets = [{"path": ["service-0", chapter]} for chapter in ("image", "promotion")]
        params = {
            "selector": {
                "repositoryLocationName": "flowmaster",
                "repositoryName": "__repository__",
                "pipelineName": "__ASSET_JOB",
                "assetSelection": assets,
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": environment}]},
        }
        return self.ask(LAUNCH, headers, p=params)

    def launched(self, environment: str, headers: Mapping[str, str] | None = None) -> Submitted:
        """The run that came of it, accepted or refused."""
        answer = self.launch(environment, headers)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run = self.ask(RUN, id=answer["run"]["runId"])
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        words = " ".join(e.get("message") or "" for e in run["eventConnection"]["events"])
        return Submitted(answer["run"]["runId"], run["status"], tags, words)

    @property
    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)


@dataclass(frozen=True)
class Submitted:
    id: str
    status: str
    tags: Mapping[str, str]
    words: str

    @property
    def asked_by(self) -> str:
        return self.tags["flowmaster/asked-by"]


@dataclass
class House:
    """GitLab and the webserver, and as many proxies before it as are asked for."""

    folder: Path
    sandbox: Addresses
    webserver: str
    binary: Path
    secrets: list[str] = field(default_factory=list)
    _browsers: list[Browser] = field(default_factory=list)

    def browser(self, url: str) -> Browser:
        made = Browser(url, self.sandbox.gitlab_url)
        self._browsers.append(made)
        return made

    def close(self) -> None:
        for browser in self._browsers:
            browser.client.close()

    def forge(self, method: str, path: str, **form: str) -> httpx.Response:
        """Ask GitLab's API as its administrator."""
        return httpx.request(
            method,
            f"{self.sandbox.gitlab_url}/api/v4{path}",
            headers={"PRIVATE-TOKEN": self.sandbox.gitlab_token},
            data=form,
            timeout=10,
            trust_env=False,
        )

    def fault(self, method: str, **order: object) -> None:
        headers = {"Authorization": f"Bearer {self.sandbox.control_token}"}
        url = f"{self.sandbox.control_url}/sandbox/faults"
        given = {"json": order} if method == "POST" else {"params": order}
        answer = httpx.request(
            method,
            url,
            headers=headers,
            timeout=10,
            trust_env=False,
            **given,  # type: ignore[arg-type]
        )
        assert answer.is_success, answer.text

    @contextmanager
    def proxy(self, *more: str, group: str = "group") -> Iterator[Login]:
        """oauth2-proxy for a group, with the flags of docs/identity.md and `more` after them."""
        port = free_port()
        url, folder = f"http://127.0.0.1:{port}", self.folder / f"proxy-{port}"
        folder.mkdir()
        application = self.forge(
            "POST",
            "/applications",
            name="FlowMaster Delivery",
            redirect_uri=f"{url}/oauth2/callback",
            scopes="openid email",
        ).json()
        given = {"client-secret": application["secret"], "cookie-secret": secrets.token_hex(16)}
        for name, secret in given.items():
            (folder / name).write_text(secret)
        self.secrets += given.values()
        command = [
            str(self.binary),
            *documented_flags(
                {
                    "0.0.0.0:4180": f"127.0.0.1:{port}",
                    "http://127.0.0.1:3000": self.webserver,
                    "https://GITLAB.EXAMPLE": self.sandbox.gitlab_url,
                    "https://DELIVERY.EXAMPLE": url,
                    "/etc/login": str(folder),
                    "GROUP": group,
                    "--cookie-secure=true": "--cookie-secure=false",
                }
            ),
            *more,
        ]
        variables = {"OAUTH2_PROXY_CLIENT_ID": application["application_id"]}
        log = folder / "log"
        with running(command, variables, f"{url}/ready", log, ROOT) as process:
            yield Login(url, process.pid, log)


@dataclass(frozen=True)
class Login:
    """One oauth2-proxy that runs."""

    url: str
    pid: int
    log: Path


def documented_flags(changes: Mapping[str, str]) -> list[str]:
    """The flags that docs/identity.md tells people to use, with these texts in place of others."""
    page = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
    block = page.partition("image: quay.io/oauth2-proxy")[2].partition("    env:")[0]
    flags = re.findall(r"^ +- (--.*?)(?: +#.*)?$", block, re.MULTILINE)
    assert len(flags) > 20, "docs/identity.md has no flags any more"
    for old, new in changes.items():
        assert any(old in flag for flag in flags), f"no flag of docs/identity.md has {old}"
        flags = [flag.replace(old, new) for flag in flags]
    return flags


@contextmanager
def house(folder: Path, binary: Path) -> Iterator[House]:
    """GitLab with the platform's people, of whom the seniors operate production; our webserver."""
    rules = (
        f"operators: {OPERATORS}, gates: [approvals], approvals: {{count: 1, group: {OPERATORS}}}"
    )
    text = catalog_yaml(1).replace("tag: vX.Y.Z}", f"tag: vX.Y.Z}}, {rules}")
    seed = folder / "seed.yaml"
    seed.write_text(text)
    with ExitStack() as stack:
        options = Options(data=folder / "sandbox", catalog=load_catalog(seed))
        sandbox = stack.enter_context(in_thread(options))
        home = _installation(folder, text, sandbox)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        own = [sys.executable, "-m", "flowmaster_delivery.cli"]
        command = [
            *own,
            "webserver",
            "--port",
            str(port),
            "--workspace",
            str(home / "workspace.yaml"),
        ]
        variables = json.loads((home / "environ.json").read_text())
        log = folder / "webserver.log"
        stack.enter_context(running(command, variables, f"{url}/server_info", log, home))
        built = House(folder, sandbox, url, binary)
        stack.callback(built.close)
        yield built


def _installation(folder: Path, catalog: str, sandbox: Addresses) -> Path:
    """A home with dagster.yaml, catalog and secrets as files; what its processes are told."""
    home = folder / "home"
    home.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        (home / name).write_text((ROOT / name).read_text())
    catalog = catalog.replace("http://127.0.0.1:1\n", f"{sandbox.gitlab_url}\n")
    files = {
        "catalog.yaml": catalog.replace("http://127.0.0.1:2\n", f"{sandbox.registry_url}\n"),
        "gitlab-token": sandbox.gitlab_token,
        "seal-key": secrets.token_hex(32),
    }
    for name, content in files.items():
        (home / name).write_text(content)
    variables = {
        "DAGSTER_HOME": str(home),
        "FLOWMASTER_CATALOG": str(home / "catalog.yaml"),
        "FLOWMASTER_GITLAB_TOKEN_FILE": str(home / "gitlab-token"),
        "FLOWMASTER_SEAL_KEY_FILE": str(home / "seal-key"),
        "FLOWMASTER_IDENTITY_HEADER": HEADER,
    }
    (home / "environ.json").write_text(json.dumps(variables))
    return home


@contextmanager
def running(
    command: Sequence[str], variables: Mapping[str, str], ready: str, log: Path, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, and those it starts, from when it answers until its end; its log if it fails."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            env=environ_of_child(variables),
            cwd=folder,
            start_new_session=True,
        )
        try:
            _await(process, ready, log)
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # A code server would wait a minute for calls that nobody makes any more.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(ready, trust_env=False, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{ready} does not answer:\n{log.read_text()[-3000:]}")
