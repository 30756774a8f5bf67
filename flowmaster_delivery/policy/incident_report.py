"""The report of an incident, in Markdown: its story, its evidence, and what is left to people.

The checklist is that of the requirements ("Rollback Checklist"), with what the platform has done
already ticked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.policy.markdown import escaped, judged, table

STATES = {
    IncidentState.ROLLING_BACK: "is being rolled back",
    IncidentState.ASKED: "waits for a person",
    IncidentState.ROLLED_BACK: "was rolled back",
    IncidentState.LEFT: "was left as it is",
    IncidentState.FAILED: "could not be rolled back",
}
COMMITS = 50
"""Commits that are listed; the others are counted."""


def report(incident: Incident) -> str:
    """All that is known of an incident, for whoever meets it first."""
    parts = (
        _head(incident),
        _moved(incident),
        _timeline(incident),
        _evidence(incident),
        _told(incident),
        _commits(incident),
        _checklist(incident),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def title(incident: Incident) -> str:
    """`api in production was rolled back`, as plain text."""
    names = ", ".join(incident.services)
    if incident.trigger is Trigger.CANARY and incident.state is IncidentState.ROLLED_BACK:
        return f"the canary of {names} in {incident.environment} was taken away"
    return f"{names} in {incident.environment} {STATES[incident.state]}"


def _head(incident: Incident) -> Iterator[str]:
    yield f"# Incident {incident.id}: {escaped(title(incident))}"
    yield ""
    yield f"**{escaped(incident.reason)}**"
    yield ""
    yield f"Trigger `{incident.trigger}`, decided `{incident.action}`: {escaped(incident.why)}"
    if incident.decided_by:
        yield ""
        yield f"Decided by {escaped(incident.decided_by)}."
    if incident.state is IncidentState.ASKED and not incident.decided_by:
        by = f" by {_clock(incident.deadline)}" if incident.deadline else ""
        yield ""
        yield (
            f"Somebody must decide{by}: `flowmaster incident approve {incident.id}` or "
            f"`flowmaster incident dismiss {incident.id} --reason …`"
        )


def _moved(incident: Incident) -> Iterator[str]:
    if not (incident.from_digest or incident.to_digest):
        return
    yield "## What was rolled back" if incident.state in _MOVED else "## What it is about"
    yield ""
    yield from table(("", "version", "commit", "digest"), _images(incident))
    if incident.hold_id:
        yield ""
        yield f"Held: `flowmaster hold release {incident.hold_id}` when it is mended."


def _images(incident: Incident) -> Iterator[tuple[str, ...]]:
    version, commit = escaped(incident.from_version or ""), incident.from_commit[:8]
    yield "from", version, commit, incident.from_digest or ""
    if incident.to_digest:
        yield "to", escaped(incident.to_version or ""), "", incident.to_digest


_MOVED = (IncidentState.ROLLED_BACK, IncidentState.ROLLING_BACK)


def _timeline(incident: Incident) -> Iterator[str]:
    yield "## Timeline"
    yield ""
    for moment in incident.timeline:
        yield f"- {_clock(moment.at)}: {escaped(moment.words)}"


def _evidence(incident: Incident) -> Iterator[str]:
    if not (incident.judgements or incident.evidence):
        return
    yield "## Evidence"
    if incident.judgements:
        yield ""
        yield from judged(incident.judgements)
    if incident.evidence:
        yield ""
        yield from (f"- {escaped(k)}: {escaped(v)}" for k, v in sorted(incident.evidence.items()))


def _told(incident: Incident) -> Iterator[str]:
    if incident.told:
        yield "## Who was told"
        yield ""
        yield from (f"- {escaped(name)}" for name in incident.told)


def _commits(incident: Incident) -> Iterator[str]:
    if not incident.commits:
        return
    yield "## Commits in what was rolled back"
    yield ""
    for commit in incident.commits[:COMMITS]:
        yield f"- `{commit.id[:8]}` {escaped(commit.title)} ({escaped(commit.author_name)})"
    more = len(incident.commits) - COMMITS
    if more > 0:
        yield f"- and {more} more"


def _checklist(incident: Incident) -> Iterator[str]:
    back = incident.state is IncidentState.ROLLED_BACK
    yield "## Checklist"
    yield ""
    yield "Pre-rollback:"
    yield _item("Identify root cause of failure", done=False)
    yield _item("Determine rollback target version", done=bool(incident.to_digest))
    verified = bool(incident.to_digest) and incident.trigger is not Trigger.PERSON
    yield _item("Verify rollback target is stable", done=verified)
    yield _item("Notify team and stakeholders", done=bool(incident.told))
    captured = bool(incident.judgements or incident.evidence)
    yield _item("Capture logs and metrics from failed deployment", done=captured)
    yield ""
    yield "Execute rollback:"
    yield _item("Execute rollback procedure", done=back)
    yield _item("Monitor rollback progress", done=back)
    yield _item("Verify health checks pass", done=back)
    yield _item("Verify core user workflows", done=False)
    yield ""
    yield "Post-rollback:"
    yield _item("Confirm system stability", done=False)
    yield _item(
        "Notify team and stakeholders (rollback complete)", done=back and bool(incident.told)
    )
    yield _item("Create incident report", done=True)
    yield _item("Root cause analysis", done=False)
    yield _item("Create fix for failed deployment", done=False)
    yield _item("Schedule re-deployment", done=False)


def _item(words: str, *, done: bool) -> str:
    return f"- [{'x' if done else ' '}] {words}"


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""
