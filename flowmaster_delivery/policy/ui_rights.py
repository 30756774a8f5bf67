"""What somebody may do in Dagster's UI besides looking.

Runs are judged by the coordinator when they are submitted. What it cannot see (runs terminated,
sensors stopped) is for operators; what would change the record is for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.policy.asking import Asker, Via


class UiRight(StrEnum):
    """What people do in the UI."""

    LAUNCH = "launch"
    """Submit runs."""
    CONTROL = "control"
    """Terminate runs, stop and start sensors, load the code again."""


def groups_that_operate(environments: Iterable[Environment]) -> frozenset[str]:
    """GitLab groups whose members operate an environment; none where anybody known may act."""
    return frozenset(e.operators for e in environments if e.operators)


def ui_rights(who: Asker, *, operates: bool) -> frozenset[UiRight]:
    """What the asker may do; `operates`: whether they operate some environment.

    A caller without a name, where no header is configured, is our own server: its grants are judged
    by the coordinator.
    """
    match who.via:
        case Via.UNREADABLE:
            return frozenset()
        case Via.NOTHING:
            return frozenset({UiRight.LAUNCH})
        case _:
            return frozenset(UiRight) if operates else frozenset({UiRight.LAUNCH})
