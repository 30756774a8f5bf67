"""Releases: notes on a tag."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import show_delivery
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.answers import Answer, ApiError, bad, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    REPORTER,
    ZEROS,
    Release,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import identity

routes = Routes()
RELEASES = "/projects/:id/releases"


@routes.on("GET", RELEASES)
def releases(call: Call) -> object:
    project = project_of(call, REPORTER)
    key = call.params.text("order_by", "released_at")
    down = call.params.text("sort", "desc") == "desc"
    if key not in ("released_at", "created_at"):
        raise ApiError(400, {"error": "order_by does not have a valid value"})
    found = sorted(project.releases.values(), key=lambda r: getattr(r, key), reverse=down)
    return call.paged(found, lambda r: show_delivery.release(call.world, project, r))


@routes.on("POST", RELEASES)
def create_release(call: Call) -> object:
    """For a tag that is there, or that is created from `ref`."""
    project, params, user = project_of(call, DEVELOPER), call.params, call.someone
    tag = params.need("tag_name")
    if tag in project.releases:
        raise bad("Release already exists", 409)
    repository = project.repository
    if tag not in repository.tags():
        if not params.text("ref"):
            raise bad("Ref is not specified", 422)
        if not repository.valid_ref_name(tag):
            raise bad("Tag name invalid", 422)
        sha = call.world.resolve(project, params.text("ref"))
        repository.create_tag(tag, sha, params.text("tag_message"), identity(user))
        ref = repository.tags()[tag]
        pushed(call.world, project, user, [RefChange(ref.name, ZEROS, ref.target)])
    links = (params.raw("assets") or {}).get("links", [])
    release = Release(
        tag_name=tag,
        name=params.text("name", tag),
        description=params.text("description"),
        author_id=user.id,
        sha=repository.tags()[tag].commit,
        released_at=params.moment("released_at") or now(),
        links=[{"id": i, "link_type": "other", **link} for i, link in enumerate(links, 1)],
    )
    project.releases[tag] = release
    return Answer(show_delivery.release(call.world, project, release), 201)


def _release(call: Call, role: int = REPORTER) -> tuple[Project, Release]:
    project = project_of(call, role)
    if (found := project.releases.get(call.path["tag"])) is None:
        raise missing("Release")
    return project, found


@routes.on("GET", f"{RELEASES}/permalink/latest")
def latest_release(call: Call) -> object:
    project = project_of(call, REPORTER)
    if not project.releases:
        raise missing("Release")
    newest = max(project.releases.values(), key=lambda r: r.released_at)
    return show_delivery.release(call.world, project, newest)


@routes.on("GET", f"{RELEASES}/:tag")
def one_release(call: Call) -> object:
    return show_delivery.release(call.world, *_release(call))


@routes.on("PUT", f"{RELEASES}/:tag")
def change_release(call: Call) -> object:
    project, found = _release(call, DEVELOPER)
    found.name = call.params.text("name", found.name)
    found.description = call.params.text("description", found.description)
    return show_delivery.release(call.world, project, found)


@routes.on("DELETE", f"{RELEASES}/:tag")
def delete_release(call: Call) -> object:
    """The git tag stays."""
    project, found = _release(call, DEVELOPER)
    del project.releases[found.tag_name]
    return show_delivery.release(call.world, project, found)
