"""The history port on Dagster's event log, by public methods of the instance.

Where a record stands (every event carries the record and its seal in its metadata):

- ImageRecord: materialization of `<service>/image`; Admission: of `<service>/promotion`;
- DeploymentRecord: materialization of `<service>/deployment` where it succeeded, else observation;
- HealthObservation: observation (by the watch) or materialization (by a run) of `<service>/health`;
- Verification: materialization of `<service>/verified` where it succeeded, else observation: of its
  own, so that finding one does not mean reading all that the watch saw;
- CanaryOrder and MigrationRecord: observations of `<service>/deployment`;
- ReleaseSeen, Approval and Override: observations of `release/<repository>`, the version as their
  partition;
- Incident: observations of the one key `incidents`; Hold: of `holds`, without partition, so that
  all of them cost one query.

All but releases and holds in the partition of their environment. Reads see what other processes
wrote. A database that cannot be asked is Unreachable, in reads and in writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import TypeVar

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    DagsterInstance,
    EventLogRecord,
    EventRecordsResult,
    MetadataValue,
    TextMetadataValue,
)

from flowmaster_delivery.adapters.dagster_asking import asked
from flowmaster_delivery.adapters.dagster_codec import decode, sealed
from flowmaster_delivery.adapters.dagster_facts import facts
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override, ReleaseSeen
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
)
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.ports import Record

RECORD_KEY = "flowmaster/record"
SEAL_KEY = "flowmaster/seal"
HOLDS = AssetKey(["holds"])
INCIDENTS = AssetKey(["incidents"])
CHAPTERS: Mapping[type[Record], str] = {
    ImageRecord: "image",
    DeploymentRecord: "deployment",
    HealthObservation: "health",
    Verification: "verified",
}
PAGE = 1000
"""Events of one query; Dagster allows 10,000."""

R = TypeVar("R")
Fetch = Callable[[AssetRecordsFilter, int, str | None], EventRecordsResult]


def release_key(repository: str) -> AssetKey:
    return AssetKey(["release", repository])


def sealed_metadata(seal_key: str, record: Record) -> dict[str, TextMetadataValue]:
    """The record and its seal, as an event carries them."""
    text, seal = sealed(seal_key, record)
    return {RECORD_KEY: MetadataValue.text(text), SEAL_KEY: MetadataValue.text(seal)}


def read_record(seal_key: str, kind: type[R], metadata: Mapping[str, object]) -> R | None:
    """The record in an event's metadata, where there is one of this kind that was sealed so."""
    text, seal = (metadata.get(key) for key in (RECORD_KEY, SEAL_KEY))
    if not isinstance(text, TextMetadataValue) or not isinstance(seal, TextMetadataValue):
        return None
    record = decode(seal_key, text.value, seal.value)
    return record if isinstance(record, kind) else None


