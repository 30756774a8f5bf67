"""A Dagster run as the rules of submission see it, and the tags that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from dagster import AssetKey, DagsterRun, RunRecord

from flowmaster_delivery.model.seal import unseal
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.policy.submission import Submission

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
"""`run id|asker|how it is known`, sealed by the coordinator: what the assets believe."""
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

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
    )


def record_submission(record: RunRecord, services: Iterable[str]) -> Submission:
    return submission_of(record.dagster_run, record.storage_id, services)


def form_of(run: DagsterRun) -> Mapping[str, object]:
    """The run's form as it was given, defaults left out."""
    found: object = run.run_config
    for key in ("resources", "form", "config"):
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}


def voucher(run_id: str, who: Asker) -> str:
    """What the coordinator seals about who asked for a run."""
    return f"{run_id}|{who.name}|{who.via}"


def asker_in(sealed: str, run_id: str, key: str) -> Asker | None:
    """Who asked for this run, by a voucher; None where it is not ours or another run's."""
    parts = (unseal(key, sealed) or "").split("|")
    return Asker(parts[1], Via(parts[2])) if len(parts) == 3 and parts[0] == run_id else None


def _assets(
    selection: Iterable[AssetKey] | None, services: Iterable[str]
) -> frozenset[tuple[str, str]]:
    if selection is None:
        return frozenset((service, chapter) for service in services for chapter in CHAPTERS)
    return frozenset((key.path[0], key.path[-1]) for key in selection if len(key.path) == 2)
