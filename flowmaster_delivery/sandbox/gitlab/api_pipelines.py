"""Pipelines, jobs and commit statuses."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import pipelines, show_delivery
from flowmaster_delivery.sandbox.gitlab.access import may_push_branch
from flowmaster_delivery.sandbox.gitlab.answers import (
    NO_CONTENT,
    Answer,
    ApiError,
    bad,
    forbidden,
    missing,
)
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    MAINTAINER,
    REPORTER,
    ZEROS,
    Job,
    Pipeline,
    Status,
)
from flowmaster_delivery.sandbox.gitlab.state import Project

routes = Routes()
MANY = "/projects/:id/pipelines"
ONE = f"{MANY}/:pipeline_id"
SCOPES = {
    "running": ("running",),
    "pending": ("pending",),
    "finished": ("success", "failed", "canceled"),
}


def _one(call: Call, role: int = REPORTER) -> tuple[Project, Pipeline]:
    project = project_of(call, role)
    if (found := project.pipelines.get(call.number("pipeline_id"))) is None:
        raise missing("Pipeline")
    return project, found


def _matching(call: Call, project: Project) -> list[Pipeline]:
    params = call.params
    found = list(project.pipelines.values())
    for name in ("ref", "sha", "status", "source"):
        if wanted := params.text(name):
            found = [p for p in found if getattr(p, name) == wanted]
    scope = params.text("scope")
    if scope in ("tags", "branches"):
        found = [p for p in found if p.tag == (scope == "tags")]
    elif scope in SCOPES:
        found = [p for p in found if p.status in SCOPES[scope]]
    if username := params.text("username"):
        user = call.world.state.user_named(username)
        found = [p for p in found if user is not None and p.user_id == user.id]
    for name in ("updated", "created"):
        if (after := params.moment(f"{name}_after")) is not None:
            found = [p for p in found if getattr(p, f"{name}_at") > after]
        if (before := params.moment(f"{name}_before")) is not None:
            found = [p for p in found if getattr(p, f"{name}_at") < before]
    order = params.text("order_by", "id")
    if order not in ("id", "status", "ref", "updated_at", "user_id"):
        raise ApiError(400, {"error": "order_by does not have a valid value"})
    down = params.text("sort", "desc") == "desc"
    return sorted(found, key=lambda p: (getattr(p, order), p.id), reverse=down)


@routes.on("GET", MANY)
def many(call: Call) -> object:
    project = project_of(call, REPORTER)
    found = _matching(call, project)
    return call.paged(found, lambda p: show_delivery.pipeline_brief(call.world, project, p))


@routes.on("GET", f"{MANY}/latest")
def latest(call: Call) -> object:
    """The newest of the head of a ref. GitLab answers 403 where there is none."""
    project = project_of(call, REPORTER)
    ref = call.params.text("ref", project.default_branch)
    sha = project.repository.resolve(ref)
    found = [p for p in project.pipelines.values() if p.ref == ref and p.sha == sha]
    if not found:
        raise forbidden()
    return show_delivery.pipeline(call.world, project, found[-1])


@routes.on("GET", ONE)
def one(call: Call) -> object:
    return show_delivery.pipeline(call.world, *_one(call))


@routes.on("DELETE", ONE)
def delete(call: Call) -> object:
    project, found = _one(call, MAINTAINER)
    del project.pipelines[found.id]
    return NO_CONTENT


@routes.on("POST", "/projects/:id/pipeline")
def create(call: Call) -> object:
    project, ref = project_of(call, DEVELOPER), call.params.need("ref")
    refs = project.repository.refs()
    known = refs.get(f"refs/heads/{ref}") or refs.get(f"refs/tags/{ref}")
    if known is None:
        raise bad({"base": ["Reference not found"]})
    role = call.world.state.role(call.user, project)
    if known.name.startswith("refs/heads/") and not may_push_branch(project, role, ref):
        raise bad({"base": ["Insufficient permissions to create a new pipeline"]})
    pipeline = pipelines.start(
        call.world,
        project,
        call.someone,
        ref=ref,
        sha=known.commit,
        before=ZEROS,
        source="api",
        variables=_variables(call.params.raw("variables")),
    )
    return Answer(show_delivery.pipeline(call.world, project, pipeline), 201)


def _variables(given: object) -> dict[str, str]:
    """GitLab's form: a list of key and value."""
    if given is None:
        return {}
    if not isinstance(given, list) or any(
        not isinstance(one, dict) or "key" not in one or "value" not in one for one in given
    ):
        raise ApiError(400, {"error": "variables is invalid"})
    return {str(one["key"]): str(one["value"]) for one in given}


@routes.on("POST", f"{ONE}/retry")
def retry(call: Call) -> object:
    project, found = _one(call, DEVELOPER)
    pipelines.retry(call.world, project, found)
    return Answer(show_delivery.pipeline(call.world, project, found), 201)


@routes.on("POST", f"{ONE}/cancel")
def cancel(call: Call) -> object:
    project, found = _one(call, DEVELOPER)
    pipelines.cancel(call.world, project, found)
    return show_delivery.pipeline(call.world, project, found)


@routes.on("GET", f"{ONE}/bridges")
def bridges(call: Call) -> object:
    _one(call)
    return call.paged([], dict)


