"""Looks at endpoints, whatever they do."""

from __future__ import annotations

import time

import pytest

from flowmaster_delivery.adapters.http_probe import HttpProbe
from tests.fakes.far_end import FarEnd, Reply


@pytest.fixture
def probe() -> HttpProbe:
    return HttpProbe()


def test_an_endpoint_that_answers_is_ok(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/health", Reply({"status": "ok"}))
    result = probe.get(f"{far_end.url}/health", 2)
    assert result.ok
    assert (result.status, result.error) == (200, "")
    assert 0 < result.seconds < 2


@pytest.mark.parametrize("status", [204, 302, 404, 500, 503])
def test_any_other_status_is_told_and_not_ok(
    far_end: FarEnd, probe: HttpProbe, status: int
) -> None:
    far_end.say("/health", Reply(status=status, headers={"Location": "/other"}))
    result = probe.get(f"{far_end.url}/health", 2)
    assert (result.status, result.ok) == (status, False)
    assert far_end.paths() == ["/health"]


def test_nobody_there_is_told(probe: HttpProbe) -> None:
    gone = FarEnd()
    gone.close()
    result = probe.get(f"{gone.url}/health", 2)
    assert result.status is None
    assert result.error


def test_a_slow_endpoint_is_given_up_in_time(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/health", Reply(delay=2))
    started = time.monotonic()
    result = probe.get(f"{far_end.url}/health", 0.2)
    assert time.monotonic() - started < 1
    assert (result.status, result.error) == (None, "no answer within 0.2 s")


def test_a_body_without_end_does_not_hold_up_a_look(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/health", Reply(b"x" * 100, dribble=0.05))
    started = time.monotonic()
    assert probe.get(f"{far_end.url}/health", 2).ok
    assert time.monotonic() - started < 1


def test_a_connection_that_is_hung_up_is_told(far_end: FarEnd, probe: HttpProbe) -> None:
    far_end.say("/health", Reply(hang_up=True))
    result = probe.get(f"{far_end.url}/health", 2)
    assert result.status is None
    assert "disconnected" in result.error


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/", "http://", "http://[::1/"])
def test_an_address_that_is_none_is_told_and_never_raised(probe: HttpProbe, url: str) -> None:
    result = probe.get(url, 1)
    assert result.status is None
    assert result.error
