"""Orders: what a run shall do, made in one place for sensors, server and commands alike.

An order's occasion is the stable name of what gave rise to it: a commit on a branch, a tag at a
commit, a promotion run. The same occasion is launched once, whoever notices it first.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.ports import RunOrder

ADMISSION = ("image", "promotion")
DELIVERY = ("deployment", "health")

OCCASION = "flowmaster/occasion"
ENVIRONMENT = "flowmaster/environment"
REPOSITORY = "flowmaster/repository"
COMMIT = "flowmaster/commit"
REF = "flowmaster/ref"
VERSION = "flowmaster/version"
PURPOSE = "flowmaster/purpose"


def delivery(
    source: Source,
    all_the_way: Iterable[str],
    admission_only: Iterable[str],
    *,
    after: str | None = None,
) -> RunOrder:
    """A branch's commit into its environment: services whose gate is open go all the way.

    The others are asked, so that their refusal is on record; when they open later, that is another
    occasion of the same commit. So is the return of a branch to a commit that it had before:
    `after` is the commit it returns from.
    """
    open_, closed = sorted(all_the_way), sorted(admission_only)
    assets = [(service, chapter) for service in open_ for chapter in (*ADMISSION, *DELIVERY)]
    assets += [(service, chapter) for service in closed for chapter in ADMISSION]
    back = f"/after:{after[:12]}" if after else ""
    without = f"/without:{','.join(closed)}" if closed else ""
    occasion = _occasion(source) + back + without
    return _order(source, assets, purpose="delivery", ship=True, occasion=occasion)


def candidate(source: Source, services: Iterable[str], changed: Iterable[str]) -> RunOrder:
    """A tag makes a candidate: every service gets its version, those that change a prognosis."""
    assets = [
        *((service, "image") for service in services),
        *((service, "promotion") for service in changed),
    ]
    return _order(source, assets, purpose="candidate", ship=False, occasion=_occasion(source))


def promotion(
    source: Source, services: Iterable[str], *, reason: str, partial: bool = False
) -> RunOrder:
    """A person ships a release: asked anew each time, so each asking is an occasion of its own."""
    assets = [(service, chapter) for service in services for chapter in ADMISSION]
    occasion = f"promote:{_occasion(source)}#{uuid.uuid4().hex[:8]}"
    return _order(
        source,
        assets,
        purpose="promotion",
        ship=True,
        occasion=occasion,
        reason=reason,
        partial=partial,
    )


def shipping(
    source: Source, services: Iterable[str], promotion_run: str, *, reason: str
) -> RunOrder:
    """What a promotion run admitted is brought to the cluster, once for that run."""
    assets = [(service, chapter) for service in services for chapter in DELIVERY]
    occasion = f"ship:{promotion_run}"
    return _order(source, assets, purpose="ship", ship=True, occasion=occasion, reason=reason)


def rollback(
    environment: Environment,
    services: Iterable[str],
    to: str,
    *,
    reason: str,
    method: RollbackMethod | None = None,
) -> RunOrder:
    """Back to a version or to the previous verified image."""
    occasion = f"rollback:{environment.name}:{to}#{uuid.uuid4().hex[:8]}"
    form = {"rollback_to": to, "reason": reason}
    if method:
        form["method"] = method.value
    return _rollback_order(environment.name, services, occasion, form)


def incident_rollback(incident: Incident, *, reason: str) -> RunOrder:
    """What a person approved: launched once, however many approve."""
    form = {"rollback_to": "previous", "reason": reason, "incident": incident.id}
    occasion = f"incident:{incident.id}@{incident.updated_at:%Y%m%dT%H%M%S}"
    return _rollback_order(incident.environment, incident.services, occasion, form)


def _rollback_order(
    environment: str, services: Iterable[str], occasion: str, form: Mapping[str, object]
) -> RunOrder:
    assets = tuple((service, chapter) for service in services for chapter in DELIVERY)
    tags = {OCCASION: occasion, ENVIRONMENT: environment, PURPOSE: "rollback"}
    return RunOrder(environment, assets, occasion, form, tags)


def _occasion(source: Source) -> str:
    return f"{source.environment.name}:{source.repository.name}:{source.ref}@{source.commit[:12]}"


def _order(
    source: Source,
    assets: Iterable[tuple[str, str]],
    *,
    purpose: str,
    ship: bool,
    occasion: str,
    reason: str = "",
    partial: bool = False,
) -> RunOrder:
    tags = {
        OCCASION: occasion,
        ENVIRONMENT: source.environment.name,
        REPOSITORY: source.repository.name,
        COMMIT: source.commit,
        REF: source.ref,
        PURPOSE: purpose,
    }
    if source.version:
        tags[VERSION] = source.version
    form = {
        "repository": source.repository.name,
        "commit": source.commit,
        "ref": source.ref,
        "version": source.version or "",
        "reason": reason,
        "ship": ship,
        "partial": partial,
    }
    return RunOrder(source.environment.name, tuple(assets), occasion, form, tags)
