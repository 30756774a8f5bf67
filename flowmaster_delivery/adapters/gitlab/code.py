"""Commits, trees and branches of a project."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from posixpath import normpath, split

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.shapes import BranchShape, CommitShape, Named, TreeShape
from flowmaster_delivery.model.errors import NotFound
from flowmaster_delivery.model.source import Commit

MOST_COMMITS = 1000
READERS = 4
"""Histories of paths that are read side by side."""

Listing = dict[str, TreeShape]


def commit(client: Client, project: str, sha: str) -> Commit:
    path = project_path(project, "repository", "commits", sha)
    return client.one(CommitShape, path).commit()


def trees(client: Client, project: str, sha: str, paths: Iterable[str]) -> dict[str, str | None]:
    """Git object id of each path; `.` is the root, whose id is reckoned from its entries."""
    wanted = {path: _normal(path) for path in paths}
    folders = {split(at)[0] for at in wanted.values()}
    listings = {folder: _listing(client, project, sha, folder) for folder in sorted(folders)}
    return {path: _object_id(at, listings) for path, at in wanted.items()}


def between(
    client: Client, project: str, base: str | None, head: str, paths: Sequence[str]
) -> tuple[Commit, ...]:
    """Newest first. One history for all, and one for each path that is asked for."""
    span = f"{base}..{head}" if base else head
    whole = _history(client, project, span)
    if not whole and base != head:
        for sha in filter(None, (base, head)):
            commit(client, project, sha)  # raises NotFound: an unknown commit is no empty history
    tops = _tops(paths)
    if not whole or not tops or "" in tops:
        return tuple(whole)
    with ThreadPoolExecutor(min(READERS, len(tops))) as readers:
        parts = readers.map(lambda path: _history(client, project, span, path), tops)
        touching = {found.id for part in parts for found in part}
    return tuple(found for found in whole if found.id in touching)


def first_parents(client: Client, project: str, sha: str, limit: int) -> tuple[Commit, ...]:
    path = project_path(project, "repository", "commits")
    query = {"ref_name": sha, "first_parent": "true"}
    found = client.all(CommitShape, path, query, limit)
    if not found:
        raise NotFound(f"GitLab has no commit {sha} in {project}")
    return tuple(item.commit() for item in found)


def contains(client: Client, project: str, ref: str, sha: str) -> bool:
    """By the merge base of the two: the commit itself, if the ref contains it."""
    path = project_path(project, "repository", "merge_base")
    try:
        return client.one(Named, path, {"refs[]": [ref, sha]}).id == sha
    except NotFound:
        for known in (ref, sha):
            commit(client, project, known)  # raises NotFound where it is this that is missing
        return False  # both are there, without a common ancestor


def branch_is_protected(client: Client, project: str, branch: str) -> bool:
    path = project_path(project, "repository", "branches", branch)
    return client.one(BranchShape, path).protected


def _history(client: Client, project: str, span: str, path: str = "") -> list[Commit]:
    query = {"ref_name": span} | ({"path": path} if path else {})
    address = project_path(project, "repository", "commits")
    return [item.commit() for item in client.all(CommitShape, address, query, MOST_COMMITS)]


def _tops(paths: Sequence[str]) -> list[str]:
    """The paths without those that lie inside another of them."""
    tops: list[str] = []
    for path in sorted({_normal(path) for path in paths}):
        if not any(path == top or path.startswith(f"{top}/") or not top for top in tops):
            tops.append(path)
    return tops


def _normal(path: str) -> str:
    """The path as git writes it: no slash at its ends, the root empty."""
    normal = normpath(path.strip("/"))
    return "" if normal == "." else normal


def _listing(client: Client, project: str, sha: str, folder: str) -> Listing | None:
    """Entries of a folder; None where the commit has no such folder."""
    path = project_path(project, "repository", "tree")
    query = {"ref": sha, "pagination": "keyset"} | ({"path": folder} if folder else {})
    try:
        return {entry.name: entry for entry in client.all(TreeShape, path, query)}
    except NotFound:
        if not folder:
            raise
        commit(client, project, sha)  # raises NotFound where it is the commit that is missing
        return None


def _object_id(path: str, listings: dict[str, Listing | None]) -> str | None:
    folder, name = split(path)
    listing = listings[folder]
    if listing is None:
        return None
    if not name:
        return tree_id(listing.values())
    return listing[name].id if name in listing else None


def tree_id(entries: Iterable[TreeShape]) -> str:
    """The id that git gives a tree of these entries (GitLab's API does not tell the root's)."""
    ordered = sorted(
        entries, key=lambda entry: (entry.name + "/" * (entry.type == "tree")).encode()
    )
    body = b"".join(
        f"{entry.mode.lstrip('0')} {entry.name}\0".encode() + bytes.fromhex(entry.id)
        for entry in ordered
    )
    wide = any(len(entry.id) == 64 for entry in ordered)
    digest = hashlib.sha256() if wide else hashlib.sha1(usedforsecurity=False)
    digest.update(b"tree %d\0" % len(body) + body)
    return digest.hexdigest()
