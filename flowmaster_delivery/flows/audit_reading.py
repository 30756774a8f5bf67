"""The audit trail as people read it: what they look for, parts of it, and whether it is whole.

One that was tampered with is shown as far as it can be: it must not hide what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowmaster_delivery.model.audit import START, AuditEntry, Head, line_of
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.policy.audit import Verified, verify
from flowmaster_delivery.policy.audit_search import Search
from flowmaster_delivery.ports import AuditTrail

PAGE = 1000
"""Entries of one read."""
AT_ONCE = 20 * PAGE
"""Entries that are looked through for one answer; it says where to go on."""

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of the trail. `next` is where to go on, None at its end."""

    entries: tuple[Line, ...]
    next: int | None


def found(search: Search, before: int | None, limit: int, trail: AuditTrail) -> Page:
    """The newest entries that the search finds among those with numbers below `before`.

    Entries that were late stand behind later ones: so whole pages must be too old before it ends.
    """
    kept: list[Line] = []
    for _ in range(AT_ONCE // PAGE):
        entries = trail.newest(before, PAGE)
        lines = [shown(entry) for entry in entries]
        for line, entry in zip(lines, entries, strict=True):
            before = entry.sequence
            if search.finds(line):
                kept.append(line)
            if len(kept) == limit:
                return Page(tuple(kept), before if before > 1 else None)
        if len(entries) < PAGE or all(search.is_before(line) for line in lines):
            return Page(tuple(kept), None)
    return Page(tuple(kept), before)


def part(after: int, limit: int, trail: AuditTrail) -> Page:
    """Entries as they are, oldest first, to be kept elsewhere."""
    entries = trail.read(after, limit)
    last = entries[-1].sequence if len(entries) == limit else None
    return Page(tuple(shown(entry) for entry in entries), last)


def check(trail: AuditTrail, key: str, noted: Iterable[Head], after: Head = START) -> Verified:
    """Every entry, from the first one on or from behind a head that was noted."""
    return verify(_all(trail, after.sequence), key, noted, after)


def shown(entry: AuditEntry) -> Line:
    """The line of an entry; one that cannot be read says so."""
    try:
        return line_of(entry)
    except Malformed:
        return {
            "sequence": entry.sequence,
            "action": "unreadable",
            "content": entry.content,
            "hash": entry.hash,
            "seal": entry.seal,
        }


def _all(trail: AuditTrail, after: int) -> Iterator[AuditEntry]:
    while entries := trail.read(after, PAGE):
        yield from entries
        after = entries[-1].sequence
