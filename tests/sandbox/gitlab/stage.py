"""The GitLab of the sandbox on a free port, with people and projects, for real clients."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import gitlab
import httpx

from flowmaster_delivery.sandbox.gitlab import Ci, CiService, GitLabSandbox
from flowmaster_delivery.sandbox.gitlab.records import Hook
from flowmaster_delivery.sandbox.gitlab.state import Member, Project, Tier, User
from flowmaster_delivery.sandbox.gitlab.world import World, identity
from flowmaster_delivery.sandbox.hosting import Server, bind, port_of

GROUP = "flow-master"
HOOKED = ("push_events", "tag_push_events", "merge_requests_events", "pipeline_events")
FILES = {
    "services/api-gateway/main.py": b"one\n",
    "services/auth-service/main.py": b"one\n",
    "shared/proto/a.proto": b"one\n",
    "README.md": b"read me\n",
}
CI = Ci(
    (
        CiService("api-gateway", "api-gateway", ("services/api-gateway", "shared/proto")),
        CiService("auth-service", "auth-service", ("services/auth-service",)),
    ),
    job_seconds=0.02,
)
NUMBERS = count(1)


@dataclass
class PushedImages:
    """A registry that remembers what was pushed."""

    pushed: list[tuple[str, tuple[str, ...], dict[str, str], str]] = field(default_factory=list)

    def resolve(self, reference: str) -> str | None:
        return None

    def push(self, repository: str, *, tags: Sequence[str], labels: Mapping[str, str]) -> str:
        digest = f"sha256:{len(self.pushed):064d}"
        self.pushed.append((repository, tuple(tags), dict(labels), digest))
        return digest


@dataclass
class Stage:
    """One GitLab with root, dana and devi (developers), mia (maintainer), sam (senior), olaf."""

    sandbox: GitLabSandbox
    url: str
    images: PushedImages
    people: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    _clients: dict[str, gitlab.Gitlab] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.sandbox.world

    def fill(self) -> Stage:
        group = self.world.create_group(GROUP)
        for name, role in (
            ("root", 0),
            ("dana", 30),
            ("devi", 30),
            ("mia", 40),
            ("sam", 30),
            ("rea", 20),
            ("olaf", 0),
        ):
            user = self.world.create_user(
                name, f"{name.title()} Doe", f"{name}@example.org", admin=name == "root"
            )
            self.people[name] = user
            self.tokens[name] = self.world.state.new_token(user, "test")[1]
            if role:
                group.members[user.id] = Member(user.id, role)
        seniors = self.world.create_group(f"{GROUP}/seniors")
        seniors.members[self.people["sam"].id] = Member(self.people["sam"].id, 30)
        return self

    def project(self, *, ci: Ci = CI) -> Project:
        """A new project with FILES on main, staging and develop; nobody pushes to the first two."""
        group = self.world.state.group_at(GROUP)
        assert group is not None
        project = self.world.create_project(group, f"app-{next(NUMBERS)}", self.people["root"])
        project.ci = ci
        git = project.repository
        commit = git.write_commit("main", FILES, "first", identity(self.people["dana"]), None)
        for branch in ("staging", "develop"):
            git.update_ref(f"refs/heads/{branch}", commit)
        self.world.protect_branch(project, "staging", 0, 30)
        self.world.protect_branch(project, "develop", 30, 30)
        return project

    def hook(self, project: Project, url: str, token: str = "", signing_token: str = "") -> Hook:
        number = self.world.state.next_id("hook")
        hook = Hook(number, url, token, signing_token, dict.fromkeys(HOOKED, True))
        project.hooks[number] = hook
        return hook

    def close(self) -> None:
        for client in self._clients.values():
            client.session.close()

    def client(self, name: str = "root") -> gitlab.Gitlab:
        if name not in self._clients:
            token = self.tokens[name]
            self._clients[name] = gitlab.Gitlab(self.url, private_token=token, timeout=10)
        return self._clients[name]

    def ask(self, path: str, name: str = "root") -> Any:
        """What a GET of the API answers; one page of a list."""
        headers = {"PRIVATE-TOKEN": self.tokens[name]}
        answer = httpx.get(f"{self.url}/api/v4{path}", headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def seen(self, project: Project, name: str = "root") -> Any:
        """The project as python-gitlab shows it to that person."""
        return self.client(name).projects.get(project.id, lazy=True)

    def remote(self, project: Project, name: str | None = "dana") -> str:
        login = f"{name}:{self.tokens[name]}@" if name else ""
        return f"http://{login}{self.url.removeprefix('http://')}/{project.full_path}.git"


def eventually(question: Callable[[], Any], *, within: float = 8.0) -> Any:
    """The first answer that is true, or an AssertionError."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {within:g} s")


@contextmanager
def running(folder: Path, tier: Tier = "free") -> Iterator[Stage]:
    """A filled stage that is served until the block ends."""
    bound = bind()
    images = PushedImages()
    url = f"http://127.0.0.1:{port_of(bound)}"
    stage = Stage(GitLabSandbox(data=folder, images=images, url=url, tier=tier), url, images).fill()
    loop, ended, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        server = Server(stage.sandbox.app, bound)
        await server.start()
        work = asyncio.create_task(stage.sandbox.run())
        ready.set()
        await ended.wait()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await server.stop()

    def host() -> None:
        loop.run_until_complete(serve())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=host, daemon=True)
    with ExitStack() as stack:
        thread.start()
        stack.callback(thread.join, 10)
        stack.callback(loop.call_soon_threadsafe, ended.set)
        assert ready.wait(10)
        stack.callback(stage.close)
        yield stage


@dataclass
class Received:
    """One request that a receiver of webhooks got."""

    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers["x-gitlab-event"]


@dataclass
class Receiver:
    """The far end of webhooks: answers `status`, and keeps what came."""

    url: str = ""
    status: int = 200
    requests: list[Received] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [request.kind for request in self.requests]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Received(headers, body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Clone:
    """A working copy, driven by the real git."""

    folder: Path

    def git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def done(self, *arguments: str) -> str:
        """What git printed; it must succeed."""
        result = self.git(*arguments)
        assert result.returncode == 0, result.stderr
        return (result.stdout + result.stderr).strip()

    def refused(self, *arguments: str) -> str:
        """What git said; it must fail."""
        result = self.git(*arguments)
        assert result.returncode != 0, result.stdout
        return result.stderr

    def change(self, path: str, content: str, message: str = "change") -> str:
        """Write a file and commit it; the commit id."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content)
        self.done("add", path)
        self.done("commit", "-q", "-m", message)
        return self.done("rev-parse", "HEAD")


def cloned(folder: Path, remote: str, branch: str = "develop") -> Clone:
    folder.mkdir(parents=True)
    clone = Clone(folder)
    clone.done("clone", "-q", "-b", branch, remote, ".")
    clone.done("config", "user.name", "Dana Doe")
    clone.done("config", "user.email", "dana@example.org")
    return clone
