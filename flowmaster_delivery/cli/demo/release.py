"""One release on its way: the changes, the merge requests, the tag, as people make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowmaster_delivery.cli.demo.narrator import expect
from flowmaster_delivery.cli.demo.people import Person, Project
from flowmaster_delivery.cli.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Release:
    """What is released: services of one repository, under a version, written by one author."""

    stage: Stage
    repository: str
    version: str
    services: Sequence[str]
    author: Person
    files: Mapping[str, str] = field(default_factory=dict)
    """Path to content of what is written anew, beside a line in each service."""

    @property
    def project(self) -> Project:
        return Project(self.stage.catalog.repository(self.repository).project)

    @property
    def named(self) -> str:
        """Its version as people name it among those of other repositories."""
        return f"{self.repository}@{self.version}"

    def push(self, message: str) -> str:
        """Change every service and push to develop; the commit."""
        clone = self.author.clone(self.project.path, "develop")
        files = {}
        for name in self.services:
            folder = self.stage.catalog.service(name).path.strip("./")
            path = f"{folder}/src/main.py".lstrip("/")
            files[path] = f"# {message} ({self.version})"
        clone.change(files)
        clone.write(self.files)
        commit = clone.commit(message)
        self.stage.narrator.command("git push origin develop")
        clone.git("push", "-q", "origin", "develop")
        self._tell_pipeline("develop", commit)
        return commit

    def reaches(self, environment: str, commit: str, before: Mapping[str, str]) -> None:
        """Wait for the rollout of a commit; of the repository, just the changed services moved."""
        stage = self.stage
        stage.wait_for_run(environment=environment, commit=commit)
        after = stage.digests(environment)
        own = {service.name for service in self.stage.catalog.services_of(self.repository)}
        moved = {name for name in own if after[name] != before[name]}
        expect(
            moved == set(self.services),
            f"{environment} should have rolled out {', '.join(sorted(self.services))}, "
            f"but it did {', '.join(sorted(moved)) or 'nothing'}",
        )
        stage.narrator.say(
            f"{environment} runs the new {', '.join(self.services)}; nothing else of "
            f"{self.repository} moved",
            stage.page(self.services[0], "deployment", environment),
        )

    def merge(
        self, source: str, target: str, approvers: Sequence[Person], by: Person, title: str
    ) -> str:
        """A merge request, approved and merged; the new head of the target."""
        number = self.project.open_merge_request(self.author, source, target, title)
        for person in approvers:
            self.project.approve(person, number)
        names = ", ".join(person.name for person in approvers) or "nobody"
        commit = self.project.merge(by, number, target)
        self.stage.narrator.say(
            f"!{number} {source} → {target}: by {self.author.name}, approved by {names}, "
            f"merged by {by.name}",
            f"{by.gitlab_url}/{self.project.path}/-/merge_requests/{number}",
        )
        self._tell_pipeline(target, commit)
        return commit

    def tag(self, by: Person, commit: str) -> None:
        """Tag the release on main and push the tag."""
        clone = by.clone(self.project.path, "main")
        clone.git("tag", "-a", self.version, "-m", f"Release {self.version}", commit)
        self.stage.narrator.command(f"git push origin {self.version}")
        clone.git("push", "-q", "origin", self.version)

    def becomes_candidate(self) -> None:
        """Wait until intake has made a candidate of the tag."""
        self.stage.wait_for_begin(
            environment="production", repository=self.repository, version=self.version
        )
        self.stage.narrator.say(f"{self.named} is a candidate for production")

    def same_digests(self, one: str, other: str) -> bool:
        """Whether both environments run the same images of the services."""
        first, second = self.stage.digests(one), self.stage.digests(other)
        return all(first[name] == second[name] for name in self.services)

    def _tell_pipeline(self, ref: str, commit: str) -> None:
        page = self.project.wait_for_pipeline(self.author, ref, commit)
        self.stage.narrator.say(f"the pipeline of {ref} at {commit[:8]} passed", page)
