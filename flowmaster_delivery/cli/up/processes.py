"""Processes that live and end together: started, waited for, watched, stopped in order."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowmaster_delivery.cli.up.tether import Tether, end_groups, signal_group
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.settings import environ_of_child

GRACE = 8.0
"""Seconds in which a part may end by itself once it is told to."""
LOOK = 0.1
"""Seconds between two looks at whether a part answers."""
TAIL = 15
"""Lines of a dead part's log that are shown."""


class PartFailed(Permanent):
    """A part ended by itself, or did not answer in time. Says which, with the end of its log."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process: how it is started, and how it shows that it answers."""

    name: str
    command: Sequence[str]
    answers: Callable[[], bool]
    patience: float = 60.0
    """Seconds within which it must answer."""


class Processes:
    """The running parts, in the order in which they were started."""

    def __init__(self, logs: Path, grace: float = GRACE) -> None:
        self._logs, self._grace = logs, grace
        self._variables: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._tether = Tether()

    def share(self, variables: Mapping[str, str]) -> None:
        """Environment variables for all parts that are started from now on."""
        self._variables.update(variables)

    def start(self, part: Part) -> None:
        """Start a part in a process group of its own; its output goes to its log."""
        with self.log_of(part.name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # nosec B603  # our own parts, no shell
                list(part.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ_of_child(self._variables),
                start_new_session=True,
            )
        self._tether.tie(process.pid)
        self._running[part.name] = process

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a short command to its end; raise PartFailed where it fails."""
        self.start(Part(name, command, answers=lambda: True))
        status = self._running[name].wait()
        process = self._running.pop(name)
        self._tether.untie(process.pid)
        if status != 0:
            raise PartFailed(self._story(name, f"ended with status {status}"))

    def wait_for(self, parts: Iterable[Part]) -> None:
        """Wait until each answers; raise PartFailed for one that ends or takes too long."""
        started = time.monotonic()
        waiting = list(parts)
        while waiting:
            self.check()
            waiting = [part for part in waiting if not part.answers()]
            for part in waiting:
                if time.monotonic() - started > part.patience:
                    words = f"did not answer within {part.patience:.0f} s"
                    raise PartFailed(self._story(part.name, words))
            if waiting:
                time.sleep(LOOK)

    def check(self) -> None:
        """Raise PartFailed where a part has ended by itself."""
        for name, process in self._running.items():
            status = process.poll()
            if status is not None:
                raise PartFailed(self._story(name, f"ended by itself with status {status}"))

    def stop(self, groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """End the parts, one group of names after the other; names those that had to be killed."""
        killed: list[str] = []
        for names in groups:
            killed += self._stop([name for name in names if name in self._running])
        killed += self._stop(list(reversed(self._running)))
        self._tether.close()
        return tuple(killed)

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name.replace(' ', '-')}.log"

    def _stop(self, names: Sequence[str]) -> list[str]:
        processes = {name: self._running[name] for name in names}
        for process in processes.values():
            signal_group(process.pid, signal.SIGTERM)
        killed = [name for name, process in processes.items() if not self._ended(process)]
        # What a part started itself is in its group: nothing of it may be left.
        end_groups([process.pid for process in processes.values()], 0.0)
        for name, process in processes.items():
            process.wait()
            self._tether.untie(process.pid)
            del self._running[name]
        return killed

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        try:
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _story(self, name: str, words: str) -> str:
        log = self.log_of(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
        shown = "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"
        return f"{name} {words}; the end of {log}:\n{shown}"
