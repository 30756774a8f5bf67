"""What is read at most every few seconds, and not waited for longer than one can."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowmaster_delivery.model.errors import NotFound, Unreachable
from flowmaster_delivery.web.fresh import Fresh, Remembered


class Source:
    """What is read: the number of the reading, once it may be answered."""

    def __init__(self) -> None:
        self.read, self.now = 0, 100.0
        self.fails: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self) -> int:
        self.read += 1
        number = self.read
        assert self.may_answer.wait(20)
        if self.fails:
            raise self.fails
        return number

    def fresh(self, patience: float = 10.0) -> Fresh[int]:
        return Fresh(self, "the well", seconds=5, patience=patience, monotonic=lambda: self.now)


def test_an_answer_serves_everybody_for_a_while() -> None:
    source = Source()
    fresh = source.fresh()
    assert [fresh.get(), fresh.get()] == [1, 1]
    source.now += 4.9
    assert fresh.get() == 1
    source.now += 0.1
    assert fresh.get() == 2


def test_who_asks_at_once_waits_for_the_same_reading() -> None:
    source = Source()
    source.may_answer.clear()
    fresh = source.fresh()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(fresh.get) for _ in range(8)]
        source.may_answer.set()
    assert [one.result() for one in asked] == [1] * 8


def test_one_that_does_not_answer_is_not_waited_for_and_not_asked_again_meanwhile() -> None:
    source = Source()
    source.may_answer.clear()
    fresh = source.fresh(patience=0.01)
    for _ in range(5):
        source.now += 60
        with pytest.raises(Unreachable, match="the well has given no answer for"):
            fresh.get()
    assert source.read == 1
    source.may_answer.set()


def test_an_error_is_an_answer_for_a_while_too() -> None:
    source = Source()
    source.fails = NotFound("it is dry")
    fresh = source.fresh()
    for _ in range(3):
        with pytest.raises(NotFound, match="it is dry"):
            fresh.get()
    assert source.read == 1
    source.fails, source.now = None, source.now + 5
    assert fresh.get() == 2


def test_what_nobody_foresaw_is_logged_and_said_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    source.fails = RuntimeError("at host db-1 as admin")
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(Unreachable, match=r"^the well could not be read: RuntimeError$"),
    ):
        source.fresh().get()
    assert "at host db-1" in caplog.text


def test_what_is_remembered_is_never_waited_for_and_outlives_an_outage() -> None:
    source = Source()
    source.may_answer.clear()
    remembered = Remembered(source.fresh(patience=0.0))
    assert remembered() is None
    source.may_answer.set()
    while remembered() is None:
        threading.Event().wait(0.001)
    assert remembered() == 1
    source.now, source.fails = source.now + 10, Unreachable("GitLab is away")
    while source.read < 2:
        assert remembered() == 1
    assert remembered() == 1
