"""A Dagster run as the rules of submission see it, and the tags that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from dagster import AssetKey, DagsterInstance, DagsterRun, RunRecord
from dagster._core.storage.tags import MAX_RETRIES_TAG

from flowmaster_delivery.model.seal import unseal
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.policy.submission import Submission, Voucher

OCCASION = "flowmaster/occasion"
ENVIRONMENT = "flowmaster/environment"
REPOSITORY = "flowmaster/repository"
COMMIT = "flowmaster/commit"
REF = "flowmaster/ref"
VERSION = "flowmaster/version"
PURPOSE = "flowmaster/purpose"
ASKED_BY = "flowmaster/asked-by"
GRANT = "flowmaster/grant"
SPENT = "spent"
VOUCHER = "flowmaster/voucher"
"""Run id, asker, how that is known, and environment, sealed by the coordinator: what the assets and
the launcher believe."""
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
POD_TAGS = ("dagster-k8s/", "dagster-docker/", "dagster-celery-k8s/", "ecs/")
"""Beginnings of the tags by which Dagster's launchers let a run say how its pod is made."""

CHAPTERS = ("image", "promotion", "deployment", "health")


def submission_of(run: DagsterRun, order: int, services: Iterable[str]) -> Submission:
    """Read a run; `services` are all of the catalog, for a run that selects everything."""
    tags, form = run.tags, form_of(run)
    ranged = [tags[tag] for tag in RANGE if tag in tags]
    named = [tags[PARTITION]] if PARTITION in tags else []
    return Submission(
        run_id=run.run_id,
        order=order,
        environments=tuple(dict.fromkeys(ranged or named)),
        assets=_assets(run.asset_selection, services),
        occasion=tags.get(OCCASION, f"run:{run.run_id}"),
        ship=form.get("ship") is True,
        rollback=bool(form.get("rollback_to")),
        backfill=BACKFILL in tags or bool(ranged),
        again=run.parent_run_id is not None,
        repository=tags.get(REPOSITORY, ""),
        ref=tags.get(REF, ""),
        commit=tags.get(COMMIT, ""),
        canary=bool(form.get("canary")),
        pod_tags=tuple(sorted(tag for tag in tags if tag.startswith(POD_TAGS))),
    )


def record_submission(record: RunRecord, services: Iterable[str]) -> Submission:
    return submission_of(record.dagster_run, record.storage_id, services)


def form_of(run: DagsterRun) -> Mapping[str, object]:
    """The run's form as it was given, defaults left out."""
    found: object = run.run_config
    for key in ("resources", "form", "config"):
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}


def voucher(run_id: str, who: Asker, environment: str) -> str:
    """What the coordinator seals about a run; the first word tells it from a grant."""
    return f"{VOUCHER}|{run_id}|{who.name}|{who.via}|{environment}"


def voucher_in(sealed: str, run_id: str, key: str) -> Voucher | None:
    """What is vouched for about this run; None where it is not ours or another run's."""
    parts = (unseal(key, sealed) or "").split("|")
    if len(parts) != 5 or parts[:2] != [VOUCHER, run_id]:
        return None
    return Voucher(run_id, Asker(parts[2], Via(parts[3])), parts[4])


def voucher_of(run: DagsterRun, key: str) -> Voucher | None:
    """The voucher that a run carries; None where it carries none, or none of its own."""
    sealed = run.tags.get(VOUCHER)
    return voucher_in(sealed, run.run_id, key) if sealed else None


def refuse(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    """End a run for good: what is refused once, Dagster would submit again two times."""
    instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
    instance.report_run_failed(run, why)


def _assets(
    selection: Iterable[AssetKey] | None, services: Iterable[str]
) -> frozenset[tuple[str, str]]:
    if selection is None:
        return frozenset((service, chapter) for service in services for chapter in CHAPTERS)
    return frozenset((key.path[0], key.path[-1]) for key in selection if len(key.path) == 2)
