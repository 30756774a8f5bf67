"""Submission: what becomes of a run that somebody wants to start, before it is queued.

Whoever submits it (UI, API, sensor, command) meets the same rules: who asks must be known where a
person decides, one run per occasion, an older commit gives way, and locks follow the services.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.policy.asking import (
    ANONYMOUS,
    LOCAL,
    Asker,
    Via,
    named_by_proxy,
    people_decide,
)

LOCK = "flowmaster/lock/"


class Purpose(StrEnum):
    """What a run is for, as far as others act on it."""

    DELIVERY = "delivery"
    CANDIDATE = "candidate"
    PROMOTION = "promotion"
    SHIP = "ship"
    ROLLBACK = "rollback"
    CANARY = "canary"
    """An order to a canary that runs."""


@dataclass(frozen=True, slots=True)
class Voucher:
    """What the coordinator vouches for: this one run, who asked for it, and where it may act."""

    run_id: str
    asker: Asker
    environment: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A run as it was submitted. `order` grows with the time of its creation."""

    run_id: str
    order: int
    environments: tuple[str, ...]
    """One, unless somebody asked for several in one run or named none."""
    assets: frozenset[tuple[str, str]]
    """Pairs of service and chapter."""
    occasion: str
    ship: bool
    rollback: bool
    backfill: bool
    again: bool
    """Whether it is the re-execution of another run."""
    repository: str = ""
    ref: str = ""
    commit: str = ""
    canary: bool = False
    """Whether it brings an order to a canary, and nothing else."""
    pod_tags: tuple[str, ...] = ()
    """Tags that would say how the run's pod or container is made."""

    @property
    def chapters(self) -> frozenset[str]:
        return frozenset(chapter for _, chapter in self.assets)


def asker(
    grant: Grant | None,
    submission: Submission,
    named: Sequence[str] | None,
    now: datetime,
    *,
    sandbox: bool,
) -> Asker:
    """Who asks: by a grant of ours, by the proxy's word, or nobody that is known.

    `named` are all values of the proxy's header; None where there is no proxy, or no request.
    """
    environment = ",".join(submission.environments)
    if grant and grant.covers(submission.occasion, environment, now):
        return Asker(grant.asked_by, Via.GRANT)
    if named is not None:
        return named_by_proxy(named)
    return Asker(LOCAL, Via.SANDBOX) if sandbox else Asker(ANONYMOUS, Via.NOTHING)


def refusal(
    submission: Submission, environments: Mapping[str, Environment], who: Asker
) -> str | None:
    """Why the run may not start, whatever its asker may do otherwise; None where it may."""
    if submission.pod_tags:
        tags = ", ".join(submission.pod_tags)
        return (
            f"tags do not say how a run's pod is made ({tags}), since it holds the credentials of "
            "its environment; leave them out, and have pods changed in the installation's values"
        )
    if who.via is Via.UNREADABLE:
        return (
            "the header of the authenticating proxy does not name one GitLab user; the proxy must "
            "set it once for every request, and nothing else may reach the webserver"
        )
    if len(submission.environments) != 1:
        names = ", ".join(environments)
        return f"a run works on one environment; choose one of {names}"
    environment = environments.get(submission.environments[0])
    if environment is None:
        return f"there is no environment {submission.environments[0]!r} in the catalog"
    if submission.backfill and people_decide(environment):
        return (
            f"{environment.name} takes no backfills, since nobody can be asked who started one; "
            "select this one partition and materialize it as a single run"
        )
    return None


def described(submission: Submission, environment: Environment, who: Asker) -> str:
    """Who asks for what, in words: `promotion of api in production, asked for by eve`."""
    services = sorted({service for service, _ in submission.assets})
    named = services[0] if len(services) == 1 else f"{len(services)} services"
    what = purpose(submission, environment).value
    return f"{what} of {named} in {environment.name}, asked for by {who.name}"


def launch_refusal(
    voucher: Voucher | None, submission: Submission, environments: Iterable[str]
) -> str | None:
    """Why a run may not become a pod with the credentials of an environment; None where it may."""
    if voucher is None:
        return (
            "nobody vouches for this run: it did not come through the platform's queue, or the "
            "seal key was changed meanwhile; launch it again, from the UI or by `flowmaster`"
        )
    if submission.environments != (voucher.environment,):
        said = ", ".join(submission.environments) or "none"
        return (
            f"it was admitted for {voucher.environment}, and its tags say {said}; "
            "launch it again for one environment"
        )
    if voucher.environment not in environments:
        return (
            f"the run launcher knows no environment {voucher.environment!r}; "
            "add it to `environments` of run_launcher in dagster.yaml"
        )
    return None


def purpose(submission: Submission, environment: Environment) -> Purpose:
    """What the run is for, by what it selects and what its form says."""
    if submission.rollback:
        return Purpose.ROLLBACK
    if submission.canary:
        return Purpose.CANARY
    if "deployment" in submission.chapters:
        return Purpose.DELIVERY if "promotion" in submission.chapters else Purpose.SHIP
    if submission.ship and not environment.automatic:
        return Purpose.PROMOTION
    return Purpose.DELIVERY if environment.automatic else Purpose.CANDIDATE


def locks(submission: Submission) -> dict[str, str]:
    """One lock per service and environment that is rolled out to.

    A rollback takes none: it must not queue behind the rollout that it stops; the fencing token
    keeps the two apart. Nor does an order to a canary, which speaks to a rollout under way.
    """
    if submission.rollback or submission.canary:
        return {}
    environment = submission.environments[0]
    return {
        f"{LOCK}{service}": environment
        for service, chapter in submission.assets
        if chapter == "deployment"
    }


def duplicate_of(
    submission: Submission, others: Iterable[tuple[Submission, bool]]
) -> Submission | None:
    """The earlier run of the same occasion, if there is one; `others` with whether each failed.

    A run that failed may be executed again, by hand or by Dagster after a crash.
    """
    earlier = [
        other
        for other, failed in others
        if other.order < submission.order and not (submission.again and failed)
    ]
    return min(earlier, key=lambda other: other.order, default=None) if earlier else None


def overtaken_by(
    crashed: Submission, again: Submission, others: Iterable[Submission]
) -> Submission | None:
    """The run of a newer commit that came after `crashed`, which Dagster wants to start `again`.

    Started again behind it, the older commit would be the last one that arrives.
    """
    later = (other for other in others if other.order > crashed.order)
    return next((o for o in later if _replaces(o, again)), None)


def gives_way(queued: Submission, newer: Submission) -> bool:
    """Whether a queued run has nothing to do once a newer commit of the same ref is on its way.

    What is executed again is no newer commit, however late it was submitted.
    """
    return not newer.again and queued.order < newer.order and _replaces(newer, queued)


def _replaces(newer: Submission, older: Submission) -> bool:
    """Whether one brings another commit of the same ref, to all services of the other."""
    same = (older.environments, older.repository, older.ref) == (
        newer.environments,
        newer.repository,
        newer.ref,
    )
    chapters = frozenset({"image", "promotion", "deployment", "health"})
    both_whole = older.chapters == newer.chapters == chapters
    return (
        same
        and both_whole
        and bool(older.ref)
        and older.commit != newer.commit
        and {service for service, _ in older.assets} <= {service for service, _ in newer.assets}
    )
