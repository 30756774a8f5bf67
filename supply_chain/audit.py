"""`make audit`: exit status 1 for a vulnerability that nobody excused; all else is told too."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from supply_chain.judging import excuses_of, judge, report
from supply_chain.pins import pins
from supply_chain.vulnerabilities import ask

IGNORED = Path(__file__).with_name("ignored.toml")
LOCK = Path(__file__).parents[1] / "requirements-image.lock"


def main(left_out: str | None = None) -> int:
    """`left_out` names a file for what could not be audited: CI ends with it."""
    excuses = excuses_of(IGNORED.read_text(encoding="utf-8"))
    answers = ask(pins(LOCK.read_text(encoding="utf-8")))
    verdict = judge(answers, excuses, datetime.now(UTC).date())
    lines = list(report(verdict))
    print("\n".join(lines))
    if left_out is not None:
        unknown = [line for line in lines if line.startswith("NOT AUDITED")]
        Path(left_out).write_text("".join(f"{line}\n" for line in unknown), encoding="utf-8")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
