"""A tether: when whoever holds the other end is gone, every process group tied to it ends too.

Run as a script of its own with nothing but the standard library, it reads one process group id per
line from its input (a leading `-` unties it). End of input means that the launcher died, however:
the groups get SIGTERM, and five seconds later SIGKILL. Works alike on Linux and macOS.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE = 5.0
"""Seconds between asking and ending."""


class Tether:
    """The launcher's end. Untied groups are left alone; closing it after that ends the script."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # nosec B603  # our own script, no shell
            [sys.executable, "-I", "-S", str(Path(__file__))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tie(self, group: int) -> None:
        self._say(str(group))

    def untie(self, group: int) -> None:
        self._say(f"-{group}")

    def close(self) -> None:
        """Let go; what is still tied ends."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait(GRACE + 5)

    def _say(self, line: str) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_lives(group: int) -> bool:
    return signal_group(group, 0)


def end_groups(groups: Iterable[int], grace: float) -> None:
    """SIGTERM to all, SIGKILL to those that are there after `grace` seconds."""
    left = [group for group in groups if signal_group(group, signal.SIGTERM)]
    deadline = time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [group for group in left if group_lives(group)]
    for group in left:
        signal_group(group, signal.SIGKILL)


def _hold() -> None:
    tied: dict[int, None] = {}
    for line in sys.stdin:
        group = int(line)
        if group < 0:
            tied.pop(-group, None)
        else:
            tied[group] = None
    end_groups(reversed(tied), GRACE)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _hold()
