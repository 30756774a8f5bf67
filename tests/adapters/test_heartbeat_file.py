"""Heartbeats in a file: what a probe beside the process reads, and when nobody beats."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.heartbeat_file import HeartbeatFile, read_heart
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.pulse import NEVER, Beat, Heart


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def beating(tmp_path: Path, seconds: Seconds) -> Iterator[HeartbeatFile]:
    made = HeartbeatFile(tmp_path, "watch", seconds)
    yield made
    made.close()


def beat(home: Path) -> Beat:
    heart = read_heart(home, "watch")
    assert isinstance(heart, Heart)
    (found,) = heart.beats
    return found


def test_before_the_first_turn_there_is_nothing(beating: HeartbeatFile, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    assert read_heart(tmp_path, "watch") is None


def test_a_turn_is_seen_while_it_goes_on_and_when_it_has_ended(
    beating: HeartbeatFile, tmp_path: Path, seconds: Seconds
) -> None:
    with beating.during("production", every=20.0):
        assert beat(tmp_path) == Beat("production", 20.0, running_since=100.0)
        seconds.now = 103.0
    assert beat(tmp_path) == Beat("production", 20.0, None, 103.0, 103.0)


def test_a_turn_that_came_to_nothing_is_no_success(
    beating: HeartbeatFile, tmp_path: Path, seconds: Seconds
) -> None:
    with beating.during("production"):
        pass
    seconds.now = 120.0
    with beating.during("production") as turn:
        turn.trouble = "the cluster is away"
    assert beat(tmp_path) == Beat("production", None, None, 120.0, 100.0, "the cluster is away")


def test_a_turn_that_raises_came_to_nothing_and_raises_still(
    beating: HeartbeatFile, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), beating.during("intake"):
        _ = 1 / 0
    found = beat(tmp_path)
    assert (found.trouble, found.succeeded) == ("ZeroDivisionError: division by zero", NEVER)
    assert found.running_since is None


def test_of_several_turns_at_a_time_the_oldest_is_told(
    beating: HeartbeatFile, tmp_path: Path, seconds: Seconds
) -> None:
    with beating.during("intake"):
        seconds.now = 161.0
        with beating.during("intake"):
            assert beat(tmp_path).running_since == 100.0
        assert beat(tmp_path).running_since == 100.0


def test_what_a_process_left_that_is_gone_is_nobodys_heart(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from flowmaster_delivery.adapters.heartbeat_file import HeartbeatFile\n"
        "with HeartbeatFile(pathlib.Path(sys.argv[1]), 'watch').during('production'):\n"
        "    print('beating', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(9)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    running = beat(tmp_path).running_since
    assert running is not None
    assert running <= time.monotonic()
    process.stdin.close()
    process.wait(20)
    process.stdout.close()
    assert (tmp_path / "heartbeats" / "watch.json").exists()
    assert read_heart(tmp_path, "watch") is None


def test_the_next_process_begins_anew(tmp_path: Path, seconds: Seconds) -> None:
    first = HeartbeatFile(tmp_path, "watch", seconds)
    with first.during("production"):
        first.close()
        seconds.now = 500.0
        second = HeartbeatFile(tmp_path, "watch", seconds)
        with second.during("dev"):
            assert read_heart(tmp_path, "watch") == Heart(
                "watch", 500.0, (Beat("dev", running_since=500.0),)
            )
    second.close()


def test_a_second_process_beside_it_writes_nothing(
    beating: HeartbeatFile, tmp_path: Path, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    with beating.during("production"):
        pass
    second = HeartbeatFile(tmp_path, "watch", seconds)
    with caplog.at_level(logging.WARNING), second.during("dev"), second.during("staging"):
        assert beat(tmp_path).name == "production"
    assert caplog.text.count("no heartbeat of watch can be written") == 1


def test_a_folder_that_cannot_be_written_is_told_once_and_hinders_no_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "heartbeats").write_text("a file where the folder should be")
    beating, done = HeartbeatFile(tmp_path, "watch"), 0
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with beating.during("production"):
                done += 1
    assert done == 3
    assert caplog.text.count("no heartbeat of watch can be written") == 1


def test_a_file_that_is_not_ours_is_said_to_be_so(beating: HeartbeatFile, tmp_path: Path) -> None:
    with beating.during("production"):
        pass
    (tmp_path / "heartbeats" / "watch.json").write_text("{")
    with pytest.raises(Malformed, match=r"the heartbeat .*watch.json cannot be read"):
        read_heart(tmp_path, "watch")


def test_a_probe_that_reads_keeps_no_process_from_beating(
    beating: HeartbeatFile, tmp_path: Path
) -> None:
    for _ in range(50):
        read_heart(tmp_path, "watch")
    with beating.during("production"):
        assert beat(tmp_path).name == "production"
