"""Folders and files at a commit."""

from __future__ import annotations

import base64
import hashlib

from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, missing
from flowmaster_delivery.sandbox.gitlab.api_commits import create_commit
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import REPORTER
from flowmaster_delivery.sandbox.gitlab.state import Project

routes = Routes()


@routes.on("GET", "/projects/:id/repository/tree")
def tree(call: Call) -> object:
    project, params = project_of(call, REPORTER), call.params
    sha = call.world.resolve(project, params.text("ref") or project.default_branch, "Tree")
    path, deep = params.text("path").strip("/"), params.flag("recursive")
    entries = project.repository.tree(sha, path, recursive=deep)
    if entries is None:
        raise missing("invalid revision or path" if not path else "Tree")
    shown = [
        {
            "id": e.id,
            "name": e.path.rsplit("/", 1)[-1],
            "type": e.type,
            "path": e.path,
            "mode": e.mode,
        }
        for e in entries
    ]
    if call.keyset:
        return call.after(shown, lambda e: str(e["id"]), dict)
    return call.paged(shown, dict)


FILE = "/projects/:id/repository/files/:path"


def _file(call: Call) -> tuple[Project, str, str, bytes]:
    """Project, commit, object id and content of the file that the path names."""
    project = project_of(call, REPORTER)
    ref = call.params.text("ref", "HEAD")
    name = project.default_branch if ref == "HEAD" else ref
    sha = call.world.resolve(project, name, "Commit")
    found = project.repository.blob(sha, call.path["path"])
    if found is None:
        raise missing("File")
    return project, sha, *found


@routes.on("GET", FILE)
def one_file(call: Call) -> object:
    project, sha, oid, content = _file(call)
    path = call.path["path"]
    last = project.repository.log("--max-count=1", sha, "--", path)
    return {
        "file_name": path.rsplit("/", 1)[-1],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "ref": call.params.text("ref", "HEAD"),
        "blob_id": oid,
        "commit_id": sha,
        "last_commit_id": last[0].id if last else sha,
        "execute_filemode": False,
        "content": base64.b64encode(content).decode(),
    }


@routes.on("HEAD", FILE)
def file_head(call: Call) -> object:
    _, sha, oid, content = _file(call)
    headers = {
        "X-Gitlab-File-Path": call.path["path"],
        "X-Gitlab-Blob-Id": oid,
        "X-Gitlab-Commit-Id": sha,
        "X-Gitlab-Size": str(len(content)),
        "X-Gitlab-Content-Sha256": hashlib.sha256(content).hexdigest(),
    }
    return Answer(b"", headers=headers)


@routes.on("GET", f"{FILE}/raw")
def raw_file(call: Call) -> object:
    content = _file(call)[3]
    return Answer(content, headers={"Content-Type": "text/plain; charset=utf-8"})


@routes.on("POST", FILE)
@routes.on("PUT", FILE)
@routes.on("DELETE", FILE)
def write_file(call: Call) -> object:
    """One file, as a commit of its own."""
    kind = {"POST": "create", "PUT": "update", "DELETE": "delete"}[call.method]
    params, path = call.params, call.path["path"]
    action = {
        "action": kind,
        "file_path": path,
        "content": params.raw("content"),
        "encoding": params.raw("encoding"),
    }
    params.values["actions"] = [action]
    create_commit(call)
    branch = params.text("branch")
    if kind == "delete":
        return NO_CONTENT
    return Answer({"file_path": path, "branch": branch}, 201 if kind == "create" else 200)
