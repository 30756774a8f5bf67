"""The intake sensor: looks at every repository, remembers what it saw, orders what is new.

A repository that cannot be read does not hold up the others: they go on, and the tick says which
one failed.
"""

import base64
import json
import logging
import zlib
from concurrent.futures import ThreadPoolExecutor

from dagster import (
    AssetSelection,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from flowmaster_delivery.defs.beating import beating
from flowmaster_delivery.defs.requests import new_requests
from flowmaster_delivery.defs.resources import Platform
from flowmaster_delivery.defs.unrevealing import unrevealing_look
from flowmaster_delivery.flows.intake import Look, look
from flowmaster_delivery.model.catalog import Repository
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.policy.intake import Seen
from flowmaster_delivery.ports import Ports, RunOrder

LOG = logging.getLogger(__name__)

Memory = dict[str, Seen]


def pack(memory: Memory) -> str:
    """The cursor: what was seen per repository, compressed (5,000 tags stay under 200 KiB)."""
    text = json.dumps({name: seen.to_json() for name, seen in memory.items()})
    return base64.b85encode(zlib.compress(text.encode(), 6)).decode()


def unpack(cursor: str | None) -> Memory:
    if not cursor:
        return {}
    stored: dict[str, str] = json.loads(zlib.decompress(base64.b85decode(cursor)))
    return {name: Seen.from_json(text) for name, text in stored.items()}


def intake_sensor(platform: Platform, interval: int) -> SensorDefinition:
    @sensor(
        name="intake",
        asset_selection=AssetSelection.all(),
        minimum_interval_seconds=interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Branches, tags and pipelines of every repository: what is new is ordered.",
    )
    @beating(platform)
    @unrevealing_look
    def intake(context: SensorEvaluationContext) -> SensorResult:
        ports = platform.ports(platform.instance(context))
        memory = unpack(context.cursor)
        orders: list[RunOrder] = []
        failures: list[str] = []
        for repository, found in _look_at_all(platform, ports, memory):
            if isinstance(found, Look):
                memory[repository.name] = found.seen
                orders += found.orders
                for notice in found.notices:
                    ports.notifier.tell(notice)
            else:
                failures.append(f"{repository.name} could not be looked at: {found}")
        for failure in failures:
            context.log.error(failure)
        requests = new_requests(orders, "intake", platform, platform.instance(context))
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else SkipReason("; ".join(failures) or "nothing new"),
            cursor=pack(memory),
        )

    return intake


def _look_at_all(
    platform: Platform, ports: Ports, memory: Memory
) -> list[tuple[Repository, Look | Exception]]:
    catalog = platform.catalog
    repositories = list(catalog.repositories.values())

    def one(repository: Repository) -> tuple[Repository, Look | Exception]:
        try:
            seen = memory.get(repository.name)
            return repository, look(repository, catalog, ports, seen, platform.now())
        except DeliveryError as error:
            return repository, error
        except Exception as error:
            # What nobody foresaw in one repository must not hold up the others.
            LOG.exception("looking at %s failed", repository.name)
            return repository, error

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="intake") as pool:
        return list(pool.map(one, repositories))
