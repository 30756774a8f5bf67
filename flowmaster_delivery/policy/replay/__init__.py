"""Replay: what a policy would have done with what is on record.

Here: asking the gate and the rollback rules again, at the times at which they were asked, of the
facts that the record holds. What it does not hold is said and never guessed. Not here: reading the
record (flows), and where the policy comes from.
"""

from __future__ import annotations

from flowmaster_delivery.policy.replay.findings import Finding, Replay, Would
from flowmaster_delivery.policy.replay.whole import replay

__all__ = ["Finding", "Replay", "Would", "replay"]
