"""Environments and deployments: what others tell GitLab about what they delivered."""

from __future__ import annotations

import re

from flowmaster_delivery.sandbox.gitlab import show_delivery, show_merge_requests
from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, ApiError, bad, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.hook_bodies import deployment_body
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    REPORTER,
    Deployment,
    Environment,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import World

routes = Routes()
ENVIRONMENTS = "/projects/:id/environments"
DEPLOYMENTS = "/projects/:id/deployments"
TIERS = (
    ("development", r"dev|review|trunk"),
    ("testing", r"test|tst|int|ac(ce|)pt|qa|qc|control|quality"),
    ("staging", r"st(a|)g|mod(e|)l|pre|demo|non"),
    ("production", r"pr(o|)d|live"),
)
EVENTS = {"running": "run", "success": "succeed", "failed": "drop", "canceled": "cancel"}
FINAL = ("success", "failed", "canceled")
TIME_FILTERS = tuple(
    f"{kind}_{side}" for kind in ("updated", "finished") for side in ("after", "before")
)


def tier_of(name: str) -> str:
    """The tier that GitLab guesses from an environment's name."""
    for tier, pattern in TIERS:
        if re.search(pattern, name, re.IGNORECASE):
            return tier
    return "other"


def _environment(call: Call, role: int = REPORTER) -> tuple[Project, Environment]:
    project = project_of(call, role)
    if (found := project.environments.get(call.number("environment_id"))) is None:
        raise missing("Environment")
    return project, found


@routes.on("GET", ENVIRONMENTS)
def environments(call: Call) -> object:
    project, params = project_of(call, REPORTER), call.params
    found = list(project.environments.values())
    if name := params.text("name"):
        found = [e for e in found if e.name == name]
    if search := params.text("search"):
        if len(search) < 3:
            raise bad("400 Bad request - Search query is less than 3 characters")
        found = [e for e in found if search in e.name]
    if state := params.text("states"):
        found = [e for e in found if e.state == state]
    return call.paged(found, show_delivery.environment)


def create_environment_in(world: World, project: Project, name: str) -> Environment:
    number = world.state.next_id("environment")
    environment = Environment(number, name, tier=tier_of(name))
    project.environments[number] = environment
    return environment


@routes.on("POST", ENVIRONMENTS)
def create_environment(call: Call) -> object:
    project, params = project_of(call, DEVELOPER), call.params
    name = params.need("name")
    if any(e.name == name for e in project.environments.values()):
        raise bad({"name": ["has already been taken"], "slug": ["has already been taken"]})
    environment = create_environment_in(call.world, project, name)
    _fill(call, environment)
    return Answer(show_delivery.environment(environment), 201)


def _fill(call: Call, environment: Environment) -> None:
    params = call.params
    environment.external_url = params.raw("external_url", environment.external_url)
    environment.tier = params.text("tier", environment.tier)
    environment.description = params.raw("description", environment.description)
    environment.updated_at = now()


@routes.on("GET", f"{ENVIRONMENTS}/:environment_id")
def one_environment(call: Call) -> object:
    project, found = _environment(call)
    succeeded = [
        d
        for d in project.deployments.values()
        if d.environment_id == found.id and d.status == "success"
    ]
    last = show_delivery.deployment(call.world, project, succeeded[-1]) if succeeded else None
    return {**show_delivery.environment(found), "last_deployment": last}


@routes.on("PUT", f"{ENVIRONMENTS}/:environment_id")
def change_environment(call: Call) -> object:
    _, found = _environment(call, DEVELOPER)
    _fill(call, found)
    return show_delivery.environment(found)


@routes.on("POST", f"{ENVIRONMENTS}/:environment_id/stop")
def stop_environment(call: Call) -> object:
    _, found = _environment(call, DEVELOPER)
    found.state, found.updated_at = "stopped", now()
    return show_delivery.environment(found)


@routes.on("DELETE", f"{ENVIRONMENTS}/:environment_id")
def delete_environment(call: Call) -> object:
    project, found = _environment(call, DEVELOPER)
    if found.state != "stopped":
        raise bad("403 Forbidden - Environment must be in stopped state before deletion", 403)
    del project.environments[found.id]
    return NO_CONTENT


# deployments


@routes.on("GET", DEPLOYMENTS)
def deployments(call: Call) -> object:
    """Oldest first unless told otherwise, as GitLab lists them."""
    project, params = project_of(call, REPORTER), call.params
    order = params.text("order_by", "id")
    _check_filters(call, order)
    found = list(project.deployments.values())
    if name := params.text("environment"):
        found = [d for d in found if project.environments[d.environment_id].name == name]
    if status := params.text("status"):
        found = [d for d in found if d.status == status]
    for name in TIME_FILTERS:
        if (at := params.moment(name)) is None:
            continue
        kind, side = name.split("_")
        later = side == "after"
        found = [
            d
            for d in found
            if (moment := getattr(d, f"{kind}_at")) and (moment >= at if later else moment <= at)
        ]
    down = params.text("sort", "asc") == "desc"
    found.sort(key=lambda d: (str(getattr(d, order) or "") if order != "id" else "", d.id))
    if down:
        found.reverse()
    return call.paged(found, lambda d: show_delivery.deployment(call.world, project, d))


