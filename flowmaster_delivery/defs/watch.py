"""The health watch as a sensor: what it sees, records and does stands in `flows.watch`."""

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from flowmaster_delivery.defs.beating import beating
from flowmaster_delivery.defs.resources import Platform
from flowmaster_delivery.defs.unrevealing import unrevealing_look
from flowmaster_delivery.flows.watch.watch import Watch


def health_sensor(platform: Platform, interval: int) -> SensorDefinition:
    watch = Watch(platform.catalog, platform.now)

    @sensor(
        name="health_watch",
        minimum_interval_seconds=interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Health of every service in every environment: changes and a heartbeat. "
        "What fails is rolled back, or a person is asked, as policy says.",
    )
    @beating(platform)
    @unrevealing_look
    def health_watch(context: SensorEvaluationContext) -> SkipReason:
        recorded, said = watch.look(platform.ports(platform.instance(context)), platform.now())
        for words in said:
            context.log.warning(words)
        return SkipReason("; ".join([f"{recorded} observations recorded", *said]))

    return health_watch