@routes.on("GET", f"{ONE}/variables")
def variables(call: Call) -> object:
    """Those that the pipeline was started with: for maintainers, and for whoever started it."""
    project, found = _one(call)
    role = call.world.state.role(call.user, project)
    if role < MAINTAINER and found.user_id != call.someone.id:
        raise forbidden()
    return call.paged(
        list(found.variables.items()),
        lambda item: {"variable_type": "env_var", "key": item[0], "value": item[1], "raw": False},
    )


@routes.on("GET", f"{ONE}/test_report_summary")
def test_report_summary(call: Call) -> object:
    project, found = _one(call)
    del project
    tests = [j for j in found.jobs if j.stage == "test"]
    failed = sum(j.status == "failed" for j in tests)
    total = {"time": 0.0, "count": len(tests), "success": len(tests) - failed, "failed": failed}
    return {"total": {**total, "skipped": 0, "error": 0, "suite_error": None}, "test_suites": []}


# jobs


def _scoped(call: Call, jobs: list[Job]) -> list[Job]:
    scope = call.params.many("scope")
    return [j for j in jobs if not scope or j.status in scope]


@routes.on("GET", f"{ONE}/jobs")
def pipeline_jobs(call: Call) -> object:
    project, found = _one(call)
    jobs = sorted(_scoped(call, found.jobs), key=lambda j: -j.id)
    return call.paged(jobs, lambda j: show_delivery.job(call.world, project, found, j))


@routes.on("GET", "/projects/:id/jobs")
def project_jobs(call: Call) -> object:
    project = project_of(call, REPORTER)
    pairs = [(p, j) for p in project.pipelines.values() for j in _scoped(call, p.jobs)]
    pairs.sort(key=lambda pair: -pair[1].id)
    return call.paged(pairs, lambda pair: show_delivery.job(call.world, project, *pair))


def _job(call: Call, role: int = REPORTER) -> tuple[Project, Pipeline, Job]:
    project, number = project_of(call, role), call.number("job_id")
    for pipeline in project.pipelines.values():
        for job in pipeline.jobs:
            if job.id == number:
                return project, pipeline, job
    raise missing("Job")


@routes.on("GET", "/projects/:id/jobs/:job_id")
def one_job(call: Call) -> object:
    return show_delivery.job(call.world, *_job(call))


@routes.on("GET", "/projects/:id/jobs/:job_id/trace")
def trace(call: Call) -> object:
    _, _, job = _job(call)
    text = f"sandbox: job {job.name} is not executed, it ends as told: {job.status}\n"
    return Answer(text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})


@routes.on("POST", "/projects/:id/jobs/:job_id/play")
def play(call: Call) -> object:
    project, pipeline, job = _job(call, DEVELOPER)
    if job.status != "manual":
        raise bad("400 Bad request - Unplayable Job")
    pipelines.play(call.world, project, pipeline, job, call.someone)
    return show_delivery.job(call.world, project, pipeline, job)


@routes.on("POST", "/projects/:id/jobs/:job_id/retry")
def retry_job(call: Call) -> object:
    project, pipeline, job = _job(call, DEVELOPER)
    if job.status not in ("failed", "canceled", "success"):
        raise bad("403 Forbidden - Job is not retryable", 403)
    again = pipelines.retry(call.world, project, pipeline, one=job)
    return Answer(show_delivery.job(call.world, project, pipeline, again), 201)


@routes.on("POST", "/projects/:id/jobs/:job_id/cancel")
def cancel_job(call: Call) -> object:
    project, pipeline, job = _job(call, DEVELOPER)
    pipelines.cancel(call.world, project, pipeline)
    return Answer(show_delivery.job(call.world, project, pipeline, job), 201)


# statuses


@routes.on("POST", "/projects/:id/statuses/:sha")
def create_status(call: Call) -> object:
    """Created, or changed where the commit has one of that name already."""
    project, params = project_of(call, DEVELOPER), call.params
    sha = call.world.resolve(project, call.path["sha"])
    state = params.need("state")
    if state not in ("pending", "running", "success", "failed", "canceled", "skipped"):
        raise ApiError(400, {"error": "state does not have a valid value"})
    name = params.text("name") or params.text("context", "default")
    known = [s for s in project.statuses if (s.sha, s.name) == (sha, name)]
    if known and known[0].status == state:
        text = f"Cannot transition status via :{state} from :{state} (Reason(s): Status cannot...)"
        raise bad(text)
    ref = params.text("ref", project.default_branch)
    status = Status(call.world.state.next_id("job"), sha, ref, state, name, call.someone.id)
    status.description = params.raw("description")
    status.target_url = params.raw("target_url")
    project.statuses = [s for s in project.statuses if s not in known] + [status]
    return Answer(show_delivery.status(call.world, status), 201)


@routes.on("GET", "/projects/:id/repository/commits/:sha/statuses")
def statuses(call: Call) -> object:
    """Reported ones, and the jobs of the commit's pipelines."""
    project = project_of(call, REPORTER)
    sha = call.world.resolve(project, call.path["sha"])
    of_jobs = [
        Status(j.id, sha, p.ref, j.status, j.name, j.user_id, created_at=j.created_at)
        for p in project.pipelines.values()
        if p.sha == sha
        for j in p.jobs
    ]
    reported = [s for s in project.statuses if s.sha == sha]
    wanted = call.params.text("name")
    found = [s for s in (*of_jobs, *reported) if wanted in ("", s.name)]
    return call.paged(found, lambda s: show_delivery.status(call.world, s))
