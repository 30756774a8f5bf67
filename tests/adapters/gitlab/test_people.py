"""Whom GitLab knows, and whom it only seems to know."""

from __future__ import annotations

import pytest

from flowmaster_delivery.adapters.gitlab import GitLabForge
from flowmaster_delivery.model.errors import Denied, NotFound, Unreachable
from flowmaster_delivery.model.source import Person
from tests.fakes.far_end import FarEnd, Reply

MEMBERS = "/api/v4/groups/flow-master%2Fsenior/members"
USERS = "/api/v4/users"
USER = "/api/v4/user"
EMAIL = "dana@example.com"


def user(username: str = "dana", **more: object) -> dict[str, object]:
    return {"id": 3, "username": username, "name": "Dana", "state": "active", **more}


def test_members_are_the_active_people_of_the_group(far_end: FarEnd, forge: GitLabForge) -> None:
    listed = [
        user("sam"),
        user("blocked", state="blocked"),
        user("awaiting", membership_state="awaiting"),
        user("group_7_bot_0a1b"),
    ]
    far_end.say(MEMBERS, Reply(listed))
    assert forge.members("flow-master/senior") == {"sam"}


def test_a_group_that_is_not_there_is_not_an_empty_one(far_end: FarEnd, forge: GitLabForge) -> None:
    far_end.say(MEMBERS, Reply({"message": "404 Group Not Found"}, 404))
    with pytest.raises(NotFound):
        forge.members("flow-master/senior")


def test_a_token_is_asked_whose_it_is_and_then_forgotten(
    far_end: FarEnd, forge: GitLabForge
) -> None:
    far_end.say(USER, Reply(user()))
    far_end.say(USERS, Reply([]))
    assert forge.person_of("glpat-theirs") == Person(3, "dana", "Dana")
    forge.person_by_email(EMAIL)
    theirs, ours = far_end.asked
    assert theirs.headers["Authorization"] == "Bearer glpat-theirs"
    assert "PRIVATE-TOKEN" not in theirs.headers
    assert ours.headers["PRIVATE-TOKEN"] == "glpat-secret"
    assert "Authorization" not in ours.headers


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"message": "401 Unauthorized"}, 401),
        Reply({"error": "insufficient_scope"}, 403),
        Reply(user(state="blocked")),
        Reply(user("ci", bot=True)),
        Reply(user("project_3_bot")),
    ],
)
def test_a_token_that_is_no_active_persons_is_denied(
    far_end: FarEnd, forge: GitLabForge, reply: Reply
) -> None:
    far_end.say(USER, reply)
    with pytest.raises(Denied) as caught:
        forge.person_of("glpat-theirs")
    assert "glpat-theirs" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Admin: 1", "é", "x" * 5000])
def test_what_can_be_no_token_is_denied_without_asking(
    far_end: FarEnd, forge: GitLabForge, token: str
) -> None:
    with pytest.raises(Denied):
        forge.person_of(token)
    assert far_end.asked == []


def test_a_gitlab_that_is_away_does_not_make_a_person_nobody(
    far_end: FarEnd, forge: GitLabForge
) -> None:
    far_end.say(USER, Reply(b"", 503))
    with pytest.raises(Unreachable):
        forge.person_of("glpat-theirs")


@pytest.mark.parametrize("field", ["email", "public_email", "commit_email"])
def test_an_address_is_the_persons_to_whom_gitlab_says_it_belongs(
    far_end: FarEnd, forge: GitLabForge, field: str
) -> None:
    far_end.say(USERS, Reply([user(**{field: "Dana@Example.com"})]))
    found = forge.person_by_email(EMAIL)
    assert found is not None
    assert found.username == "dana"
    assert far_end.asked[0].query["search"] == [EMAIL]


def test_a_display_name_like_an_address_is_no_address(far_end: FarEnd, forge: GitLabForge) -> None:
    impostor = user("mallory", name=EMAIL, public_email="mallory@example.com")
    far_end.say(USERS, Reply([impostor]))
    assert forge.person_by_email(EMAIL) is None


def test_a_second_address_counts_once_it_is_confirmed(far_end: FarEnd, forge: GitLabForge) -> None:
    far_end.say(USERS, Reply([user(email="other@example.com")]))
    second = {"id": 1, "email": EMAIL, "confirmed_at": None}
    far_end.say(f"{USERS}/3/emails", Reply([second]))
    assert forge.person_by_email(EMAIL) is None
    far_end.say(f"{USERS}/3/emails", Reply([{**second, "confirmed_at": "2026-01-01T00:00:00Z"}]))
    assert forge.person_by_email(EMAIL) == Person(3, "dana", "Dana")


def test_an_address_of_gitlabs_own_names_the_person_by_number(
    far_end: FarEnd, forge: GitLabForge
) -> None:
    far_end.say(f"{USERS}/3", Reply(user()))
    found = forge.person_by_email("3-dana@users.noreply.127.0.0.1")
    assert found == Person(3, "dana", "Dana")
    assert far_end.paths() == [f"{USERS}/3"]


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c"])
def test_what_is_no_address_belongs_to_nobody(
    far_end: FarEnd, forge: GitLabForge, email: str
) -> None:
    assert forge.person_by_email(email) is None
    assert far_end.asked == []


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [user(email=EMAIL, state="blocked")],
        [user("a", email=EMAIL), user("b", public_email=EMAIL)],
    ],
)
def test_an_address_of_nobody_or_of_several_is_nobodys(
    far_end: FarEnd, forge: GitLabForge, listed: list[object]
) -> None:
    far_end.say(USERS, Reply(listed))
    assert forge.person_by_email(EMAIL) is None