def _check_filters(call: Call, order: str) -> None:
    """GitLab's finder refuses combinations that it has no index for."""
    if order not in ("id", "iid", "created_at", "updated_at", "finished_at", "ref"):
        raise ApiError(400, {"error": "order_by does not have a valid value"})
    updated = any(name in call.params for name in TIME_FILTERS[:2])
    finished = any(name in call.params for name in TIME_FILTERS[2:])
    if updated and finished:
        raise bad("400 Bad request - Both `updated_at` filter and `finished_at` filter given")
    if finished and (order != "finished_at" or call.params.text("status") != "success"):
        text = (
            "`finished_at` filter and `finished_at` sorting and `success` status must be combined"
        )
        raise bad(f"400 Bad request - {text}")
    if updated and order != "updated_at":
        raise bad("400 Bad request - `updated_at` filter requires `updated_at` sort")


@routes.on("POST", DEPLOYMENTS)
def create_deployment(call: Call) -> object:
    """Finds the environment by name, or creates it."""
    project, params = project_of(call, DEVELOPER), call.params
    name, status = params.need("environment"), params.need("status")
    sha = call.world.resolve(project, params.need("sha"))
    if status not in EVENTS:
        raise ApiError(400, {"error": "status does not have a valid value"})
    known = [e for e in project.environments.values() if e.name == name]
    environment = known[0] if known else create_environment_in(call.world, project, name)
    deployment = Deployment(
        id=call.world.state.next_id("deployment"),
        iid=len(project.deployments) + 1,
        environment_id=environment.id,
        sha=sha,
        ref=params.need("ref"),
        tag=params.flag("tag"),
        status=status,
        user_id=call.someone.id,
    )
    if status in FINAL:
        deployment.finished_at = deployment.created_at
    project.deployments[deployment.id] = deployment
    _announce(call, project, deployment)
    return Answer(show_delivery.deployment(call.world, project, deployment), 201)


def _announce(call: Call, project: Project, deployment: Deployment) -> None:
    environment = project.environments[deployment.environment_id]
    body = deployment_body(call.world, project, call.someone, deployment, environment)
    call.world.outbox.announce(project, "deployment_events", body)


def _deployment(call: Call, role: int = REPORTER) -> tuple[Project, Deployment]:
    project = project_of(call, role)
    if (found := project.deployments.get(call.number("deployment_id"))) is None:
        raise missing("Deployment")
    return project, found


@routes.on("GET", f"{DEPLOYMENTS}/:deployment_id")
def one_deployment(call: Call) -> object:
    return show_delivery.deployment(call.world, *_deployment(call))


@routes.on("PUT", f"{DEPLOYMENTS}/:deployment_id")
def change_deployment(call: Call) -> object:
    """A finished deployment does not run again, and no status follows on itself."""
    project, found = _deployment(call, DEVELOPER)
    status = call.params.need("status")
    if status not in EVENTS:
        raise ApiError(400, {"error": "status does not have a valid value"})
    if status == found.status or (status == "running" and found.status in FINAL):
        raise bad({"status": [f'cannot transition via "{EVENTS[status]}"']})
    found.status, found.updated_at = status, now()
    found.finished_at = found.updated_at if status in FINAL else None
    _announce(call, project, found)
    return show_delivery.deployment(call.world, project, found)


@routes.on("DELETE", f"{DEPLOYMENTS}/:deployment_id")
def delete_deployment(call: Call) -> object:
    project, found = _deployment(call, DEVELOPER)
    if found.status == "running":
        raise bad("Cannot destroy running deployment")
    here = [d for d in project.deployments.values() if d.environment_id == found.environment_id]
    succeeded = [d for d in here if d.status == "success"]
    if succeeded and succeeded[-1] is found:
        raise bad("Deployment currently deployed to environment")
    del project.deployments[found.id]
    return NO_CONTENT


@routes.on("GET", f"{DEPLOYMENTS}/:deployment_id/merge_requests")
def deployment_merge_requests(call: Call) -> object:
    """Merged requests that the deployment brought and the success before it did not."""
    project, found = _deployment(call)
    before = [
        d.sha
        for d in project.deployments.values()
        if d.environment_id == found.environment_id and d.status == "success" and d.id < found.id
    ]
    repository = project.repository
    shown = [
        m
        for m in project.merge_requests.values()
        if (merged := m.merge_commit_sha or m.squash_commit_sha)
        and repository.is_ancestor(merged, found.sha)
        and not (before and repository.is_ancestor(merged, before[-1]))
    ]
    return call.paged(shown, lambda m: show_merge_requests.merge_request(call.world, project, m))
