"""What a replay found: a line for each promotion and each case, and all of it in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Would(StrEnum):
    """What the policy would have done."""

    LET_IN = "let in"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"
    ASKED = "asked a person"
    TOLD = "told people"
    LEFT = "left it"
    """A rollback on record that this policy would not have made."""
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Finding:
    """One promotion, or one case against what ran."""

    at: datetime
    service: str
    happened: str
    would: Would
    why: str
    is_promotion: bool = False
    not_on_record: tuple[str, ...] = ()
    """Gates that it asks for and of which the record says nothing."""
    as_it_happened: bool = False
    """Whether the record holds the same."""


@dataclass(frozen=True, slots=True)
class Replay:
    """All findings, oldest first, and what could not be looked at."""

    environment: str
    since: datetime
    until: datetime
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """`of 14 promotions it would have refused 2; it would have rolled back 3 times, …`."""
        promotions = [f for f in self.findings if f.is_promotion]
        refused = sum(f.would is Would.REFUSED for f in promotions)
        unknown = sum(f.would is Would.UNKNOWN for f in promotions)
        untold = f" ({unknown} cannot be told)" if unknown else ""
        back = [f for f in self.findings if f.would is Would.ROLLED_BACK]
        same = sum(f.as_it_happened for f in back)
        happened = f", {same} of them as it happened" if back else ""
        asked = sum(f.would is Would.ASKED for f in self.findings)
        left = sum(f.would is Would.LEFT for f in self.findings)
        more = f"; it would have asked a person {_times(asked)}" if asked else ""
        more += f"; {left} on record it would not have made" if left else ""
        return (
            f"of {len(promotions)} promotions it would have refused {refused}{untold}; "
            f"it would have rolled back {_times(len(back))}{happened}{more}"
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
