"""Whether a trail is whole: any change, removal, swap or insertion is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmaster_delivery.model.audit import (
    START,
    Action,
    AuditEntry,
    Channel,
    Deed,
    Head,
    Result,
    Whence,
    chained,
    hash_of,
)
from flowmaster_delivery.model.seal import signature
from flowmaster_delivery.policy.audit import SHOWN, Flaw, Verified, verify

KEY = "a key that is long enough"
OTHER_KEY = "another key, of an attacker"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def chain(count: int, key: str = KEY, before: Head = START) -> list[AuditEntry]:
    made: list[AuditEntry] = []
    for number in range(count):
        deed = Deed(
            Action.HOLD_PLACED,
            Result.DONE,
            NOW + timedelta(minutes=number),
            Whence(Channel.API),
            who=f"person-{number}",
        )
        made.append(chained(deed, made[-1].head if made else before, key))
    return made


def flaws(found: Verified) -> list[tuple[int, str]]:
    return [(one.sequence, one.flaw.value) for one in found.findings]


def rehashed(entry: AuditEntry, content: str, key: str = OTHER_KEY) -> AuditEntry:
    """As somebody would write it who has the database and not the key."""
    hash_ = hash_of(content)
    return AuditEntry(entry.sequence, content, hash_, signature(key, hash_))


def test_a_trail_that_nobody_touched_is_whole() -> None:
    entries = chain(5)
    found = verify(iter(entries), KEY, noted=[entries[2].head, entries[4].head])
    assert found.whole
    assert (found.entries, found.first, found.head) == (5, 1, entries[4].head)


def test_an_empty_trail_is_whole_as_long_as_nobody_noted_a_head() -> None:
    assert verify([], KEY).whole
    assert flaws(verify([], KEY, noted=[chain(3)[2].head])) == [(3, "cut_off")]


def test_without_the_key_the_chain_is_looked_at_and_the_seals_are_not() -> None:
    found = verify(chain(3, OTHER_KEY))
    assert (found.whole, found.seals) == (True, False)


def test_a_changed_entry_is_named() -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], content=entries[2].content.replace("person-2", "nobody"))
    assert flaws(verify(entries, KEY)) == [(3, "changed")]


def test_a_changed_entry_with_a_new_hash_breaks_the_chain_and_has_no_seal_of_ours() -> None:
    entries = chain(5)
    entries[2] = rehashed(entries[2], entries[2].content.replace("person-2", "nobody"))
    assert flaws(verify(entries, KEY)) == [(3, "unsealed"), (4, "broken")]
    assert flaws(verify(entries)) == [(4, "broken")]


def test_a_removed_entry_leaves_a_gap() -> None:
    entries = chain(5)
    found = verify([*entries[:1], *entries[3:]], KEY)
    assert flaws(found) == [(2, "missing")]
    assert found.findings[0].words == "2 to 3 are missing before entry 4"
    assert flaws(verify(entries[1:], KEY)) == [(1, "missing")]


def test_a_gap_that_was_closed_by_renumbering_is_found() -> None:
    entries = chain(5)
    del entries[2]
    closed = [replace(entry, sequence=number) for number, entry in enumerate(entries, 1)]
    assert (3, "misplaced") in flaws(verify(closed, KEY))


def test_entries_that_were_cut_off_are_found_by_a_head_that_was_noted() -> None:
    entries = chain(5)
    assert verify(entries[:3], KEY).whole
    found = verify(entries[:3], KEY, noted=[entries[4].head])
    assert flaws(found) == [(5, "cut_off")]
    assert found.findings[0].words == "the newest entry is 3, and 5 was noted"


def test_a_trail_that_was_made_anew_with_the_stolen_key_is_found_by_a_head_that_was_noted() -> None:
    noted = chain(5)[3].head
    anew = chain(2)
    anew += [chained(replace_who(), anew[-1].head, KEY)]
    anew += chain(2, before=anew[-1].head)
    assert verify(anew, KEY).whole
    assert flaws(verify(anew, KEY, noted=[noted])) == [(4, "rewritten")]


def replace_who() -> Deed:
    return Deed(Action.HOLD_RELEASED, Result.DONE, NOW, Whence(Channel.UI), who="mallory")


def test_a_trail_sealed_with_another_key_is_unsealed_from_its_first_entry() -> None:
    assert flaws(verify(chain(2, OTHER_KEY), KEY)) == [(1, "unsealed"), (2, "unsealed")]


def test_a_part_goes_on_from_the_head_of_the_part_before() -> None:
    entries = chain(6)
    assert verify(entries[3:], KEY, after=entries[2].head).whole
    assert flaws(verify(entries[3:], KEY, after=entries[1].head)) == [(3, "missing")]
    stranger = Head(3, "0" * 64)
    assert flaws(verify(entries[3:], KEY, after=stranger)) == [(4, "broken")]


def test_what_cannot_be_read_is_said_to_be_so_and_the_look_goes_on() -> None:
    entries = chain(3)
    entries[1] = replace(entries[1], content="no line")
    assert flaws(verify(entries, KEY)) == [(2, "changed"), (2, "unreadable")]


def test_of_many_flaws_the_first_are_told_and_all_are_counted() -> None:
    found = verify(chain(300, OTHER_KEY), KEY)
    assert (found.flaws, len(found.findings)) == (300, SHOWN)
    assert found.findings[0].sequence == 1


@pytest.fixture(scope="module")
def eight() -> Sequence[AuditEntry]:
    return chain(8)


NUMBERS = st.integers(0, 7)
FIELDS = st.sampled_from(["content", "hash", "seal"])


def found_in(entries: Iterable[AuditEntry], eight: Sequence[AuditEntry]) -> set[Flaw]:
    return {one.flaw for one in verify(entries, KEY, noted=[eight[-1].head]).findings}


@given(number=NUMBERS, field=FIELDS, place=st.integers(0, 10_000), sign=st.characters())
def test_any_changed_sign_is_found(
    eight: Sequence[AuditEntry], number: int, field: str, place: int, sign: str
) -> None:
    entries = list(eight)
    text = getattr(entries[number], field)
    at = place % len(text)
    assume(text[at] != sign)
    changed = text[:at] + sign + text[at + 1 :]
    entries[number] = replace(entries[number], **{field: changed})
    assert found_in(entries, eight)


@given(kept=st.sets(NUMBERS, max_size=7))
def test_any_removal_is_found(eight: Sequence[AuditEntry], kept: set[int]) -> None:
    assert found_in([eight[number] for number in sorted(kept)], eight)


@given(order=st.permutations(range(8)))
def test_any_other_order_is_found(eight: Sequence[AuditEntry], order: list[int]) -> None:
    assume(order != sorted(order))
    turned = [eight[number] for number in order]
    assert found_in(turned, eight)
    renumbered = [replace(entry, sequence=n) for n, entry in enumerate(turned, 1)]
    assert found_in(renumbered, eight)


@given(at=st.integers(0, 8), again=NUMBERS, forged=st.booleans(), renumber=st.booleans())
def test_any_insertion_is_found(
    eight: Sequence[AuditEntry], at: int, again: int, forged: bool, renumber: bool
) -> None:
    """A copy of an entry that was, or one that was made to fit with another key."""
    before = eight[at - 1].head if at else START
    new = chained(replace_who(), before, OTHER_KEY) if forged else eight[again]
    entries = [*eight[:at], new, *eight[at:]]
    if renumber:
        entries = [replace(entry, sequence=n) for n, entry in enumerate(entries, 1)]
    assert found_in(entries, eight)
