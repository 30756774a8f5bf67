"""All refs of a repository by git's protocol v2 (`ls-refs`): two requests, however many refs.

Source of the format: git's gitprotocol-v2(5) and gitprotocol-http(5).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

from flowmaster_delivery.adapters.wire import (
    AGENT,
    MEGABYTE,
    Answer,
    Patience,
    Wire,
    excerpt,
    fault,
    retry_after,
)
from flowmaster_delivery.model.errors import Malformed, Unreachable
from flowmaster_delivery.model.source import Refs
from flowmaster_delivery.redaction import learn

FLUSH, DELIMITER = b"0000", b"0001"
LONGEST_PACKET = 65520
LIMIT = 32 * MEGABYTE
"""Some 300,000 refs."""

BRANCHES, TAGS = "refs/heads/", "refs/tags/"
PROTOCOL = {"Git-Protocol": "version=2"}
LINE = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) ([^ \n]+)((?: [^ \n]+)*)\n?")
PEELED = re.compile(rb" peeled:([0-9a-f]{40}|[0-9a-f]{64})(?= |$)")


class GitRefs:
    """Reads refs over HTTP, as the user whose token is given."""

    def __init__(
        self, wire: Wire, url: str, token: Callable[[], str], *, patience: Patience
    ) -> None:
        self._wire, self._url, self._token, self._patience = wire, url, token, patience

    def refs(self, project: str) -> Refs:
        """Branches and tags of a project (`group/name`); tags peeled to what they tag."""
        address = f"{self._url}/{project}.git"
        advertised = self._patience.call(lambda: self._advertisement(address))
        asked = _question(_object_format(address, advertised))
        return parse_refs(self._patience.call(lambda: self._ls_refs(address, asked)))

    def _advertisement(self, address: str) -> bytes:
        url = f"{address}/info/refs?service=git-upload-pack"
        return self._checked(
            address,
            self._wire.send("GET", url, headers=PROTOCOL | self._authorization(), limit=MEGABYTE),
        )

    def _ls_refs(self, address: str, asked: bytes) -> bytes:
        headers = {
            "Content-Type": "application/x-git-upload-pack-request",
            "Accept": "application/x-git-upload-pack-result",
            **PROTOCOL,
            **self._authorization(),
        }
        url = f"{address}/git-upload-pack"
        return self._checked(
            address, self._wire.send("POST", url, headers=headers, content=asked, limit=LIMIT)
        )

    def _authorization(self) -> dict[str, str]:
        credentials = base64.b64encode(f"oauth2:{self._token()}".encode()).decode()
        learn("git_credentials", credentials)
        return {"Authorization": f"Basic {credentials}"}

    def _checked(self, address: str, answer: Answer) -> bytes:
        if answer.status == 200:
            return answer.body
        raise fault(
            f"git at {address}",
            answer.status,
            said="" if answer.body[:1] == b"<" else excerpt(answer.body),
            retry_after=retry_after(answer.headers),
            to_do=_to_do(answer),
        )


def _to_do(answer: Answer) -> str:
    if answer.status in (401, 403):
        return "the GitLab token needs the scope read_repository and access to the project"
    if answer.status == 404:
        return "check the project's path in the catalog, and that the token may see it"
    if 300 <= answer.status < 400:
        where = answer.headers.get("Location", "elsewhere").partition("?")[0]
        return f"it points to {where}: name the project's present path in the catalog"
    return ""


def packet(line: str) -> bytes:
    """A pkt-line: four hex digits of the length, themselves included, then the line."""
    content = line.encode() + b"\n"
    return b"%04x" % (len(content) + 4) + content


def packets(stream: bytes) -> Iterator[bytes | None]:
    """The pkt-lines of a stream; None for a flush. Delimiters and response ends are left out.

    Raise Malformed where a length is none, Unreachable where the stream breaks off.
    """
    at = 0
    while at < len(stream):
        head = stream[at : at + 4]
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", head):
            raise Malformed(f"git sent a pkt-line of no length at byte {at}: {head!r}")
        length = int(head, 16)
        if length == 3 or length > LONGEST_PACKET:
            raise Malformed(f"git sent a pkt-line of the forbidden length {length} at byte {at}")
        if length < 4:
            at += 4
            if length == 0:
                yield None
            continue
        if at + length > len(stream):
            raise Unreachable("git's answer broke off within a pkt-line")
        yield stream[at + 4 : at + length]
        at += length


def _object_format(address: str, advertised: bytes) -> str:
    """The hash that the repository uses, from a capability advertisement of version 2."""
    lines = [(line or b"").rstrip(b"\n") for line in packets(advertised)]
    if b"version 2" not in lines:
        raise Malformed(f"git at {address} does not speak protocol v2; is it a git server?")
    if not any(line == b"ls-refs" or line.startswith(b"ls-refs=") for line in lines):
        raise Malformed(f"git at {address} does not offer ls-refs")
    formats = [line.partition(b"=")[2] for line in lines if line.startswith(b"object-format=")]
    return "sha256" if formats == [b"sha256"] else "sha1"


def _question(object_format: str) -> bytes:
    wants = ("peel", f"ref-prefix {BRANCHES}", f"ref-prefix {TAGS}")
    head = ("command=ls-refs", f"agent={AGENT}", f"object-format={object_format}")
    lines = [*map(packet, head), DELIMITER, *map(packet, wants), FLUSH]
    return b"".join(lines)


def parse_refs(answer: bytes) -> Refs:
    """The refs of an answer to `ls-refs`, which must end with a flush."""
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    for line in packets(answer):
        if line is None:
            return Refs(branches, tags)
        match = LINE.fullmatch(line)
        if not match:
            said = "said " if line.startswith(b"ERR ") else "sent a line that is no ref: "
            raise Malformed(f"git {said}{excerpt(line.removeprefix(b'ERR '))}")
        name = match[2].decode("utf-8", "backslashreplace")
        if name.startswith(BRANCHES):
            branches[name.removeprefix(BRANCHES)] = match[1].decode()
        elif name.startswith(TAGS):
            peeled = PEELED.search(match[3])
            tags[name.removeprefix(TAGS)] = (peeled or match)[1].decode()
    raise Unreachable("git's list of refs broke off before its end")
