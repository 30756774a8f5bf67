"""Whether the audit trail is whole: every entry in its place, unchanged, and sealed by us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from flowmaster_delivery.model.audit import START, AuditEntry, Head, fields_of, hash_of
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.seal import proves

SHOWN = 100
"""Findings that are told; one that tampered with everything is not told more than that."""


class Flaw(StrEnum):
    """What is wrong at one place of the chain."""

    CHANGED = "changed"
    """The hash is not that of the content."""
    BROKEN = "broken"
    """It does not follow the entry before it."""
    MISSING = "missing"
    """Entries in the middle or at the beginning."""
    MISPLACED = "misplaced"
    """It stands twice, out of order, or under a number that is not its own."""
    UNSEALED = "unsealed"
    """The seal is not by this installation's key."""
    UNREADABLE = "unreadable"
    CUT_OFF = "cut_off"
    """The newest entries: a head that was noted is not there any more."""
    REWRITTEN = "rewritten"
    """The chain is sound, and not the one whose head was noted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw, at the number of the entry where it shows."""

    sequence: int
    flaw: Flaw
    words: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at a chain came to."""

    entries: int
    first: int
    """Number of the first entry; 0 where there is none."""
    head: Head
    findings: tuple[Finding, ...]
    """The first ones, in their order."""
    flaws: int
    seals: bool
    """Whether seals were looked at: that needs the key."""

    @property
    def whole(self) -> bool:
        return self.flaws == 0


def verify(
    entries: Iterable[AuditEntry],
    key: str | None = None,
    noted: Iterable[Head] = (),
    after: Head = START,
) -> Verified:
    """Look at every entry, oldest first; read one by one, so that they need no memory.

    `noted` are heads that somebody wrote down earlier; `after` is the head that a part of the chain
    goes on from.
    """
    heads = {head.sequence: head for head in noted}
    last, count, first, flaws = after, 0, 0, 0
    told: list[Finding] = []
    for entry in entries:
        for finding in _of_entry(entry, last, key, heads):
            flaws += 1
            told.append(finding)
            del told[SHOWN:]
        last, count, first = entry.head, count + 1, first or entry.sequence
    for finding in _cut_off(last, heads.values()):
        flaws += 1
        told.append(finding)
    return Verified(count, first, last, tuple(told), flaws, seals=key is not None)


def _of_entry(
    entry: AuditEntry, last: Head, key: str | None, noted: dict[int, Head]
) -> Iterator[Finding]:
    number, expected = entry.sequence, last.sequence + 1
    if number > expected:
        which = (
            f"entry {expected} is" if number == expected + 1 else f"{expected} to {number - 1} are"
        )
        yield Finding(expected, Flaw.MISSING, f"{which} missing before entry {number}")
    elif number < expected:
        words = f"entry {number} stands behind entry {last.sequence}"
        yield Finding(number, Flaw.MISPLACED, words)
    if hash_of(entry.content) != entry.hash:
        yield Finding(number, Flaw.CHANGED, f"entry {number} was changed: its hash is another")
    if key is not None and not proves(key, entry.hash, entry.seal):
        yield Finding(number, Flaw.UNSEALED, f"entry {number} was not sealed by this key")
    yield from _of_content(entry, last, follows=number == expected)
    head = noted.get(number)
    if head is not None and head != entry.head:
        yield Finding(number, Flaw.REWRITTEN, f"entry {number} is not the one that was noted")


def _of_content(entry: AuditEntry, last: Head, *, follows: bool) -> Iterator[Finding]:
    number = entry.sequence
    try:
        said = fields_of(entry)
    except Malformed:
        yield Finding(number, Flaw.UNREADABLE, f"entry {number} cannot be read")
        return
    if said.get("sequence") != number:
        words = f"entry {number} says that it is entry {str(said.get('sequence'))[:20]}"
        yield Finding(number, Flaw.MISPLACED, words)
    elif follows and said.get("previous") != last.hash:
        before = f"entry {last.sequence}" if last.sequence else "the beginning"
        yield Finding(number, Flaw.BROKEN, f"entry {number} does not follow {before}")


def _cut_off(last: Head, noted: Iterable[Head]) -> Iterator[Finding]:
    for head in sorted(noted, key=lambda one: one.sequence):
        if head.sequence > last.sequence:
            words = f"the newest entry is {last.sequence}, and {head.sequence} was noted"
            yield Finding(head.sequence, Flaw.CUT_OFF, words)
