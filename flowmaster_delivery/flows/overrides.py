"""Override: a named person lets a version past one closed gate, for a reason and for a time.

Who may and what it is worth is decided in `policy.overrides`; this reads what that needs, records
what people say, and tells everybody.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowmaster_delivery.flows.approval import find_release
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.telling import gate_overridden
from flowmaster_delivery.model.catalog import Environment, GateName, OverrideRule
from flowmaster_delivery.model.errors import DeliveryError, Refused
from flowmaster_delivery.model.facts import OverrideFacts, Unread
from flowmaster_delivery.model.promotion import Candidate, Override
from flowmaster_delivery.model.source import Person
from flowmaster_delivery.policy.overrides import ends, flaw
from flowmaster_delivery.policy.wording import span


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. `lasts` as long as policy allows where None."""

    version: str
    gate: GateName
    reason: str
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A recorded override, and why it does not count now; `flaw` is empty where it does."""

    override: Override
    until: datetime
    flaw: str


def give(
    wish: Wish, environment: Environment, person: Person, reading: Reading, now: datetime
) -> Override:
    """Record the override of a person whom GitLab vouched for, bound to the version's commit.

    Raise Refused where policy lets the gate not be overridden, for so long, by this person, or
    without a reason.
    """
    rule = _rule(environment)
    repository, release = find_release(wish.version, reading.catalog, reading.ports)
    _check(wish, rule, environment, person, reading.members(rule.group))
    override = Override(
        id=uuid.uuid4().hex[:8],
        gate=wish.gate,
        environment=environment.name,
        repository=repository.name,
        version=release.version,
        commit=release.commit,
        by=person.username,
        reason=wish.reason.strip(),
        at=now,
        expires_at=now + (rule.lasts if wish.lasts is None else wish.lasts),
    )
    reading.ports.history.record(override)
    reading.ports.notifier.tell(gate_overridden(override))
    return override


def listed(
    environment: Environment, version: str, reading: Reading, now: datetime
) -> tuple[Told, ...]:
    """Every override of a version in an environment, newest first, expired or not."""
    rule = _rule(environment)
    repository, release = find_release(version, reading.catalog, reading.ports)
    facts = _facts(environment, rule, repository.name, release.version, reading)
    return tuple(
        Told(one, ends(one, rule), flaw(one, rule, release.commit, facts.members, now))
        for one in reversed(facts.recorded)
    )


def override_facts(
    candidate: Candidate, environment: Environment, reading: Reading
) -> OverrideFacts:
    """What was recorded of the candidate's version here, with who is of the group now."""
    if environment.override is None or candidate.version is None:
        return OverrideFacts()
    return _facts(
        environment, environment.override, candidate.repository, candidate.version, reading
    )


def _facts(
    environment: Environment, rule: OverrideRule, repository: str, version: str, reading: Reading
) -> OverrideFacts:
    every = reading.once(
        ("overrides", repository, version),
        lambda: reading.ports.history.overrides(repository, version),
    )
    recorded = tuple(one for one in every if one.environment == environment.name)
    return OverrideFacts(recorded, _members(rule, reading) if recorded else frozenset())


def _members(rule: OverrideRule, reading: Reading) -> frozenset[str] | Unread:
    try:
        return reading.members(rule.group)
    except DeliveryError as error:  # nobody's override counts while that cannot be read
        return Unread(str(error))


def _rule(environment: Environment) -> OverrideRule:
    if environment.override is None:
        raise Refused(
            f"nothing can be overridden in {environment.name}: its catalog entry names no "
            "'override' with the group that may"
        )
    return environment.override


def _check(
    wish: Wish,
    rule: OverrideRule,
    environment: Environment,
    person: Person,
    members: frozenset[str],
) -> None:
    if wish.gate not in rule.gates:
        gates = ", ".join(rule.gates)
        raise Refused(f"{environment.name} lets {gates} be overridden, and not {wish.gate}")
    if not wish.reason.strip():
        raise Refused(f"an override of {wish.gate} in {environment.name} needs a reason; give one")
    if wish.lasts is not None and not timedelta(0) < wish.lasts <= rule.lasts:
        raise Refused(
            f"an override in {environment.name} lasts {span(rule.lasts)} at most, and not "
            f"{span(wish.lasts)}"
        )
    if person.username not in members:
        raise Refused(
            f"{person.username} is not a member of {rule.group}, which alone may override a gate "
            f"of {environment.name}; ask one of that group"
        )
