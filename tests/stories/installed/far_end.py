"""GitLab and registry beside the cluster, and the people who push, merge, tag and approve."""

from __future__ import annotations

import secrets
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.demo.people import Person, Project
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread
from tests.stories.node import SOURCE

CATALOG = Path(__file__).with_name("catalog.yaml")
PROJECT = Project("group/platform")


@dataclass(frozen=True, slots=True)
class FarEnd:
    """The sandbox, where containers reach it too."""

    told: Addresses
    folder: Path
    catalog: Catalog

    def person(self, name: str) -> Person:
        """With a folder of their own each time: what was cloned before is old."""
        folder = self.folder / "people" / uuid.uuid4().hex
        return Person(name, self.told.gitlab_url, folder, self.told.users[name])

    def send_webhooks_to(self, url: str) -> None:
        """As GitLab does, it forgets the secrets where the address changes: they are given anew."""
        root, told = self.person("root"), self.told
        secrets = {"token": told.webhook_secret, "signing_token": told.webhook_signing_token}
        for hook in root.get(f"{PROJECT.api}/hooks"):
            root.put(f"{PROJECT.api}/hooks/{hook['id']}", url=url, **secrets)

    def application(self, url: str) -> dict[str, str]:
        """What the login at this address needs to sign people in with GitLab."""
        made = self.person("root").post(
            "/applications",
            name="delivery",
            redirect_uri=f"{url}/oauth2/callback",
            scopes="openid email",
        )
        return {
            "client-id": made["application_id"],
            "client-secret": made["secret"],
            "cookie-secret": secrets.token_hex(16),
        }

    def push(self, message: str, *services: str) -> str:
        """Change services on develop and await the pipeline; the commit."""
        author = self.person("dana")
        clone = author.clone(PROJECT.path, "develop")
        clone.change({f"services/{name}/src/main.py": f"# {message}" for name in services})
        commit = clone.commit(message)
        clone.git("push", "-q", "origin", "develop")
        PROJECT.wait_for_pipeline(author, "develop", commit)
        return commit

    def merge(self, source: str, target: str) -> str:
        """A merge request, approved and merged, its pipeline awaited; the target's new head."""
        author, senior = self.person("dana"), self.person("sam")
        number = PROJECT.open_merge_request(author, source, target, f"{source} to {target}")
        PROJECT.approve(self.person("sofia"), number)
        commit = PROJECT.merge(senior, number, target)
        PROJECT.wait_for_pipeline(author, target, commit)
        return commit

    def tag(self, version: str) -> None:
        senior = self.person("sam")
        clone = senior.clone(PROJECT.path, "main")
        clone.git("tag", "-a", version, "-m", f"Release {version}")
        clone.git("push", "-q", "origin", version)


@contextmanager
def far_end(folder: Path, host: str) -> Iterator[FarEnd]:
    """The sandbox on an address that containers reach; its images really run."""
    program = folder / "answering"
    command = ["gcc", "-static", "-O1", "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    catalog = load_catalog(CATALOG)
    options = Options(folder / "sandbox", catalog, host=host, program=program)
    with in_thread(options) as told:
        yield FarEnd(told, folder, catalog)
