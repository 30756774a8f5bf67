"""The way back of a schema: planned by what runs and what was applied, taken before and after.

Asks neither registry nor GitLab: what was applied is on record, with its commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flowmaster_delivery.flows.goal import Done
from flowmaster_delivery.flows.migrations.jobs import carry_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import NoWayBack
from flowmaster_delivery.model.migration import Direction, Migration
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, Workload, last_success
from flowmaster_delivery.policy.schemas import Image, chain
from flowmaster_delivery.policy.way_back import Going, Plan, Refusal, plan_back
from flowmaster_delivery.ports import History

LOOKED_BACK = 200
UNKNOWN = datetime.max.replace(tzinfo=UTC)
"""When an image was brought here that is not on record: nothing is concluded from it."""


def planned_back(
    service: Service,
    target: DeploymentRecord,
    method: RollbackMethod | None,
    environment: Environment,
    work: Work,
) -> tuple[Plan, ...]:
    """What the rollback of a service to `target` does to the schemas that it works on.

    Without a method: as little as possible.
    Raise NoWayBack, with the way forward, where there is no safe way.
    """
    if not service.migrations:
        return ()
    running = work.ports.cluster(environment).workloads()
    found = [
        _plan(job, service, target, method, running, environment, work, work.reverting)
        for job in service.migrations
    ]
    refused = [plan for plan in found if isinstance(plan, Refusal)]
    if refused:
        said = "; ".join(map(str, refused))
        raise NoWayBack(f"{service.name} is not rolled back in {environment.name}: {said}")
    return tuple(plan for plan in found if isinstance(plan, Plan))


def before(
    plans: Iterable[Plan],
    environment: Environment,
    work: Work,
) -> Done | None:
    """Take back what must be gone before the old image comes; the first that did not succeed, or
    None. Called again after a kill with plans made anew, it goes on where the record stands."""
    for step in (step for plan in plans for step in plan.before):
        done = _take_back(step, environment, work)
        if done.outcome is not Outcome.SUCCESS:
            return done
    return None


def after(
    plans: Iterable[Plan],
    service: Service,
    target: DeploymentRecord,
    environment: Environment,
    work: Work,
) -> Done | None:
    """Take back what the old image does not need, once it is there; as `before`.

    Each step is weighed again by what runs at this moment: of several services that go back
    together the last one to arrive does it, and what still runs on the new schema keeps it.
    """
    for step in (step for plan in plans for step in plan.after):
        running = work.ports.cluster(environment).workloads()
        method = RollbackMethod.MIGRATION
        now = _plan(step.job, service, target, method, running, environment, work)
        if isinstance(now, Refusal) or step not in (*now.before, *now.after)[:1]:
            continue
        done = _take_back(step, environment, work)
        if done.outcome is not Outcome.SUCCESS:
            return done
    return None


def _plan(
    job: str,
    service: Service,
    target: DeploymentRecord,
    method: RollbackMethod | None,
    running: Mapping[str, Workload],
    environment: Environment,
    work: Work,
    reverting: frozenset[str] = frozenset(),
) -> Plan | Refusal:
    history, catalog = work.history, work.catalog
    schema = chain(job, history.migrations(job, environment.name), target.finished_at)
    images = dict(_images(job, running, environment, catalog, history))
    goes = {*reverting, service.name}
    going = Going(
        comes=Image(service.name, target.finished_at, target.needs(job)),
        beside=tuple(image for name, image in images.items() if name not in goes),
        leaves=tuple(
            image
            for name, image in images.items()
            if name in goes and _digest(running, catalog.service(name)) != target.digest
        ),
    )
    return plan_back(schema, going, method)


def _images(
    job: str,
    running: Mapping[str, Workload],
    environment: Environment,
    catalog: Catalog,
    history: History,
) -> Iterator[tuple[str, Image]]:
    """What runs at this moment on the schema, by service."""
    for service in catalog.services.values():
        digest = _digest(running, service) if job in service.migrations else None
        if digest is not None:
            records = history.deployments(service.name, environment.name, limit=LOOKED_BACK)
            yield service.name, _image(job, service, digest, records)


def _image(
    job: str, service: Service, digest: str, newest_first: Iterable[DeploymentRecord]
) -> Image:
    """It ran here since it was brought first, on whatever the schema was then."""
    known = [r for r in newest_first if r.digest == digest]
    if not known:
        return Image(service.name, UNKNOWN)
    ran = [r for r in known if r.outcome is Outcome.SUCCESS] or known[:1]
    return Image(service.name, ran[-1].finished_at, known[0].needs(job))


def _digest(running: Mapping[str, Workload], service: Service) -> str | None:
    workload = running.get(service.workload_name)
    reference = workload.images.get(service.container_name, "") if workload else ""
    return reference.rpartition("@")[2] if "@" in reference else None


def _take_back(
    migration: Migration,
    environment: Environment,
    work: Work,
) -> Done:
    return carry_out(
        migration,
        Direction.DOWN,
        environment,
        work,
        on_success=lambda: _note_job(migration, environment, work),
    )


def _note_job(migration: Migration, environment: Environment, work: Work) -> None:
    """The job stands at this image no more, once: promoting it again runs it again."""
    records = work.history.deployments(migration.job, environment.name, limit=LOOKED_BACK)
    last = last_success(records)
    if last is None or last.digest != migration.digest:
        return
    other = (r for r in records if r.outcome is Outcome.SUCCESS and r.digest != migration.digest)
    past = next(other, None) or replace(last, digest="", fingerprint="", commit="", version=None)
    work.history.record(
        replace(
            past,
            method=Method.ROLLBACK,
            previous_digest=migration.digest,
            started_at=work.now(),
            finished_at=work.now(),
            asked_by=work.asked.by,
            run_id=work.asked.run_id,
            reason=work.asked.reason,
            message=f"migration {migration} was taken back",
            changed=True,
        )
    )
