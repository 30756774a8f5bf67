"""The people of the story: each works with git and GitLab under an own token."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from flowmaster_delivery.cli.demo.narrator import StoryBroken, wait_for
from flowmaster_delivery.cli.loopback import client
from flowmaster_delivery.cli.up.home import write_private
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.settings import environ_of_child

GIT_LIMIT = 60.0
"""Seconds that one git command may take."""
DOMAIN = "flow-master.example"
ALONE = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""Nothing of the machine's own git configuration reaches the story: no signing, no key chain."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a GitLab token, a folder of clones, and a name on commits."""

    name: str
    gitlab_url: str
    folder: Path
    token: str = field(repr=False)

    @property
    def token_file(self) -> Path:
        """For `--token-file`: a token never stands on a command line."""
        path = self.folder / f"{self.name}.token"
        write_private(path, self.token + "\n")
        return path

    def clone(self, project: str, branch: str) -> Clone:
        """A fresh clone of one branch."""
        credentials = self.folder / f"{self.name}.credentials"
        parts = urlsplit(self.gitlab_url)
        write_private(credentials, f"{parts.scheme}://{self.name}:{self.token}@{parts.netloc}\n")
        place = self.folder / self.name / project.rpartition("/")[2]
        place.parent.mkdir(parents=True, exist_ok=True)
        clone = Clone(place, self.name, credentials)
        url = f"{self.gitlab_url}/{project}.git"
        clone.git("clone", "-q", "--branch", branch, url, str(place), inside=False)
        return clone

    def get(self, path: str, **query: str) -> Any:
        return self._ask("GET", path, params=query)

    def post(self, path: str, **body: object) -> Any:
        return self._ask("POST", path, json=body)

    def put(self, path: str, **body: object) -> Any:
        return self._ask("PUT", path, json=body)

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        url = f"{self.gitlab_url}/api/v4{path}"
        headers = {"PRIVATE-TOKEN": self.token}
        try:
            response = client().request(method, url, headers=headers, **request)
        except httpx.HTTPError as error:
            raise Unreachable(f"GitLab at {self.gitlab_url} does not answer") from error
        if response.is_success:
            return response.json()
        raise StoryBroken(
            f"GitLab did not let {self.name} {method} {path}: "
            f"{response.status_code} {response.text[:200]}"
        )


@dataclass(frozen=True, slots=True)
class Clone:
    """A working copy, and who works in it."""

    place: Path
    name: str
    credentials: Path

    def change(self, files: Mapping[str, str]) -> None:
        """Append a line to each file."""
        for path, line in files.items():
            file = self.place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as opened:
                opened.write(line + "\n")

    def write(self, files: Mapping[str, str]) -> None:
        """Write files whole."""
        for path, content in files.items():
            file = self.place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")

    def commit(self, message: str) -> str:
        """Commit all; the commit's id."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str, inside: bool = True) -> str:
        """Run git; its output. Raise StoryBroken with git's own words where it fails."""
        who = f"{self.name.capitalize()} <{self.name}@{DOMAIN}>"
        options = {
            "http.proxy": "",
            "credential.helper": f"store --file {shlex.quote(str(self.credentials))}",
            "user.name": who.partition(" <")[0],
            "user.email": f"{self.name}@{DOMAIN}",
        }
        settings = [f for key, value in options.items() for f in ("-c", f"{key}={value}")]
        where = ["-C", str(self.place)] if inside else []
        done = subprocess.run(  # noqa: S603  # nosec B603 B607  # git itself, no shell, nothing from outside
            ["git", *where, "-c", "credential.helper=", *settings, *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT,
            check=False,
            env=environ_of_child(ALONE),
        )
        if done.returncode != 0:
            raise StoryBroken(f"git {words[0]} of {self.name} failed: {done.stderr.strip()[:400]}")
        return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Project:
    """A GitLab project, as the people of the story use it."""

    path: str

    @property
    def api(self) -> str:
        return f"/projects/{quote(self.path, safe='')}"

    def open_merge_request(self, who: Person, source: str, target: str, title: str) -> int:
        made = who.post(
            f"{self.api}/merge_requests", source_branch=source, target_branch=target, title=title
        )
        return int(made["iid"])

    def approve(self, who: Person, merge_request: int) -> None:
        who.post(f"{self.api}/merge_requests/{merge_request}/approve")

    def merge(self, who: Person, merge_request: int, target: str) -> str:
        """Merge as soon as GitLab says that it can be; the new head of the target branch."""
        path = f"{self.api}/merge_requests/{merge_request}"

        def ready() -> bool | None:
            return who.get(path).get("detailed_merge_status") == "mergeable" or None

        wait_for(f"merge request !{merge_request} of {self.path} to be mergeable", ready, 60)
        who.put(f"{path}/merge")
        return str(who.get(f"{self.api}/repository/branches/{target}")["commit"]["id"])

    def wait_for_pipeline(self, who: Person, ref: str, commit: str) -> str:
        """Wait until the pipeline of a commit has passed; its page."""

        def passed() -> str | None:
            found = who.get(f"{self.api}/pipelines", sha=commit, ref=ref)
            if found and found[0]["status"] in ("failed", "canceled"):
                raise StoryBroken(f"the pipeline of {ref} at {commit[:8]} {found[0]['status']}")
            done = found and found[0]["status"] == "success"
            return str(found[0]["web_url"]) if done else None

        return wait_for(f"the pipeline of {ref} at {commit[:8]} in {self.path}", passed, 120)
