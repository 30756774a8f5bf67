"""Pipelines: what a push starts, how it goes on, and how it ends.

A pipeline gets the jobs that its project's CI description asks for, runs them stage by stage, and
lets each `docker` job push a real image. Nothing is executed: a job takes its time and succeeds, or
fails where the commit (`Sandbox-Fail: <job>`) or an order says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from flowmaster_delivery.sandbox.gitlab.ci import STAGES, Ci, CiService, JobTemplate
from flowmaster_delivery.sandbox.gitlab.hook_bodies import pipeline_body
from flowmaster_delivery.sandbox.gitlab.image_labels import labels_at
from flowmaster_delivery.sandbox.gitlab.records import ZEROS, Job, MergeRequest, Pipeline, now
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World

FAIL_TRAILER = "Sandbox-Fail"
SKIP = ("[ci skip]", "[skip ci]")


def start(
    world: World,
    project: Project,
    user: User,
    *,
    ref: str,
    sha: str,
    before: str = ZEROS,
    source: str = "push",
    merge_request: MergeRequest | None = None,
    variables: Mapping[str, str] | None = None,
) -> Pipeline:
    """A new pipeline of a commit, pending; `before` decides what counts as changed."""
    is_tag = f"refs/tags/{ref}" in project.repository.refs() and source != "merge_request_event"
    state = world.state
    pipeline = Pipeline(
        id=state.next_id("pipeline"),
        iid=len(project.pipelines) + 1,
        project_id=project.id,
        ref=ref,
        sha=sha,
        before_sha=before,
        source=source,
        tag=is_tag,
        user_id=user.id,
        merge_request_iid=merge_request.iid if merge_request else None,
        variables=dict(variables or {}),
    )
    pipeline.jobs = list(_jobs(world, project, pipeline, user))
    if _skipped(project, pipeline):
        pipeline.jobs, pipeline.status = [], "skipped"
    else:
        pipeline.status = "pending"
        _open_stage(pipeline)
    project.pipelines[pipeline.id] = pipeline
    announce(world, project, pipeline)
    return pipeline


def _skipped(project: Project, pipeline: Pipeline) -> bool:
    message = project.repository.commit(pipeline.sha).message.lower()
    return pipeline.source == "push" and any(mark in message for mark in SKIP)


def _jobs(world: World, project: Project, pipeline: Pipeline, user: User) -> Iterator[Job]:
    """The jobs of the description for what changed, and those that it always has."""
    failing = _failing(world, project, pipeline)
    if project.ci.suites and pipeline.variables.get("SUITE"):
        planned = _suite(pipeline.variables)
    else:
        planned = _planned(project.ci, pipeline, changed_services(project, pipeline))
    for job in planned:
        job.id = world.state.next_id("job")
        job.user_id = user.id
        job.fails = any(fnmatchcase(job.name, pattern) for pattern in failing)
        yield job


def _failing(world: World, project: Project, pipeline: Pipeline) -> set[str]:
    """Patterns of the jobs that fail: by an order for the next pipeline, by a standing order for
    its variables, by a trailer of its commit."""
    failing = set(world.failing.pop((project.id, pipeline.ref), ()))
    for project_id, wanted, job in world.failing_with:
        if project_id == project.id and wanted.items() <= pipeline.variables.items():
            failing.add(job)
    trailers = project.repository.commit(pipeline.sha).trailers
    return failing | {value for key, value in trailers if key == FAIL_TRAILER}


def _suite(variables: Mapping[str, str]) -> Iterator[Job]:
    """One job for each of the services that the pipeline was told, else one for all."""
    suite = variables["SUITE"]
    services = [name for name in variables.get("SERVICES", "").split(",") if name]
    for name in [f"{suite}:{service}" for service in services] or [suite]:
        yield Job(0, name, "test")


def changed_services(project: Project, pipeline: Pipeline) -> tuple[CiService, ...]:
    """Services whose paths a pipeline's push changed; all of them for a tag or a first push."""
    repository = project.repository
    base = None if pipeline.before_sha == ZEROS else repository.resolve(pipeline.before_sha)
    changed = repository.changed_files(base, pipeline.sha) if base else None
    return tuple(s for s in project.ci.services if s.touched_by(changed))


def _planned(ci: Ci, pipeline: Pipeline, services: Sequence[CiService]) -> Iterator[Job]:
    yield Job(0, "lint:repository", "lint")
    for template in ci.templates:
        if not template.builds_image or _builds_images(ci, pipeline):
            yield from _of_template(template, services)
    environment = ci.environment_of(pipeline.ref, is_tag=pipeline.tag)
    if ci.deploy != "none" and environment and pipeline.merge_request_iid is None:
        manual = ci.deploy == "manual" or environment == "production"
        when = "manual" if manual else "on_success"
        yield Job(0, f"deploy:{environment}", "deploy", when=when, environment=environment)
        yield Job(0, f"validate:{environment}", "validate")


def _builds_images(ci: Ci, pipeline: Pipeline) -> bool:
    return pipeline.ref in ci.branches and not pipeline.tag and pipeline.merge_request_iid is None


