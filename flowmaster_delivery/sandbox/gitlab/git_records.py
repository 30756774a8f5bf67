"""What git says, read into records, and what it is told, written for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

COMMIT_FORMAT = (
    "%H%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B%x1f%(trailers:only,unfold)"
)
REF_FORMAT = (
    "%(refname)%00%(objectname)%00%(*objectname)%00%(taggerdate:iso-strict)%00"
    "%(committerdate:unix)%(taggerdate:unix)%00%(if)%(taggerdate)%(then)%(contents)%(end)"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Name and e-mail as git writes them."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    parents: tuple[str, ...]
    author: Person
    authored_at: str
    committer: Person
    committed_at: str
    message: str
    trailers: tuple[tuple[str, str], ...]

    @property
    def title(self) -> str:
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class Ref:
    """`target` is what the ref names, `commit` what it comes to: two for annotated tags."""

    name: str
    target: str
    commit: str
    changed: int
    message: str = ""
    tagged_at: str = ""

    @property
    def annotated(self) -> bool:
        return self.target != self.commit


@dataclass(frozen=True, slots=True)
class TreeEntry:
    mode: str
    type: str
    id: str
    path: str


@dataclass(frozen=True, slots=True)
class FileDiff:
    old_path: str
    new_path: str
    old_mode: str
    new_mode: str
    status: str
    text: str = ""


def as_person(person: Person) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": person.name,
        "GIT_AUTHOR_EMAIL": person.email,
        "GIT_COMMITTER_NAME": person.name,
        "GIT_COMMITTER_EMAIL": person.email,
    }


def read_ref(record: Sequence[str]) -> Ref:
    name, target, peeled, tagged_at, changed, message = record
    return Ref(name, target, peeled or target, int(changed or 0), message.rstrip("\n"), tagged_at)


def read_commit(record: str) -> Commit:
    sha, parents, an, ae, at, cn, ce, ct, message, trailers = record.strip("\n").split("\x1f", 9)
    pairs = (line.split(":", 1) for line in trailers.splitlines() if ":" in line)
    return Commit(
        id=sha,
        parents=tuple(parents.split()),
        author=Person(an, ae),
        authored_at=_milliseconds(at),
        committer=Person(cn, ce),
        committed_at=_milliseconds(ct),
        message=message,
        trailers=tuple((key.strip(), value.strip()) for key, value in pairs),
    )


def _milliseconds(iso: str) -> str:
    return datetime.fromisoformat(iso).isoformat(timespec="milliseconds")


def read_entry(line: str, prefix: str) -> TreeEntry:
    meta, path = line.split("\t", 1)
    mode, kind, oid = meta.split()
    return TreeEntry(mode, kind, oid, prefix + path)


def read_diffs(text: str) -> list[FileDiff]:
    """Read `diff-tree --raw -p`: one raw line per file, then the patches in the same order."""
    raw = [line for line in text.split("\n\n", 1)[0].splitlines() if line.startswith(":")]
    bodies = re.split(r"(?m)^diff --git .*\n", text)[1:]
    diffs = []
    for index, line in enumerate(raw):
        meta, *paths = line[1:].split("\t")
        old_mode, new_mode, _, _, status = meta.split()
        body = bodies[index] if index < len(bodies) else ""
        hunk = body.find("@@")
        diffs.append(
            FileDiff(
                paths[0], paths[-1], old_mode, new_mode, status[0], body[hunk:] if hunk >= 0 else ""
            )
        )
    return diffs


def fast_import_stream(
    branch: str,
    changes: Mapping[str, bytes | None],
    message: str,
    author: Person,
    start: str | None,
) -> bytes:
    text = message.encode()
    lines = [
        f"commit refs/heads/{branch}\nmark :1\n".encode(),
        f"author {author.name} <{author.email}> now\n".encode(),
        f"committer {author.name} <{author.email}> now\n".encode(),
        b"data %d\n%b\n" % (len(text), text),
    ]
    if start:
        lines.append(f"from {start}\n".encode())
    for path, content in changes.items():
        quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        if content is None:
            lines.append(f"D {quoted}\n".encode())
        else:
            lines.append(f"M 100644 inline {quoted}\n".encode())
            lines.append(b"data %d\n%b\n" % (len(content), content))
    return b"".join(lines)
