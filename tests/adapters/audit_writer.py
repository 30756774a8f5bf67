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


def main(who: str, count: int) -> None:
    """Begin when the line comes that says where the database is, so that several begin at once."""
    trail = AuditTable(lambda: engine, lambda: KEY)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    engine = create_engine(sys.stdin.readline().strip())
    for number in range(count):
        trail.append(a_deed(who, reason=str(number)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
