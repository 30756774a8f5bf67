"""What stands in this process's own reach: its secrets' files, its storage, its clock."""

from __future__ import annotations

from collections.abc import Iterator

from flowmaster_delivery.model.checkup import Clocks, Finding, SecretFile, StorageFacts, Topic
from flowmaster_delivery.policy.checkup.grading import failed, fine, not_checked, warning

SHORTEST_SEAL_KEY = 32
"""Characters: less than 16 random bytes in hexadecimal can be guessed."""
READABLE_BY_ALL = 0o004
WRITABLE_BY_OTHERS = 0o022
NOTICEABLE, HARMFUL = 5.0, 30.0
"""Seconds that clocks may differ. Grants live for minutes, leases and webhooks' signatures for
less; what is seen at a wrong time soaks for a wrong time."""
BLUR = 1.0
"""Seconds: a Date header names no fraction."""
MIGRATE = "run `dagster instance migrate` with this installation's DAGSTER_HOME (the chart's hook)"


def of_secret(file: SecretFile) -> Finding:
    """Whether it can be read, by us alone. Which secrets a part needs is the installation's
    business: one that is not configured was not looked at."""
    about = file.name
    if file.path is None:
        why = "not configured in this process (FLOWMASTER_…_FILE)"
        return not_checked(Topic.SETTINGS, about, why)
    where = f"{file.path} ({file.variable})"
    if file.trouble:
        mend = f"mount the secret there, readable for this process, or correct {file.variable}"
        return failed(Topic.SETTINGS, about, f"{where} cannot be read: {file.trouble}", mend)
    if not file.length:
        return failed(Topic.SETTINGS, about, f"{where} is empty", "put the secret into it")
    if file.name == "seal_key" and file.length < SHORTEST_SEAL_KEY:
        seen = f"{where} has {file.length} characters"
        mend = f"make one of at least {SHORTEST_SEAL_KEY}: openssl rand -hex 32"
        return failed(Topic.SETTINGS, about, seen, mend)
    if file.mode & (READABLE_BY_ALL | WRITABLE_BY_OTHERS):
        seen = f"{where} has mode {file.mode:04o}: others than this process can read or change it"
        mend = "chmod 0400 (of a Kubernetes volume: defaultMode 0440 with fsGroup)"
        return warning(Topic.SETTINGS, about, seen, mend)
    return fine(Topic.SETTINGS, about, where)


def of_storage(facts: StorageFacts) -> Iterator[Finding]:
    """Of the record: which one it is, and whether its tables are those that the program knows."""
    old = {
        part: revisions
        for part, revisions in facts.revisions.items()
        if revisions[0] != revisions[1]
    }
    for part, (have, newest) in old.items():
        seen = f"the tables of {part} are at revision {have or 'none'}, not at {newest or 'none'}"
        yield failed(Topic.STORAGE, part, seen, MIGRATE)
    if not old:
        seen = f"{facts.kind}; the tables of {', '.join(facts.revisions)} are up to date"
        yield fine(Topic.STORAGE, "schema", seen)


def of_clock(about: str, clocks: Clocks) -> Finding:
    """A server's clock against ours, as far as a Date header tells it."""
    behind = (clocks.before - clocks.theirs).total_seconds() - BLUR
    ahead = (clocks.theirs - clocks.after).total_seconds()
    apart = max(behind, ahead, 0.0)
    how = "behind ours" if behind > ahead else "ahead of ours"
    if apart < NOTICEABLE:
        return fine(Topic.CLOCK, about, "its clock and ours agree within seconds")
    grade = failed if apart > HARMFUL else warning
    mend = f"let the node of this process and {about} follow the same time servers (NTP)"
    return grade(Topic.CLOCK, about, f"its clock is {apart:.0f} s {how}", mend)
