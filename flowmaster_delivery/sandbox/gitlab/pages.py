"""Plain pages behind the `web_url`s, so that a link leads somewhere: what it is, and its state.

GitLab asks people to sign in; these pages show without it, to whoever reaches the loopback, the
little that they show.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from flowmaster_delivery.sandbox.gitlab.answers import Answer
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import World

Rows = list[tuple[str, str]]
HTML = {"Content-Type": "text/html; charset=utf-8"}
STYLE = "body{font:16px/1.5 sans-serif;max-width:50em;margin:3em auto}td{padding:0 1em 0 0}"


def page(world: World, path: str) -> Answer:
    """The page of a path, or a 404 page."""
    project_path, _, tail = path.strip("/").partition("/-/")
    project = world.state.project_at(project_path)
    if not project_path:
        links = [p.full_path for p in world.state.projects.values()]
        return _html("Projects", [("project", full_path) for full_path in links])
    if project is None:
        return _html("404: the page could not be found", [], 404)
    rows = _rows(world, project, *(tail.split("/", 1) if tail else ("", "")))
    if rows is None:
        return _html("404: the page could not be found", [], 404)
    return _html(f"{project.full_path} {tail}", rows)


def _rows(world: World, project: Project, kind: str = "", name: str = "") -> Rows | None:
    if kind == "commit":
        return _commit(project, name)
    if kind == "pipelines" and name.isdecimal():
        return _pipeline(project, int(name))
    if kind == "merge_requests" and name.isdecimal():
        return _merge_request(world, project, int(name))
    if kind in ("tags", "tree", "releases"):
        sha = project.repository.resolve(name)
        return _commit(project, sha) if sha else None
    if kind in ("environments", "deployments"):
        return _deployments(project)
    if kind:
        return None
    return [("branch", name) for name in project.repository.branches()] + [
        ("tag", name) for name in project.repository.tags()
    ]


def _commit(project: Project, name: str) -> Rows | None:
    sha = project.repository.resolve(name)
    if sha is None:
        return None
    commit = project.repository.commit(sha)
    return [("commit", sha), ("title", commit.title), ("author", commit.author.name)]


def _pipeline(project: Project, number: int) -> Rows | None:
    if (pipeline := project.pipelines.get(number)) is None:
        return None
    head = [("status", pipeline.status), ("ref", pipeline.ref), ("commit", pipeline.sha)]
    return head + [(job.name, job.status) for job in pipeline.jobs]


def _merge_request(world: World, project: Project, number: int) -> Rows | None:
    if (found := project.merge_requests.get(number)) is None:
        return None
    approvers = (world.user(a.user_id) for a in found.approvals)
    return [
        ("title", found.title),
        ("state", found.state),
        ("from", found.source_branch),
        ("into", found.target_branch),
        ("head", found.sha),
        ("approved by", ", ".join(u.username for u in approvers if u)),
    ]


def _deployments(project: Project) -> Rows:
    newest = list(project.deployments.values())[-50:]
    return [
        (project.environments[d.environment_id].name, f"{d.status} {d.ref} {d.sha[:8]}")
        for d in reversed(newest)
    ]


def _html(title: str, rows: Iterable[tuple[str, str]], status: int = 200) -> Answer:
    table = "".join(f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in rows)
    text = (
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
        f"<p>GitLab (sandbox)<h1>{escape(title)}</h1><table>{table}</table>"
    )
    return Answer(text.encode(), status, HTML)
