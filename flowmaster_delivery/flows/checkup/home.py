"""What is in this process's own reach: secrets, storage, the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from flowmaster_delivery.flows.verification.templates import secrets_in
from flowmaster_delivery.model.audit import AuditEntry
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.checkup import Finding, Topic
from flowmaster_delivery.model.errors import NotConfigured, Permanent
from flowmaster_delivery.model.verification import Validation
from flowmaster_delivery.policy.audit import verify
from flowmaster_delivery.policy.checkup.grading import failed, fine
from flowmaster_delivery.policy.checkup.home import of_secret, of_storage
from flowmaster_delivery.ports.audit import AuditTrail
from flowmaster_delivery.ports.checkup import Doors

PAGE = 1000


def secrets(doors: Doors) -> Iterator[Finding]:
    return (of_secret(file) for file in doors.secrets)


def smoke_secrets(environment: Environment, catalog: Catalog, doors: Doors) -> Iterator[Finding]:
    """What the environment's smoke tests log in with is there."""
    names = names_of(environment, catalog)
    about, absent = f"smoke tests of {environment.name}", []
    for name in names:
        try:
            doors.smoke_secret(environment.name, name)
        except NotConfigured:
            raise
        except Permanent as error:
            absent.append(str(error))
    if absent:
        mend = f"put a file for each into the folder of secrets (the Secret of {environment.name})"
        yield failed(Topic.SETTINGS, about, "; ".join(absent), mend)
    elif names:
        yield fine(Topic.SETTINGS, about, f"{', '.join(names)} can be read")
    else:
        yield fine(Topic.SETTINGS, about, "they log in with no secret")


def names_of(environment: Environment, catalog: Catalog) -> tuple[str, ...]:
    """The secrets that smoke tests ask for there."""
    asked = [
        step
        for service in catalog.services.values()
        if Validation.SMOKE in environment.safeguards_of(service).validation
        for test in service.smoke
        for step in test.steps
    ]
    return tuple(sorted(secrets_in([[step.headers, step.body] for step in asked])))


def storage(doors: Doors) -> Iterator[Finding]:
    with doors.storage() as opened:
        yield from of_storage(opened.facts())
        opened.write_and_read()
        yield fine(Topic.STORAGE, "record", "what is written comes back")


def audit(doors: Doors) -> Iterator[Finding]:
    """The whole chain, with the seals where the key is here."""
    key = None
    with suppress(NotConfigured):
        key = doors.seal_key()
    with doors.storage() as opened:
        found = verify(_entries(opened.audit), key)
    seals = "" if found.seals else " (seals were not looked at: no seal key here)"
    if found.whole:
        seen = f"{found.entries} entries, each in its place and unchanged{seals}"
        yield fine(Topic.AUDIT, "trail", seen)
        return
    said = "; ".join(f"entry {flaw.sequence}: {flaw.words}" for flaw in found.findings[:3])
    mend = "somebody changed it, or restored half of it: compare with a backup"
    yield failed(
        Topic.AUDIT, "trail", f"{found.flaws} flaws in {found.entries} entries: {said}", mend
    )


def _entries(trail: AuditTrail) -> Iterator[AuditEntry]:
    after = 0
    while page := trail.read(after, PAGE):
        yield from page
        after = page[-1].sequence
