"""What a process has read shows in nothing that it says: logs, errors, threads that break."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

from flowmaster_delivery.redaction import HIDDEN, hidden, hidden_within, learn, meanwhile, reveals
from flowmaster_delivery.redaction.guard import _of_thread
from flowmaster_delivery.redaction.known import KEPT

SECRET = "planted-0123456789"
LOG = logging.getLogger("tests.redaction")


@pytest.fixture
def known() -> None:
    learn("gitlab_token", SECRET)


def test_nothing_is_hidden_before_anything_was_read() -> None:
    assert hidden(SECRET) == SECRET


@pytest.mark.usefixtures("known")
def test_what_was_read_is_hidden_in_texts_and_in_depth() -> None:
    assert hidden(f"no {SECRET}!") == f"no {HIDDEN}!"
    value = {"a": [f"x{SECRET}", 7, None, True], "b": {"c": SECRET}}
    assert hidden_within(value) == {"a": [f"x{HIDDEN}", 7, None, True], "b": {"c": HIDDEN}}
    assert reveals(f"a{SECRET}")
    assert not reveals("a")


def test_a_renewed_secret_is_hidden_beside_the_one_before_and_old_ones_are_forgotten() -> None:
    values = [f"planted-{number}-0123456789" for number in range(KEPT + 1)]
    for value in [*values, values[-1]]:
        learn("gitlab_token", value)
    assert [hidden(value) == HIDDEN for value in values] == [False, *[True] * KEPT]


def test_what_is_somebody_elses_is_hidden_while_it_is_used_and_kept_no_longer() -> None:
    with meanwhile(SECRET), meanwhile(SECRET):
        assert hidden(SECRET) == HIDDEN
    assert hidden(SECRET) == SECRET
    with meanwhile(None):
        assert hidden("None") == "None"


@pytest.mark.usefixtures("known")
def test_log_records_show_it_in_no_argument_and_in_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        int(f"bad: {SECRET}")
    except ValueError:
        LOG.exception("%s was refused", SECRET)
    assert SECRET not in caplog.text
    assert f"{HIDDEN} was refused" in caplog.text
    assert f"base 10: 'bad: {HIDDEN}'" in caplog.text


@pytest.mark.usefixtures("known")
def test_log_records_without_it_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        LOG.info("%d of %d", 1, 2)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("%d of %d", (1, 2))


@pytest.mark.usefixtures("known")
def test_a_thread_that_breaks_shows_it_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    def break_() -> None:
        raise ValueError(f"bad: {SECRET}")

    before, threading.excepthook = threading.excepthook, _of_thread(hidden)
    try:
        thread = threading.Thread(target=break_, name="hints-0")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    said = capsys.readouterr().err
    assert "Exception in thread hints-0" in said
    assert f"ValueError: bad: {HIDDEN}" in said
    assert SECRET not in said


def test_a_process_that_breaks_shows_it_to_nobody() -> None:
    code = (
        "from flowmaster_delivery.redaction import learn\n"
        "import sys\n"
        "secret = sys.stdin.read()\n"
        "learn('seal_key', secret)\n"
        "raise RuntimeError('unforeseen: ' + secret)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=SECRET, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert f"RuntimeError: unforeseen: {HIDDEN}" in done.stderr
    assert SECRET not in done.stdout + done.stderr
