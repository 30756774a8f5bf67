"""git over HTTP: `git http-backend` as CGI, with GitLab's answers for who may not."""

from __future__ import annotations

import base64
import binascii
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowmaster_delivery.sandbox.gitlab import access
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.answers import Answer, bad
from flowmaster_delivery.sandbox.gitlab.git_program import git_environment, git_program
from flowmaster_delivery.sandbox.gitlab.records import DEVELOPER, REPORTER
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World

TIMEOUT = 120.0
LONGEST_BODY = 256 * 1024 * 1024
SERVICES = ("git-upload-pack", "git-receive-pack")
NOT_FOUND = (
    b"The project you were looking for could not be found or you don't have permission to view it."
)


@dataclass(frozen=True, slots=True)
class GitRequest:
    """One request to `<project>.git/<tail>`."""

    method: str
    project_path: str
    tail: str
    query: str
    headers: Mapping[str, str]

    @property
    def service(self) -> str:
        """`git-upload-pack` or `git-receive-pack`, empty for anything else."""
        if self.tail == "info/refs":
            name = self.query.removeprefix("service=").split("&")[0]
        else:
            name = self.tail
        return name if name in SERVICES else ""

    @property
    def writes(self) -> bool:
        return self.service == "git-receive-pack"


def token_in(headers: Mapping[str, str]) -> str:
    """The password of basic authentication: a token, whatever the user name."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def admit(world: World, user: User | None, request: GitRequest) -> Project | Answer:
    """The project, or the answer that says why not."""
    project = world.state.project_at(request.project_path)
    if user is None and (project is None or project.visibility != "public" or request.writes):
        challenge = {"WWW-Authenticate": 'Basic realm="GitLab"', "Content-Type": "text/plain"}
        return Answer(b"HTTP Basic: Access denied.\n", 401, challenge)
    if project is None or not world.state.sees(user, project):
        return _text(404, NOT_FOUND)
    role = world.state.role(user, project)
    if request.writes and role < DEVELOPER:
        return _text(403, access.NO_PUSH.encode())
    if role < REPORTER and project.visibility == "private":
        return _text(403, b"You are not allowed to download code from this project.")
    return project


def _text(status: int, text: bytes) -> Answer:
    return Answer(text, status, {"Content-Type": "text/plain"})


def plain_body(request: GitRequest, body: bytes) -> bytes:
    """The body unpacked. Raise ApiError where it is no gzip or too long."""
    if request.headers.get("content-encoding") not in ("gzip", "x-gzip"):
        return body
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, LONGEST_BODY)
    except zlib.error as error:
        raise bad("the body is no gzip") from error
    if unpacker.unconsumed_tail:
        raise bad("the unpacked body is too long", 413)
    return plain


def commands(body: bytes) -> list[RefChange]:
    """What a push wants to change: the packet lines before the first flush."""
    found = []
    position = 0
    while position + 4 <= len(body):
        try:
            length = int(body[position : position + 4], 16)
        except ValueError:
            raise bad("the push is no packet lines") from None
        if length < 4:
            break
        line = body[position + 4 : position + length].split(b"\0")[0].decode(errors="replace")
        parts = line.strip().split(" ", 2)
        if len(parts) == 3 and parts[2].startswith("refs/"):
            found.append(RefChange(parts[2], parts[0], parts[1]))
        position += length
    return found


def rules_for(project: Project, role: int, changes: Iterable[RefChange]) -> dict[str, str]:
    """Environment of the pre-receive hook: what it refuses, as the role has it."""
    wanted = list(changes)
    refusals = [r for c in wanted if (r := access.refusal(project, role, c)) is not None]
    return {
        "SANDBOX_REFUSAL": refusals[0] if refusals else "",
        "SANDBOX_NO_FORCE": " ".join(access.refs_without_force(project, wanted)),
        "SANDBOX_NO_FORCE_TEXT": access.NO_FORCE,
    }


def run_backend(
    project: Project, request: GitRequest, body: bytes, rules: Mapping[str, str]
) -> Answer:
    """One CGI run of `git http-backend`; blocks until git is done."""
    variables = {
        **git_environment(),
        **rules,
        "GIT_PROJECT_ROOT": str(project.repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{project.repository.path.name}/{request.tail}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_USER": "sandbox",
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
    }
    done = subprocess.run(  # noqa: S603  # nosec B603  # git, found once; no shell
        [git_program(), "http-backend"],
        input=body,
        capture_output=True,
        env=variables,
        timeout=TIMEOUT,
        check=False,
    )
    return _cgi_answer(done.stdout)


def _cgi_answer(output: bytes) -> Answer:
    head, _, body = output.partition(b"\r\n\r\n")
    headers = dict(
        line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line
    )
    status = int(headers.pop("Status", "200").split()[0]) if headers else 500
    return Answer(body, status, headers)
