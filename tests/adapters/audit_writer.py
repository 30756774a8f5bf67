"""A process of its own that adds entries to a trail: `python -m tests.adapters.audit_writer`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from sqlalchemy import create_engine

from flowmaster_delivery.adapters.audit_trail import AuditTable
from flowmaster_delivery.model.audit import Action, Channel, Deed, Result, Whence
from tests.fakes.fake_audit import KEY

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def a_deed(who: str = "dana", **changes: object) -> Deed:
    given: dict[str, object] = {
        "action": Action.HOLD_PLACED,
        "result": Result.DONE,
        "at": NOW,
        "whence": Whence(Channel.API),
        "who": who,
    }
    return Deed(**{**given, **changes})  # type: ignore[arg-type]


def main(url: str, who: str, count: int) -> None:
    """Begin when the line comes that says so, so that several begin at once."""
    trail = AuditTable(lambda: engine, lambda: KEY)
    engine = create_engine(url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(count):
        trail.append(a_deed(who, reason=str(number)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
