"""Checks side by side, each within its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flowmaster_delivery.model.checkup import Finding, Topic
from flowmaster_delivery.model.errors import DeliveryError, NotConfigured
from flowmaster_delivery.policy.checkup.grading import failed, not_checked

UNFORESEEN = "this is a fault of the platform's own: report it"
NO_END = "see whether packets on the way there are dropped (a firewall, a network policy)"


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at. What it raises is a finding as well."""

    topic: Topic
    about: str
    look: Callable[[], Iterable[Finding]]


def examine(checks: Sequence[Check], seconds: float) -> tuple[Finding, ...]:
    """The findings of all, in the order of the checks. One that has no end within so many seconds
    is left behind with what it found so far."""
    running = [_Running(check) for check in checks]
    end = time.monotonic() + seconds
    return tuple(finding for one in running for finding in one.ended(end, seconds))


class _Running:
    """A check in a thread of its own, which ends with the process at the latest."""

    def __init__(self, check: Check) -> None:
        self._check, self._found = check, list[Finding]()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ended(self, end: float, seconds: float) -> list[Finding]:
        self._thread.join(max(0.0, end - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            said = f"it has no end within {seconds:.0f} s"
            found.append(failed(self._check.topic, self._check.about, said, NO_END))
        return found

    def _run(self) -> None:
        topic, about = self._check.topic, self._check.about
        try:
            for finding in self._check.look():
                self._found.append(finding)
        except NotConfigured as error:
            self._found.append(not_checked(topic, about, *_split(error)))
        except DeliveryError as error:
            self._found.append(failed(topic, about, *_split(error)))
        except Exception as error:  # noqa: BLE001  # one check's fault is not the others'
            said = f"it could not be looked at ({type(error).__name__})"
            self._found.append(failed(topic, about, said, UNFORESEEN))


def _split(error: DeliveryError) -> tuple[str, str]:
    """What happened, and what to do: as our errors say it."""
    said, _, mend = str(error).rpartition("; ")
    return (said, mend) if said else (mend, "")
