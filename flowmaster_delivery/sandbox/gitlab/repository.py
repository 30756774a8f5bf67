"""A bare git repository, asked and changed through the `git` program.

What hangs on an object id never changes and is kept; the refs are kept until somebody writes.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowmaster_delivery.sandbox.gitlab.git_program import (
    CONFIG,
    PRE_RECEIVE,
    GitError,
    git_environment,
    git_program,
)
from flowmaster_delivery.sandbox.gitlab.git_records import (
    COMMIT_FORMAT,
    REF_FORMAT,
    Commit,
    FileDiff,
    Person,
    Ref,
    TreeEntry,
    as_person,
    fast_import_stream,
    read_commit,
    read_diffs,
    read_entry,
    read_ref,
)

TIMEOUT = 60.0
SHA = re.compile(r"^[0-9a-f]{40}$")
SHORT_SHA = re.compile(r"^[0-9a-f]{7,40}$")


@dataclass(slots=True)
class GitRepository:
    path: Path
    _refs: dict[str, Ref] | None = None
    _merged: dict[str, frozenset[str]] = field(default_factory=dict)
    _commits: dict[str, Commit] = field(default_factory=dict)
    _answers: dict[tuple[str, ...], bytes] = field(default_factory=dict)

    @classmethod
    def create(cls, path: Path, default_branch: str) -> GitRepository:
        """An empty bare repository that lets `git push` in and refuses by its hook."""
        path.mkdir(parents=True)
        repository = cls(path)
        repository.git("init", "-q", "--bare", f"--initial-branch={default_branch}", "--template=")
        hooks = path / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "pre-receive").write_text(PRE_RECEIVE)
        (hooks / "pre-receive").chmod(0o755)
        with (path / "config").open("a") as config:
            config.write(CONFIG)
        return repository

    def git(
        self,
        *arguments: str,
        given: bytes | None = None,
        accept: Sequence[int] = (0,),
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git here. Raise GitError with git's own words on another exit status."""
        done = subprocess.run(  # noqa: S603  # nosec B603  # git, found once; no shell
            [git_program(), "-C", str(self.path), *arguments],
            input=given if given is not None else b"",
            capture_output=True,
            env={**git_environment(), **(env or {})},
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode not in accept:
            raise GitError(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def kept(self, *arguments: str, accept: Sequence[int] = (0,)) -> bytes:
        """As `git`, asked once: for questions whose arguments are object ids."""
        answer = self._answers.get(arguments)
        if answer is None:
            answer = self.git(*arguments, accept=accept)
            if len(self._answers) > 2000:
                self._answers.clear()
            self._answers[arguments] = answer
        return answer

    # refs

    def forget_refs(self) -> None:
        self._refs = None
        self._merged.clear()

    def refs(self) -> dict[str, Ref]:
        """Every ref by its full name."""
        if self._refs is None:
            lines = self.git("for-each-ref", f"--format={REF_FORMAT}%01").decode(errors="replace")
            records = (r.removeprefix("\n").split("\0") for r in lines.split("\x01\n"))
            self._refs = {r[0]: read_ref(r) for r in records if len(r) == 6}
        return self._refs

    def branches(self) -> dict[str, Ref]:
        return self._under("refs/heads/")

    def tags(self) -> dict[str, Ref]:
        return self._under("refs/tags/")

    def _under(self, prefix: str) -> dict[str, Ref]:
        return {n.removeprefix(prefix): r for n, r in self.refs().items() if n.startswith(prefix)}

    def resolve(self, name: str) -> str | None:
        """Commit of a branch, a tag, HEAD, a full ref name or a commit id (7 characters on)."""
        refs = self.refs()
        if name == "HEAD":
            name = self.git("symbolic-ref", "HEAD").decode().strip()
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            if candidate in refs:
                return refs[candidate].commit
        if name in self._commits:
            return name
        if not SHORT_SHA.match(name):
            return None
        found = self.git("rev-parse", "--verify", "-q", f"{name}^{{commit}}", accept=(0, 1, 128))
        return found.decode().strip() or None

    def update_ref(self, name: str, new: str, old: str | None = None) -> None:
        expected = () if old is None else (old,)
        self.git("update-ref", name, new, *expected)
        self.forget_refs()

    def delete_ref(self, name: str) -> None:
        self.git("update-ref", "-d", name)
        self.forget_refs()

    def valid_ref_name(self, name: str) -> bool:
        try:
            self.kept("check-ref-format", f"refs/heads/{name}")
        except GitError:
            return False
        return not name.startswith("-")

    def create_tag(self, name: str, commit: str, message: str, tagger: Person) -> None:
        """A light tag, or an annotated one where there is a message."""
        if not message:
            self.update_ref(f"refs/tags/{name}", commit)
            return
        self.git(
            "tag", "-a", "-F", "-", name, commit, given=message.encode(), env=as_person(tagger)
        )
        self.forget_refs()

    # commits

    def commit(self, sha: str) -> Commit:
        """Raise GitError where there is no such commit."""
        if sha not in self._commits:
            self.log("--no-walk", sha)
        return self._commits[sha]

    def commits(self, shas: Iterable[str]) -> list[Commit]:
        """Those commits, with one question for all that are not known yet."""
        wanted = list(shas)
        missing = [sha for sha in dict.fromkeys(wanted) if sha not in self._commits]
        if missing:
            self._log(["--no-walk=unsorted", "--stdin"], "\n".join(missing).encode())
        return [self._commits[sha] for sha in wanted]

    def log(self, *arguments: str) -> list[Commit]:
        """`git log` with these arguments, newest first."""
        return self._log(list(arguments), b"")

    def _log(self, arguments: list[str], given: bytes) -> list[Commit]:
        out = self.git("log", "-z", f"--format={COMMIT_FORMAT}", *arguments, given=given)
        found = [
            read_commit(record) for record in out.decode(errors="replace").split("\0") if record
        ]
        self._commits.update((c.id, c) for c in found)
        return found

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self.merge_base(older, newer) == older

    def merge_base(self, *shas: str) -> str | None:
        out = self.kept("merge-base", *shas, accept=(0, 1)).decode().split()
        return out[0] if out else None

    def merged_into(self, sha: str) -> frozenset[str]:
        """Full names of the branches whose head the commit has."""
        if sha not in self._merged:
            out = self.git("for-each-ref", f"--merged={sha}", "--format=%(refname)", "refs/heads")
            self._merged[sha] = frozenset(out.decode().split())
        return self._merged[sha]

    def refs_with(self, sha: str) -> list[str]:
        """Full names of the branches and tags that have the commit."""
        out = self.git(
            "for-each-ref", "--contains", sha, "--format=%(refname)", "refs/heads", "refs/tags"
        )
        return out.decode().split()

    # contents

    def tree(self, sha: str, path: str = "", *, recursive: bool = False) -> list[TreeEntry] | None:
        """Entries of a folder at a commit, folders first; None where there is no such folder."""
        flags = ("-r", "-t") if recursive else ()
        where = f"{sha}:{path.strip('/')}"
        try:
            out = self.kept("ls-tree", "-z", *flags, where)
        except GitError:
            return None
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        entries = [
            read_entry(line, prefix) for line in out.decode(errors="replace").split("\0") if line
        ]
        return sorted(entries, key=lambda e: {"tree": 0, "blob": 1}.get(e.type, 2))

    def blob(self, sha: str, path: str) -> tuple[str, bytes] | None:
        """Object id and content of a file at a commit; None where there is none."""
        try:
            oid = self.kept("rev-parse", "--verify", f"{sha}:{path}").decode().strip()
            return oid, self.kept("cat-file", "blob", oid)
        except GitError:
            return None

    def changed_files(self, old: str, new: str) -> tuple[str, ...]:
        out = self.kept("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
        return tuple(p for p in out.decode(errors="replace").split("\0") if p)

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """What changed between two commits, file by file."""
        raw = self.kept("diff-tree", "-r", "-M", "--full-index", "-p", "--raw", old, new)
        return read_diffs(raw.decode(errors="replace"))

    def patch_id(self, base: str, head: str) -> str:
        """The identity of a change, whatever it stands on."""
        patch = self.kept("diff", base, head)
        out = self.git("patch-id", "--stable", given=patch).decode().split()
        return out[0] if out else ""

    # writing

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Tree of the two merged; None on conflict."""
        out = self.kept("merge-tree", "--write-tree", "--no-messages", ours, theirs, accept=(0, 1))
        first, *rest = out.decode().split("\n", 1)
        return None if rest and rest[0].strip() else first

    def commit_tree(
        self, tree: str, parents: Sequence[str], message: str, author: Person, committer: Person
    ) -> str:
        flags = [flag for parent in parents for flag in ("-p", parent)]
        env = {
            **as_person(committer),
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
        }
        made = self.git("commit-tree", tree, *flags, "-F", "-", given=message.encode(), env=env)
        return made.decode().strip()

    def tree_of(self, sha: str) -> str:
        return self.kept("rev-parse", f"{sha}^{{tree}}").decode().strip()

    def write_commit(
        self,
        branch: str,
        changes: Mapping[str, bytes | None],
        message: str,
        author: Person,
        start: str | None,
    ) -> str:
        """Commit files (None deletes) on a branch with one `git fast-import`; the new commit."""
        with tempfile.NamedTemporaryFile(dir=self.path, prefix="marks-") as marks:
            stream = fast_import_stream(branch, changes, message, author, start)
            options = ("--quiet", "--force", "--date-format=now", f"--export-marks={marks.name}")
            self.git("fast-import", *options, given=stream)
            self.forget_refs()
            return Path(marks.name).read_text().split()[-1]
