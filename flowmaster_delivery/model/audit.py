"""The audit trail: who did what, why, when and from where, as a chain that shows every change.

Each entry is one line of JSON that names the hash of the entry before it. Its own hash is over
that line, its seal over the hash: to change, remove or add one, all that follow must be made anew,
which nobody can without the key. Only the newest entries can be cut off unseen; a head that
somebody noted elsewhere shows that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.seal import signature

NAME_LIMIT = 256
TEXT_LIMIT = 2000
LINES_LIMIT = 60
"""Gates or details of one entry; more are counted."""
NAMES_LIMIT = 1000
FORM = 1
"""Of the line; a reader that does not know it says so."""


class Action(StrEnum):
    """What was done, or what somebody wanted."""

    PROMOTION_ASKED = "promotion_asked"
    PROMOTION_ADMITTED = "promotion_admitted"
    PROMOTION_REFUSED = "promotion_refused"
    PROMOTION_SHIPPED = "promotion_shipped"
    PROMOTION_FAILED = "promotion_failed"
    ROLLBACK_ASKED = "rollback_asked"
    ROLLBACK_AUTOMATIC = "rollback_automatic"
    """The rules began one by themselves."""
    ROLLBACK_BEGUN = "rollback_begun"
    """What a person asked for or approved."""
    ROLLBACK_DONE = "rollback_done"
    ROLLBACK_FAILED = "rollback_failed"
    ROLLBACK_REFUSED = "rollback_refused"
    INCIDENT_ASKED = "incident_asked"
    """The rules ask a person."""
    INCIDENT_APPROVED = "incident_approved"
    INCIDENT_DISMISSED = "incident_dismissed"
    INCIDENT_LEFT = "incident_left"
    """Told, and nothing done."""
    INCIDENT_FAILED = "incident_failed"
    HOLD_PLACED = "hold_placed"
    HOLD_RELEASED = "hold_released"
    OVERRIDE_GIVEN = "override_given"
    APPROVAL_GIVEN = "approval_given"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    CANARY_ORDERED = "canary_ordered"
    SCHEMA_SETTLED = "schema_settled"
    ADOPTION = "adoption"
    RUN_SUBMITTED = "run_submitted"
    RUN_REFUSED = "run_refused"
    AUTHENTICATION_REFUSED = "authentication_refused"
    WEBHOOK_REFUSED = "webhook_refused"


class Result(StrEnum):
    """What became of it, as far as was known when it was written."""

    ACCEPTED = "accepted"
    """Let through: written before it took effect."""
    REFUSED = "refused"
    DONE = "done"
    """Written when it had happened."""
    FAILED = "failed"
    UNCHANGED = "unchanged"
    """It was so already."""


class Channel(StrEnum):
    """The way by which it came."""

    API = "api"
    UI = "ui"
    SENSOR = "sensor"
    RUN = "run"
    WATCH = "watch"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Whence:
    """From where: the way, and the address of a client or the name of the platform's own host."""

    channel: Channel
    address: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that goes on the trail. Empty where it says nothing; times are timezone-aware."""

    action: Action
    result: Result
    at: datetime
    whence: Whence
    who: str = ""
    """Empty where nobody is known."""
    via: str = ""
    """How it is known who: token, proxy, grant, sandbox, platform."""
    environment: str = ""
    services: tuple[str, ...] = ()
    version: str = ""
    commit: str = ""
    from_digest: str = ""
    to_digest: str = ""
    reason: str = ""
    """In the words of whoever did it, or of the rule."""
    gates: tuple[str, ...] = ()
    """That were closed or overridden, each with its answer."""
    run_id: str = ""
    occasion: str = ""
    """Connects what was asked with the run that came of it."""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry. Noted elsewhere, it shows later whether anything before it has changed."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def of(cls, text: str) -> Head:
        """Of `SEQUENCE:HASH`; raise Malformed for anything else."""
        number, _, hash_ = text.strip().partition(":")
        hexadecimal = len(hash_) == 64 and not set(hash_) - set("0123456789abcdef")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and hexadecimal):
            raise Malformed(
                f"{text[:100]!r} is no head of the audit trail; give SEQUENCE:HASH as "
                "`flowmaster audit head` prints it"
            )
        return cls(int(number), hash_)


START = Head(0, "0" * 64)
"""Before the first entry."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A deed at its place in the chain, as it is stored. `content` is the line that is hashed."""

    sequence: int
    content: str
    hash: str
    seal: str

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.hash)


def chained(deed: Deed, before: Head, key: str) -> AuditEntry:
    """The entry that follows `before`; what people wrote is cut to its limits."""
    sequence = before.sequence + 1
    content = canonical(
        {"form": FORM, "sequence": sequence, "previous": before.hash, **_fields(deed)}
    )
    hash_ = hash_of(content)
    return AuditEntry(sequence, content, hash_, signature(key, hash_))


def hash_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def canonical(fields: Mapping[str, object]) -> str:
    """The one way to write fields as a line: ASCII, keys in order, no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def line_of(entry: AuditEntry) -> dict[str, object]:
    """An entry as people and machines read it; raise Malformed where its content is no entry."""
    return {**fields_of(entry), "hash": entry.hash, "seal": entry.seal}


def entry_of(line: str) -> AuditEntry:
    """The entry of an exported line; raise Malformed where it is none."""
    fields = _parsed(line)
    try:
        hash_, seal, sequence = fields.pop("hash"), fields.pop("seal"), fields["sequence"]
    except KeyError as error:
        raise Malformed(f"a line of the audit trail has no {error}: {line[:80]!r}") from error
    if (
        not (isinstance(hash_, str) and isinstance(seal, str) and f"{hash_}{seal}".isascii())
        or type(sequence) is not int
    ):
        raise Malformed(f"a line of the audit trail is not of its form: {line[:80]!r}")
    return AuditEntry(sequence, canonical(fields), hash_, seal)


def fields_of(entry: AuditEntry) -> dict[str, object]:
    """What the entry says; raise Malformed where its content is no entry."""
    return _parsed(entry.content)


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no entry of the audit trail: {text[:80]!r}") from error
    if not isinstance(found, dict):
        raise Malformed(f"no entry of the audit trail: {text[:80]!r}")
    return found


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A name that stands twice would show people another value than the one that is hashed."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _fields(deed: Deed) -> dict[str, object]:
    names = {
        "who": deed.who,
        "via": deed.via,
        "address": deed.whence.address,
        "environment": deed.environment,
        "version": deed.version,
        "commit": deed.commit,
        "from_digest": deed.from_digest,
        "to_digest": deed.to_digest,
        "run_id": deed.run_id,
        "occasion": deed.occasion,
    }
    return {
        "at": deed.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "action": deed.action.value,
        "result": deed.result.value,
        "channel": deed.whence.channel.value,
        **{name: plain(value, NAME_LIMIT) for name, value in names.items()},
        "services": [plain(name, NAME_LIMIT) for name in deed.services[:NAMES_LIMIT]],
        "reason": plain(deed.reason, TEXT_LIMIT),
        "gates": [plain(words, TEXT_LIMIT) for words in deed.gates[:LINES_LIMIT]],
        "details": {
            plain(name, NAME_LIMIT): plain(value, TEXT_LIMIT)
            for name, value in list(deed.details.items())[:LINES_LIMIT]
        },
    }


def plain(text: str, limit: int) -> str:
    """On one line, without signs that a terminal would obey, and no longer than so many."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * limit])
    words = " ".join(shown.split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"
