"""The way back of a schema: what a rollback takes back of its migrations, and when.

At each moment every image that runs must be on a schema that it runs on. So a contraction is taken
back before the old image comes, an expansion after the new one is gone; and where there is no such
order, nothing goes back: people go forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.policy.migrations import half_done, mending
from flowmaster_delivery.policy.schemas import Chain, Image, Step, unfinished_down


@dataclass(frozen=True, slots=True)
class Going:
    """A rollback of one service, as the schema sees it."""

    comes: Image
    """The image that it goes back to; `since` is when that was brought here last."""
    beside: tuple[Image, ...] = ()
    """What else runs on the schema and goes on running."""
    leaves: tuple[Image, ...] = ()
    """What runs and goes back: the service's own image, and those of services that go with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`before` the image is changed these are taken back, `after` it those; newest first."""

    job: str
    version: int | None
    """Of the schema in the end; None where it is not known."""
    before: tuple[Migration, ...] = ()
    after: tuple[Migration, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """That there is no way back, why, and the way forward."""

    job: str
    why: str
    forward: str

    def __str__(self) -> str:
        return f"{self.why}: {self.forward}"


def plan_back(schema: Chain, going: Going, method: RollbackMethod | None) -> Plan | Refusal:
    """What to do about the schema. `schema` holds what was applied since `going.comes` was brought.

    Without a method it is left alone where the image runs on it, and goes back as little as
    possible where not: what an automatic rollback does.
    """
    half = schema.half
    if half and (method is RollbackMethod.REVISION or not unfinished_down(half)):
        return _half(half, schema, going)
    ways = [way for way in _ways(schema, going) if _allowed(way, schema, method)]
    if not ways:
        return _refusal(schema, going, method)
    least = method is None
    swap, end = max(ways, key=lambda way: (way[1] if least else -way[1], way[0]))
    return Plan(
        job=schema.job,
        version=schema.version(end),
        before=_between(schema, swap, schema.top),
        after=_between(schema, end, swap),
        why=_words(schema, end),
    )


def _allowed(way: tuple[int, int], schema: Chain, method: RollbackMethod | None) -> bool:
    """Leaving the schema alone leaves it on top; what has begun to be taken back goes on."""
    _, end = way
    if method is RollbackMethod.REVISION:
        return end == schema.top
    return schema.half is None or end < schema.top


def _ways(schema: Chain, going: Going) -> Iterator[tuple[int, int]]:
    """Every pair of the level at which the images change and the level in the end."""
    for swap in range(schema.top, -1, -1):
        if swap < schema.top and not _down(schema.steps[swap]):
            return
        if not _alive(schema, going, swap):
            return
        if not _arrives(schema, going, swap):
            continue
        yield swap, swap
        for end in range(swap - 1, -1, -1):
            if not _down(schema.steps[end]) or not _arrives(schema, going, end):
                break
            yield swap, end


def _down(step: Step) -> bool:
    return step.migration.reversible


def _alive(schema: Chain, going: Going, level: int) -> bool:
    """Whether everything that runs before the change runs at the level."""
    return not _stranded(schema, going, level) and all(
        schema.bears(image, level, still=True, lightly=True) for image in going.leaves
    )


def _stranded(schema: Chain, going: Going, level: int) -> list[str]:
    """What goes on running and could not at this level."""
    return [i.service for i in going.beside if not schema.bears(i, level, still=True)]


def _arrives(schema: Chain, going: Going, level: int) -> bool:
    """Whether everything that runs after the change runs at the level."""
    comes = schema.bears(going.comes, level, still=False)
    return comes and not _stranded(schema, going, level)


def _between(schema: Chain, low: int, high: int) -> tuple[Migration, ...]:
    return tuple(step.migration for step in reversed(schema.steps[low:high]))


def _words(schema: Chain, end: int) -> str:
    here, there = schema.version(schema.top), schema.version(end)
    if end == schema.top:
        return f"schema of {schema.job} is left at {here}" if schema.steps else ""
    return f"schema of {schema.job} goes back from {here} to {there}"


def _half(found: MigrationRecord, schema: Chain, going: Going) -> Plan | Refusal:
    """Between two versions everything must run on both; then it is left where it is."""
    if found.direction is Direction.UP:
        safe = found.migration.phase is MigrationPhase.EXPAND
        fits = safe and schema.bears(going.comes, schema.top, still=False)
    else:
        levels = range(max(0, schema.top - 1), schema.top + 1)
        fits = all(_arrives(schema, going, level) for level in levels)
    if fits:
        why = f"{half_done(found)}; the schema is left as it is"
        return Plan(schema.job, None, why=why)
    return Refusal(schema.job, half_done(found), mending(found))


def _refusal(schema: Chain, going: Going, method: RollbackMethod | None) -> Refusal:
    """What stands in the way, seen from the top; and what to do instead."""
    name, now = going.comes.service, schema.version(schema.top)
    ship = f"ship a version of {name} that mends it on {now}"
    if method is RollbackMethod.REVISION and any(
        _allowed(way, schema, None) for way in _ways(schema, going)
    ):
        why = f"{name} as it was does not run on schema {now} of {schema.job}"
        return Refusal(
            schema.job, why, f"take the schema back with it (method migration), or {ship}"
        )
    for level in range(schema.top, 0, -1):
        why, remedy = _obstacle(schema, going, level)
        if why:
            return Refusal(schema.job, why, f"{remedy}{ship}")
    why = f"{name} as it was runs on no version that the schema of {schema.job} can go back to"
    return Refusal(schema.job, why, ship)


def _obstacle(schema: Chain, going: Going, level: int) -> tuple[str, str]:
    """Why the schema cannot go down from a level; empty where it can."""
    step, name = schema.steps[level - 1], going.comes.service
    below, here = schema.version(level - 1), schema.version(level)
    if step.by:
        why = f"{step.by} set the schema of {schema.job} from {below} to {here} by hand"
        return f"{why}, and {name} as it was ran on {below}", ""
    if not _down(step):
        contracts = step.migration.phase is MigrationPhase.CONTRACT
        took = f"took away what {name} as it was needs, and " if contracts else ""
        return f"schema {here} of {schema.job} {took}cannot be taken back", ""
    stranded = _stranded(schema, going, level - 1)
    if stranded:
        names = ", ".join(stranded)
        why = f"{name} as it was needs schema {below} of {schema.job}, which {names} cannot run on"
        return why, f"roll {names} back with it, or "
    if not _alive(schema, going, level - 1):
        why = f"what runs now cannot run on schema {below} of {schema.job}"
        return f"{why}, and {name} as it was cannot on {here}", ""
    return "", ""
