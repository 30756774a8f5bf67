"""Approvals: a named person's consent to exactly this candidate, and never one's own work."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.catalog import ApprovalRule
from flowmaster_delivery.model.facts import ApprovalFacts
from flowmaster_delivery.model.promotion import Approval
from flowmaster_delivery.model.source import Commit, MergeApproval, MergeRequest, Person
from flowmaster_delivery.policy.approvals import Tally, tally
from tests.builders import (
    NOON,
    a_candidate,
    a_commit,
    a_merge_request,
    a_person,
    an_approval,
    digest,
)

RULE = ApprovalRule(2, "group/seniors")
SENIORS = frozenset({"sam", "sofia", "sergio", "dana"})
PEOPLE = {f"{name}@example.org": a_person(name) for name in ("dana", "devi", "sam", "sofia")}
LATER = NOON + timedelta(minutes=5)


def facts(
    recorded: Iterable[Approval] = (),
    merge_request: MergeRequest | None = None,
    commits: Iterable[Commit] = (),
    **fields: object,
) -> ApprovalFacts:
    given: dict[str, object] = {
        "members": SENIORS,
        "people": PEOPLE,
        "digests": {"api-gateway": digest()},
        **fields,
    }
    return ApprovalFacts(
        merge_request=merge_request,
        recorded=tuple(recorded),
        commits=tuple(commits) or (a_commit("dana"),),
        **given,  # type: ignore[arg-type]
    )


def count(given: ApprovalFacts, rule: ApprovalRule = RULE) -> Tally:
    return tally(a_candidate(), rule, given)


def test_two_members_by_command_are_enough() -> None:
    found = count(facts([an_approval("sam"), an_approval("sofia")]))
    assert found.met
    assert found.counted == ("sam", "sofia")


def test_one_is_not_enough_for_two() -> None:
    found = count(facts([an_approval("sam")]))
    assert not found.met
    assert found.could == ("sergio", "sofia")


def test_a_person_counts_once_from_both_sources() -> None:
    found = count(facts([an_approval("sam"), an_approval("sam")], a_merge_request(["sam"])))
    assert found.counted == ("sam",)
    assert not found.met


def test_merge_request_and_command_count_together() -> None:
    assert count(facts([an_approval("sofia")], a_merge_request(["sam"]))).met


def test_the_author_of_a_commit_does_not_count() -> None:
    found = count(facts([an_approval("dana"), an_approval("sam")]))
    assert found.counted == ("sam",)
    assert found.refused == {"dana": "author"}


def test_a_committer_does_not_count() -> None:
    commits = [a_commit("devi", committer="sam")]
    assert count(facts([an_approval("sam")], commits=commits)).refused == {"sam": "author"}


def test_the_author_of_the_merge_request_does_not_count() -> None:
    request = a_merge_request(["sofia"], author=a_person("sofia"))
    assert count(facts((), request)).refused == {"sofia": "author"}


def test_an_outsider_does_not_count() -> None:
    found = count(facts([an_approval("mallory")]))
    assert found.refused == {"mallory": "not of group/seniors"}


def test_somebody_who_left_the_group_does_not_count_any_more() -> None:
    given = facts([an_approval("sam"), an_approval("sofia")], members=frozenset({"sofia"}))
    assert count(given).counted == ("sofia",)


def test_an_email_that_nobody_has_keeps_it_closed_however_many_approve() -> None:
    commits = [a_commit("ghost")]
    found = count(facts([an_approval("sam"), an_approval("sofia")], commits=commits))
    assert not found.met
    assert found.unknown_emails == ("ghost@example.org",)


def test_an_approval_before_the_head_changed_does_not_count() -> None:
    stale = MergeApproval(a_person("sam"), NOON - timedelta(hours=3))
    found = count(facts((), a_merge_request((), approvals=(stale,))))
    assert found.refused == {"sam": "approved !7 before its head changed"}


def test_an_approval_counts_for_nothing_where_nobody_knows_when_the_head_changed() -> None:
    found = count(facts((), a_merge_request(["sam"], head_changed_at=None)))
    assert found.counted == ()


def test_a_moved_tag_starts_with_none() -> None:
    old = an_approval("sam", commit="a" * 40)
    found = count(facts([old]))
    assert found.refused == {"sam": "approved the tag at aaaaaaaa, before it moved"}


def test_approving_again_after_the_tag_moved_counts() -> None:
    found = count(facts([an_approval("sam", commit="a" * 40), an_approval("sam")]))
    assert (found.counted, found.refused) == (("sam",), {})


def test_an_approval_of_other_images_does_not_count() -> None:
    other = an_approval("sam", digests={"api-gateway": digest("other")})
    assert count(facts([other])).refused == {"sam": "approved other images than these"}


def test_an_approval_must_cover_every_service_that_ships() -> None:
    shipping = {"api-gateway": digest(), "auth-service": digest("auth")}
    assert count(facts([an_approval("sam")], digests=shipping)).counted == ()


def test_an_approval_of_more_than_ships_counts() -> None:
    wide = an_approval("sam", digests={"api-gateway": digest(), "auth-service": digest("auth")})
    assert count(facts([wide])).counted == ("sam",)


def test_without_a_manifest_the_candidates_own_digest_is_what_must_be_approved() -> None:
    assert count(facts([an_approval("sam", digests={})], digests={})).counted == ()


def test_an_approval_of_another_version_does_not_count() -> None:
    assert count(facts([an_approval("sam", version="v1.2.2")])).counted == ()


def test_a_withdrawal_takes_back_the_command() -> None:
    taken = an_approval("sam", withdrawn=True, at=LATER)
    assert count(facts([an_approval("sam"), taken])).refused == {"sam": "withdrawn"}


def test_a_withdrawal_takes_back_the_merge_requests_approval() -> None:
    taken = an_approval("sam", withdrawn=True, at=LATER)
    assert count(facts([taken], a_merge_request(["sam"]))).counted == ()


def test_approving_again_after_a_withdrawal_counts() -> None:
    again = an_approval("sam", at=LATER + timedelta(minutes=1))
    taken = an_approval("sam", withdrawn=True, at=LATER)
    assert count(facts([an_approval("sam"), taken, again])).counted == ("sam",)


def test_a_withdrawal_by_a_person_who_was_renamed_still_counts() -> None:
    taken = an_approval("samuel", by_id=a_person("sam").id, withdrawn=True, at=LATER)
    assert count(facts([an_approval("sam"), taken])).counted == ()


def test_somebody_elses_withdrawal_changes_nothing() -> None:
    taken = an_approval("sofia", withdrawn=True, at=LATER)
    assert count(facts([an_approval("sam"), taken])).counted == ("sam",)


NAMES = st.sampled_from(["sam", "sofia", "sergio", "dana", "mallory"])
GIVEN = st.lists(st.tuples(NAMES, st.booleans(), st.integers(0, 100)), max_size=12)
QUICK = settings(max_examples=60, deadline=None)


def recorded(given: list[tuple[str, bool, int]]) -> list[Approval]:
    return [
        an_approval(name, withdrawn=taken, at=NOON + timedelta(minutes=minute))
        for name, taken, minute in sorted(given, key=lambda one: one[2])
    ]


@QUICK
@given(GIVEN, st.lists(NAMES, max_size=4))
def test_whoever_counts_is_a_member_no_author_and_counts_once(
    given: list[tuple[str, bool, int]], approvers: list[str]
) -> None:
    found = count(facts(recorded(given), a_merge_request(approvers)))
    assert set(found.counted) <= SENIORS - {"dana"}
    assert len(set(found.counted)) == len(found.counted)
    assert set(found.counted).isdisjoint(found.refused)


@QUICK
@given(GIVEN, st.lists(NAMES, max_size=4), NAMES)
def test_after_a_last_withdrawal_the_person_never_counts(
    given: list[tuple[str, bool, int]], approvers: list[str], name: str
) -> None:
    last = an_approval(name, withdrawn=True, at=NOON + timedelta(days=1))
    found = count(facts([*recorded(given), last], a_merge_request(approvers)))
    assert name not in found.counted


@QUICK
@given(GIVEN, st.integers(1, 4))
def test_it_is_met_only_by_as_many_as_are_needed(
    given: list[tuple[str, bool, int]], needed: int
) -> None:
    found = count(facts(recorded(given)), ApprovalRule(needed, "group/seniors"))
    assert found.met == (len(found.counted) >= needed)


def test_a_person_is_told_apart_by_id_not_by_spelling() -> None:
    other = Person(a_person("dana").id, "dana-renamed")
    approval = MergeApproval(other, NOON - timedelta(hours=1))
    found = count(facts((), a_merge_request((), approvals=(approval,), author=a_person("devi"))))
    assert found.refused == {"dana-renamed": "author"}
