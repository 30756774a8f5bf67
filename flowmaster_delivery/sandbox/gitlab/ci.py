"""What a project's pipelines consist of, in place of a `.gitlab-ci.yml` that nobody runs here.

The defaults are the stages and job names of the deployment strategy: one `lint`, `test`, `build`
and `docker` job per service, created only where the service's paths changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STAGES = ("lint", "test", "build", "package", "deploy", "validate")

DEPLOY_REFS = (("develop", "dev"), ("staging", "staging"), ("tag", "production"))
"""Which ref deploys where, when a project has deploy jobs at all."""


@dataclass(frozen=True, slots=True)
class CiService:
    """A service whose image a pipeline builds: `image` is its last path part in the registry."""

    name: str
    image: str
    paths: tuple[str, ...] = ("",)

    def touched_by(self, changed: tuple[str, ...] | None) -> bool:
        """Whether one of the changed files lies in one of its paths; None means all changed."""
        if changed is None:
            return True
        return any(_within(path, prefix) for path in changed for prefix in self.paths)


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """`{service}` in the name makes one job per changed service, else one for all of them."""

    stage: str
    name: str
    builds_image: bool = False


PER_SERVICE = (
    JobTemplate("lint", "lint:{service}"),
    JobTemplate("test", "test:{service}"),
    JobTemplate("build", "build:{service}"),
    JobTemplate("package", "docker:{service}", builds_image=True),
)

SINGLE = (
    JobTemplate("lint", "lint"),
    JobTemplate("test", "test"),
    JobTemplate("build", "build"),
    JobTemplate("package", "docker", builds_image=True),
)
"""Jobs of a repository with one application, as the strategy's frontends have them."""


@dataclass(frozen=True, slots=True)
class Ci:
    """`job_seconds` is what every job takes; the jobs of a stage run side by side."""

    services: tuple[CiService, ...] = ()
    templates: tuple[JobTemplate, ...] = PER_SERVICE
    branches: tuple[str, ...] = ("develop", "staging", "main")
    deploy: Literal["none", "manual", "auto"] = "none"
    job_seconds: float = 0.3
    suites: bool = False
    """A repository of tests: a pipeline with the variable SUITE has only the jobs of that suite."""

    def environment_of(self, ref: str, *, is_tag: bool) -> str | None:
        """Where a pipeline of this ref deploys to, in the strategy's job names."""
        return dict(DEPLOY_REFS).get("tag" if is_tag else ref)


def _within(path: str, prefix: str) -> bool:
    folder = prefix.strip("/")
    return not folder or path == folder or path.startswith(folder + "/")
