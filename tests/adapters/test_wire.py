"""Patience, time limits and caps, as every adapter that speaks HTTP gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from flowmaster_delivery.adapters.wire import (
    Patience,
    Wire,
    excerpt,
    fault,
    on_loopback,
    on_own_link,
    retry_after,
)
from flowmaster_delivery.model.errors import (
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Throttled,
    Transient,
    Unreachable,
)
from flowmaster_delivery.redaction import learn
from tests.fakes.far_end import FarEnd, Reply


@pytest.fixture
def wire(far_end: FarEnd) -> Iterator[Wire]:
    wire = Wire("the far end", far_end.url, timeout=0.2)
    yield wire
    wire.close()


class Failing:
    """Raises what it is given, in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "read"


def test_a_transient_failure_is_tried_again() -> None:
    read = Failing(Unreachable("away"), Unreachable("away"))
    assert Patience(attempts=3, first_pause=0.001).call(read) == "read"


def test_a_permanent_failure_is_not_tried_again() -> None:
    read = Failing(Denied("no"))
    with pytest.raises(Denied):
        Patience().call(read)
    assert read.calls == 1


def test_the_last_failure_is_raised_as_it_was() -> None:
    read = Failing(*(Unreachable(f"away {n}") for n in range(5)))
    with pytest.raises(Unreachable, match="away 1"):
        Patience(attempts=2, first_pause=0.001).call(read)


def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    started = time.monotonic()
    read = Failing(Throttled("slower", retry_after=0.1))
    assert Patience(first_pause=0.001).call(read) == "read"
    assert time.monotonic() - started >= 0.1


def test_a_wait_beyond_the_budget_is_given_back_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(Throttled):
        Patience(budget=5.0).call(Failing(Throttled("slower", retry_after=60)))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (429, Throttled),
        (408, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
        (302, Malformed),
        (400, Permanent),
        (422, Permanent),
    ],
)
def test_a_status_has_its_place_in_the_error_tree(status: int, error: type[Exception]) -> None:
    assert type(fault("it", status)) is error


def test_a_fault_says_what_happened_and_what_to_do() -> None:
    words = str(fault("GitLab GET /user", 401, said="revoked", to_do="put a new token"))
    assert words == "GitLab GET /user answered 401 (revoked); put a new token"


def test_retry_after_is_read_as_a_number_or_a_date() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    soon = retry_after({"Retry-After": formatdate(time.time() + 30, usegmt=True)})
    assert soon is not None
    assert 27 < soon <= 31


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e999"])
def test_a_retry_after_that_says_nothing_is_none(text: str) -> None:
    assert retry_after({"Retry-After": text}) is None


def test_a_date_that_is_over_means_now() -> None:
    assert retry_after({"Retry-After": formatdate(time.time() - 30, usegmt=True)}) == 0


def test_nobody_there_is_unreachable(far_end: FarEnd) -> None:
    gone = FarEnd()
    gone.close()
    wire = Wire("the far end", gone.url, timeout=0.2)
    with pytest.raises(Unreachable, match="the far end gave no usable answer"):
        wire.send("GET", gone.url, limit=10)
    wire.close()


def test_an_answer_too_late_is_unreachable(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(delay=0.5))
    with pytest.raises(Unreachable, match="in time"):
        wire.send("GET", f"{far_end.url}/", limit=10)


def test_an_answer_that_dribbles_is_unreachable(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(b"x" * 60, dribble=0.1))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="too slow"):
        wire.send("GET", f"{far_end.url}/", limit=100)
    assert time.monotonic() - started < 2


def test_an_answer_over_the_limit_is_not_read(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(b"x" * 11))
    with pytest.raises(Malformed, match="more than 10 bytes"):
        wire.send("GET", f"{far_end.url}/", limit=10)


def test_an_answer_that_breaks_off_is_unreachable(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(b"x", cut=10))
    with pytest.raises(Unreachable):
        wire.send("GET", f"{far_end.url}/", limit=100)


def test_a_connection_that_is_hung_up_is_unreachable(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(hang_up=True))
    with pytest.raises(Unreachable):
        wire.send("GET", f"{far_end.url}/", limit=100)


def test_a_redirect_is_not_followed(far_end: FarEnd, wire: Wire) -> None:
    far_end.say("/", Reply(status=302, headers={"Location": "/there"}))
    assert wire.send("GET", f"{far_end.url}/", limit=10).status == 302
    assert far_end.paths() == ["/"]


def test_an_address_of_no_known_kind_is_permanent(wire: Wire) -> None:
    with pytest.raises(Permanent, match="check its address") as caught:
        wire.send("GET", "gopher://somewhere/", limit=10)
    assert not isinstance(caught.value, Transient)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80/x", True),
        ("http://localhost/", True),
        ("http://[::1]:8080", True),
        ("https://gitlab.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_a_proxy_is_never_asked_for_this_machine(url: str, expected: bool) -> None:
    assert on_loopback(url) is expected


def test_an_excerpt_shows_no_secret_of_ours_and_none_by_half() -> None:
    learn("gitlab_token", "planted-0123456789")
    assert excerpt(b"you sent planted-0123456789!") == "you sent •••!"
    assert "plan" not in excerpt("x" * 195 + "planted-0123456789")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://169.254.169.254/latest", True),
        ("http://[fe80::1]/", True),
        ("http://127.0.0.1:5000/v2/", True),
        ("http://localhost/", True),
        ("http://0.0.0.0/", True),
        ("https://storage.example/blob", False),
        ("https://10.0.0.7/blob", False),
    ],
)
def test_an_address_of_this_machine_or_its_link_is_known(url: str, expected: bool) -> None:
    assert on_own_link(url) is expected


def test_an_excerpt_is_one_short_printable_line() -> None:
    assert excerpt(b"a\r\n\x1b[31mb\xff" + b"c" * 500, 12).startswith("a [31mb\ufffdcc")
    assert len(excerpt("x" * 500, 12)) == 12