class DagsterHistory:
    """Implements `ports.History`. `seal_key` is what every record is sealed with."""

    def __init__(self, instance: DagsterInstance, seal_key: str, page: int = PAGE) -> None:
        self._instance, self._seal_key, self._page = instance, seal_key, page

    def images(self, service: str, environment: str, limit: int = 50) -> tuple[ImageRecord, ...]:
        return self._materialized(ImageRecord, AssetKey([service, "image"]), environment, limit)

    def admissions(self, service: str, environment: str, limit: int = 50) -> tuple[Admission, ...]:
        return self._materialized(Admission, AssetKey([service, "promotion"]), environment, limit)

    def deployments(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[DeploymentRecord, ...]:
        where = _filter(AssetKey([service, "deployment"]), environment)
        found = self._events(DeploymentRecord, where, limit)
        once = {(r.run_id, r.outcome, r.digest, r.finished_at): r for r in found}  # reported twice
        ordered = sorted(once.values(), key=lambda record: record.finished_at, reverse=True)
        return tuple(ordered[:limit])

    def observations(
        self, service: str, environment: str, since: datetime | None = None, limit: int = 1000
    ) -> tuple[HealthObservation, ...]:
        where = _filter(AssetKey([service, "health"]), environment, since)
        found = [
            o
            for o in self._events(HealthObservation, where, limit)
            if since is None or o.at >= since
        ]
        return tuple(sorted(found, key=lambda seen: seen.at, reverse=True)[:limit])

    def holds(self) -> tuple[Hold, ...]:
        last: dict[str, Hold] = {}
        for hold in self._all_observed(Hold, _filter(HOLDS)):
            if hold.id not in last or last[hold.id].active:  # a release is never undone
                last[hold.id] = hold
        return tuple(sorted(last.values(), key=lambda hold: hold.at, reverse=True))

    def approvals(self, repository: str, version: str) -> tuple[Approval, ...]:
        found = self._all_observed(Approval, _filter(release_key(repository), version))
        return tuple(sorted(found, key=lambda approval: approval.at))

    def overrides(self, repository: str, version: str) -> tuple[Override, ...]:
        found = self._all_observed(Override, _filter(release_key(repository), version))
        return tuple(sorted(found, key=lambda override: override.at))

    def verifications(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[Verification, ...]:
        where = _filter(AssetKey([service, "verified"]), environment)
        found = sorted(self._events(Verification, where, limit), key=lambda one: one.at)
        return tuple(reversed(found))[:limit]

    def migrations(
        self, job: str, environment: str, limit: int = 200
    ) -> tuple[MigrationRecord, ...]:
        where = _filter(AssetKey([job, "deployment"]), environment)
        return tuple(islice(self._all_observed(MigrationRecord, where, limit), limit))

    def canary_orders(
        self, service: str, environment: str, limit: int = 20
    ) -> tuple[CanaryOrder, ...]:
        where = _filter(AssetKey([service, "deployment"]), environment)
        return tuple(self._pages(CanaryOrder, self._instance.fetch_observations, where, limit))

    def incidents(self, environment: str, limit: int = 200) -> tuple[Incident, ...]:
        last: dict[str, Incident] = {}
        for incident in self._all_observed(Incident, _filter(INCIDENTS, environment), limit):
            if incident.id not in last and len(last) == limit:
                break
            last.setdefault(incident.id, incident)
        return tuple(sorted(last.values(), key=lambda one: one.opened_at, reverse=True))

    def releases(self, repository: str, limit: int = 200) -> tuple[ReleaseSeen, ...]:
        where = _filter(release_key(repository))
        found = islice(self._all_observed(ReleaseSeen, where, limit), limit)
        return tuple(sorted(found, key=lambda release: release.at, reverse=True))

    def record(self, record: Record, shown: str = "") -> None:
        key, partition = _place(record)
        event = AssetMaterialization if _stands(record) else AssetObservation
        told = {name: MetadataValue.text(words) for name, words in facts(record).items()}
        report = {"report": MetadataValue.md(shown)} if shown else {}
        made = event(
            asset_key=key,
            partition=partition,
            metadata={**told, **report, **self.metadata_of(record)},
        )
        with asked(f"{type(record).__name__} could not be written"):
            self._instance.report_runless_asset_event(made)

    def metadata_of(self, record: Record) -> dict[str, TextMetadataValue]:
        """What makes an event of a run count: the record and its seal."""
        return sealed_metadata(self._seal_key, record)

    def read(self, kind: type[R], metadata: Mapping[str, object]) -> R | None:
        """The record in an event's metadata, where there is one of this kind that we sealed."""
        return read_record(self._seal_key, kind, metadata)

    def _materialized(
        self, kind: type[R], key: AssetKey, environment: str, limit: int
    ) -> tuple[R, ...]:
        fetch = self._instance.fetch_materializations
        return tuple(self._pages(kind, fetch, _filter(key, environment), limit))

    def _events(self, kind: type[R], where: AssetRecordsFilter, limit: int) -> Iterator[R]:
        yield from self._pages(kind, self._instance.fetch_materializations, where, limit)
        yield from self._pages(kind, self._instance.fetch_observations, where, limit)

    def _all_observed(
        self, kind: type[R], where: AssetRecordsFilter, wanted: int = PAGE
    ) -> Iterator[R]:
        """Where only so many are wanted, what is read at once is not much more: an incident's
        events are long."""
        return self._pages(kind, self._instance.fetch_observations, where, None, 2 * wanted)

    def _pages(
        self,
        kind: type[R],
        fetch: Fetch,
        where: AssetRecordsFilter,
        limit: int | None,
        at_once: int = PAGE,
    ) -> Iterator[R]:
        """Records of up to `limit` events, newest first, read in pages as they are asked for."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = min(self._page, at_once, self._page if left is None else left)
            with asked(f"{where.asset_key.to_user_string()} could not be read"):
                page = fetch(where, size, cursor)
            yield from self._parsed(kind, page)
            if not page.has_more:
                return
            cursor = page.cursor
            left = left - len(page.records) if left is not None else None

    def _parsed(self, kind: type[R], page: EventRecordsResult) -> Iterator[R]:
        for event in page.records:
            record = self.read(kind, _metadata(event))
            if record is not None:
                yield record


def _filter(
    key: AssetKey, partition: str | None = None, since: datetime | None = None
) -> AssetRecordsFilter:
    return AssetRecordsFilter(
        asset_key=key,
        asset_partitions=[partition] if partition else None,
        after_timestamp=since.timestamp() if since else None,
    )


def _metadata(event: EventLogRecord) -> Mapping[str, object]:
    content = event.asset_materialization or event.asset_observation
    return content.metadata if content else {}


def _stands(record: Record) -> bool:
    """Whether it says what is so from now on; the others are seen and change nothing."""
    match record:
        case ImageRecord() | Admission():
            return True
        case DeploymentRecord():
            return record.outcome is Outcome.SUCCESS
        case Verification():
            return record.verified
        case _:
            return False


def _place(record: Record) -> tuple[AssetKey, str | None]:
    match record:
        case ImageRecord() | DeploymentRecord() | HealthObservation() | Verification():
            return AssetKey([record.service, CHAPTERS[type(record)]]), record.environment
        case CanaryOrder():
            return AssetKey([record.service, "deployment"]), record.environment
        case Admission():
            candidate = record.candidate
            return AssetKey([candidate.service, "promotion"]), candidate.environment
        case MigrationRecord():
            return AssetKey([record.migration.job, "deployment"]), record.environment
        case Incident():
            return INCIDENTS, record.environment
        case Hold():
            return HOLDS, None
        case Approval() | Override() | ReleaseSeen():
            return release_key(record.repository), record.version