def _of_template(template: JobTemplate, services: Sequence[CiService]) -> Iterator[Job]:
    if not services:
        return
    if "{service}" not in template.name:
        images = tuple(s.image for s in services) if template.builds_image else ()
        yield Job(0, template.name, template.stage, images=images)
        return
    for service in services:
        images = (service.image,) if template.builds_image else ()
        yield Job(0, template.name.format(service=service.name), template.stage, images=images)


# going on


def advance(world: World, project: Project, pipeline: Pipeline, at: datetime) -> None:
    """Let time pass: start what is pending, end what had its time, open the next stage."""
    took = timedelta(seconds=project.ci.job_seconds)
    for job in pipeline.jobs:
        if job.status == "pending":
            job.status, job.started_at = "running", at
        elif job.status == "running" and job.started_at and at >= job.started_at + took:
            _end(world, project, pipeline, job, at)
    _open_stage(pipeline)
    _settle(world, project, pipeline, at)


def _end(world: World, project: Project, pipeline: Pipeline, job: Job, at: datetime) -> None:
    job.finished_at = at
    job.status = "failed" if job.fails else "success"
    if job.status == "success":
        for image in job.images:
            push_image(world, project, image, pipeline.ref, pipeline.sha)


def push_image(world: World, project: Project, image: str, ref: str, sha: str) -> str:
    """Build and push an image as CI does: tags are the short commit id and the ref's slug."""
    return world.images.push(
        f"{project.full_path}/{image}".lower(),
        tags=(sha[:8], slug(ref)),
        labels={
            "org.opencontainers.image.revision": sha,
            "org.opencontainers.image.source": world.web(project),
            "org.opencontainers.image.title": image,
            "org.opencontainers.image.created": now().isoformat(),
            **labels_at(project, image, sha),
        },
    )


def slug(ref: str) -> str:
    """CI_COMMIT_REF_SLUG: lower case, 63 characters, only letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", ref.lower())[:63].strip("-")


def _stages(pipeline: Pipeline) -> list[list[Job]]:
    return [jobs for s in STAGES if (jobs := [j for j in pipeline.jobs if j.stage == s])]


def _open_stage(pipeline: Pipeline) -> None:
    """Wake the first stage whose jobs still wait, once all before it are done."""
    for jobs in _stages(pipeline):
        for job in jobs:
            if job.status == "created":
                job.status = "manual" if job.when == "manual" else "pending"
        if any(job.status == "failed" for job in jobs):
            _skip_rest(pipeline)
            return
        if any(job.status not in ("success", "skipped") for job in jobs):
            return


def _skip_rest(pipeline: Pipeline) -> None:
    for job in pipeline.jobs:
        if job.status == "created":
            job.status = "skipped"


def _settle(world: World, project: Project, pipeline: Pipeline, at: datetime) -> None:
    """The pipeline's own status out of its jobs'; told to the hooks when it changes."""
    status = _status(pipeline)
    if status == pipeline.status:
        return
    pipeline.status, pipeline.updated_at = status, at
    if status == "running" and pipeline.started_at is None:
        pipeline.started_at = at
    if status in ("success", "failed", "canceled"):
        pipeline.finished_at = at
    announce(world, project, pipeline)


def _status(pipeline: Pipeline) -> str:
    states = {job.status for job in pipeline.jobs}
    if "running" in states:
        return "running"
    if "pending" in states:
        return "running" if pipeline.started_at else "pending"
    for status in ("failed", "canceled", "manual"):
        if status in states:
            return status
    return "success"


def announce(world: World, project: Project, pipeline: Pipeline) -> None:
    if any(hook.triggers.get("pipeline_events") for hook in project.hooks.values()):
        body = pipeline_body(world, project, pipeline)
        world.outbox.announce(project, "pipeline_events", body)


# asked by people


def cancel(world: World, project: Project, pipeline: Pipeline) -> None:
    at = now()
    for job in pipeline.jobs:
        if job.status in ("created", "pending", "running", "manual"):
            job.status, job.finished_at = "canceled", at
    _settle(world, project, pipeline, at)


def retry(world: World, project: Project, pipeline: Pipeline, *, one: Job | None = None) -> Job:
    """Run failed and canceled jobs (or the one) again as new ones that no order fails."""
    again = [one] if one else [j for j in pipeline.jobs if j.status in ("failed", "canceled")]
    newest = pipeline.jobs[-1]
    for old in again:
        newest = Job(
            world.state.next_id("job"),
            old.name,
            old.stage,
            when=old.when,
            images=old.images,
            environment=old.environment,
            user_id=old.user_id,
        )
        pipeline.jobs[pipeline.jobs.index(old)] = newest
    for job in pipeline.jobs:
        if job.status == "skipped":
            job.status = "created"
    pipeline.finished_at = None
    _open_stage(pipeline)
    _settle(world, project, pipeline, now())
    return newest


def play(world: World, project: Project, pipeline: Pipeline, job: Job, user: User) -> None:
    job.status, job.user_id = "pending", user.id
    _settle(world, project, pipeline, now())
