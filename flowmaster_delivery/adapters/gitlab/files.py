"""Contents of a project's files: the manifests that a commit holds."""

from __future__ import annotations

import binascii
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.model.errors import Malformed

MOST_FILES = 200
LARGEST = 1024 * 1024
READERS = 4


class EntryShape(BaseModel):
    path: str
    type: str


class FileShape(BaseModel):
    size: int
    content: str


def below(client: Client, project: str, sha: str, folder: str) -> dict[str, bytes]:
    """Every file of a folder and its folders, by the path within it."""
    root = folder.strip("/").removesuffix(".")
    query: dict[str, object] = {"ref": sha, "recursive": "true", "pagination": "keyset"}
    if root:
        query["path"] = root
    tree = project_path(project, "repository", "tree")
    found = client.all(EntryShape, tree, query, MOST_FILES + 1)
    paths = [entry.path for entry in found if entry.type == "blob"]
    if len(found) > MOST_FILES:
        raise Malformed(f"{folder} of {project} has more than {MOST_FILES} files; read fewer")
    prefix = f"{root}/" if root else ""
    with ThreadPoolExecutor(READERS) as readers:
        contents = readers.map(lambda path: _content(client, project, sha, path), paths)
        return {path.removeprefix(prefix): text for path, text in zip(paths, contents, strict=True)}


def _content(client: Client, project: str, sha: str, path: str) -> bytes:
    place = project_path(project, "repository", "files", path)
    file = client.one(FileShape, place, {"ref": sha})
    if file.size > LARGEST:
        raise Malformed(f"{path} of {project} has {file.size} bytes; at most {LARGEST} are read")
    try:
        return b64decode(file.content, validate=True)
    except binascii.Error as error:
        raise Malformed(f"GitLab sent {path} of {project} in no form of its own") from error
