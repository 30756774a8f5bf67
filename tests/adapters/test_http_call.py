"""The calls of smoke tests: JSON there and back, within limits, and no secret in an error."""

from __future__ import annotations

import json
import traceback

import pytest

from flowmaster_delivery.adapters.http_probe import HttpProbe
from flowmaster_delivery.adapters.wire import MEGABYTE
from flowmaster_delivery.model.errors import DeliveryError, Malformed, Permanent, Unreachable
from flowmaster_delivery.ports import HttpCall
from tests.fakes.far_end import FarEnd, Reply

SECRET = "hunter2-and-more"  # a made-up one


@pytest.fixture
def probe() -> HttpProbe:
    return HttpProbe()


def test_a_body_goes_out_as_json_with_the_headers_and_the_answer_is_parsed(
    far_end: FarEnd, probe: HttpProbe
) -> None:
    far_end.say("/login", Reply({"user": {"name": "dana"}}, 201), method="POST")
    call = HttpCall("POST", f"{far_end.url}/login", {"X-Tenant": "acme"}, {"user": "dana"})
    answer = probe.call(call, 2)
    assert (answer.status, answer.json) == (201, {"user": {"name": "dana"}})
    assert answer.seconds > 0
    (asked,) = far_end.asked
    assert json.loads(asked.body) == {"user": "dana"}
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["X-Tenant"] == "acme"


def test_an_answer_that_is_no_json_has_a_status_and_no_json(
    far_end: FarEnd, probe: HttpProbe
) -> None:
    far_end.say("/page", Reply(b"<html>"))
    answer = probe.call(HttpCall("GET", f"{far_end.url}/page", {}), 2)
    assert (answer.status, answer.json) == (200, None)


def test_json_that_is_nested_beyond_all_measure_is_none(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/deep", Reply(b"[" * 200_000))
    assert probe.call(HttpCall("GET", f"{far_end.url}/deep", {}), 5).json is None


def test_a_redirect_is_told_and_not_followed(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/old", Reply(status=302, headers={"Location": "/new"}))
    assert probe.call(HttpCall("GET", f"{far_end.url}/old", {}), 2).status == 302
    assert far_end.paths() == ["/old"]


def test_an_answer_without_end_is_malformed(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/big", Reply(b"x" * (MEGABYTE + 1)))
    with pytest.raises(Malformed, match="larger than a megabyte"):
        probe.call(HttpCall("GET", f"{far_end.url}/big", {}), 5)


@pytest.mark.parametrize("reply", [Reply({}, delay=2), Reply(b"x" * 100, dribble=0.05)])
def test_an_answer_too_late_is_unreachable(far_end: FarEnd, probe: HttpProbe, reply: Reply) -> None:
    far_end.say("/slow", reply)
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        probe.call(HttpCall("GET", f"{far_end.url}/slow", {}), 0.2)


def test_a_connection_that_is_refused_or_cut_is_unreachable(
    far_end: FarEnd, probe: HttpProbe
) -> None:
    far_end.say("/cut", Reply(hang_up=True))
    with pytest.raises(Unreachable, match="disconnected"):
        probe.call(HttpCall("GET", f"{far_end.url}/cut", {}), 2)
    gone = FarEnd()
    gone.close()
    with pytest.raises(Unreachable):
        probe.call(HttpCall("GET", f"{gone.url}/", {}), 2)


def test_a_name_that_nobody_knows_is_no_fault_of_the_service(probe: HttpProbe) -> None:
    call = HttpCall("GET", "http://nobody.invalid/", {})
    with pytest.raises(DeliveryError) as caught:
        probe.call(call, 5)
    assert not isinstance(caught.value, Unreachable | Malformed)


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/", "http://", "http://[::1/"])
def test_an_address_that_is_none_cannot_be_asked(probe: HttpProbe, url: str) -> None:
    with pytest.raises(Permanent):
        probe.call(HttpCall("GET", url, {}), 1)


@pytest.mark.parametrize("value", [f"{SECRET}\r\nX: y", f"{SECRET}é"])
def test_no_error_shows_a_header(far_end: FarEnd, probe: HttpProbe, value: str) -> None:
    call = HttpCall("GET", f"{far_end.url}/", {"Authorization": value})
    with pytest.raises(Permanent) as caught:
        probe.call(call, 2)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
