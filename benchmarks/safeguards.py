"""What the safeguards survive, and what the watch writes while all is well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from benchmarks.figures import Figure
from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry
from tests.flows import killing_promotion, killing_rollback
from tests.flows.killing import kill_points, survived

HOURS = 3
DIGEST = "sha256:" + "a" * 64


def kills() -> Iterator[Figure]:
    """A canary, a promotion and a rollback whose process is killed at every call to the outside,
    before and after its effect; the next one goes on."""
    found = {
        "canaries": [(p, survived(p)) for p in kill_points()],
        "promotions": [(p, killing_promotion.survived(p)) for p in killing_promotion.kill_points()],
        "rollbacks": [(p, killing_rollback.survived(p)) for p in killing_rollback.kill_points()],
    }
    every = [one for points in found.values() for one in points]
    lost = [f"{point}: {words}" for point, words in every if words]
    for words in lost:
        print(f"not survived: {words}")
    note = ", ".join(f"{len(points)} of {what}" for what, points in found.items())
    yield Figure("kill_points", len(every), "", None, f"{note}; before and after each call")
    yield Figure("kill_points_survived", len(every) - len(lost), "", None)
    yield Figure("kill_points_lost", len(lost), "", 0)


def rows() -> Iterator[Figure]:
    """The shipped catalog, all healthy, looked at as the watch does, on a clock of its own."""
    catalog, cluster, history = load_catalog(None), FakeCluster(), FakeHistory()
    for service in catalog.services.values():
        if service.kind is Kind.DEPLOYMENT:
            cluster.deploy(service, f"{service.image}@{DIGEST}")
    metrics = FakeMetrics(pods=lambda: [p.name for n in cluster.all_pods().values() for p in n])
    ports = Ports(
        FakeForge(),
        FakeRegistry(),
        lambda _: cluster,
        FakeProbe(),
        history,
        FakeNotifier(),
        metrics,
        FakeAudit(),
    )
    watch = Watch(catalog, cluster.time.now, spawn=lambda call: call(), aside=lambda call: call())
    every = min(e.health.look_every for e in catalog.environments.values())
    for _ in range(int(timedelta(hours=HOURS) / every)):
        watch.look(ports, cluster.time.now())
        cluster.time.seconds += every.total_seconds()
    per_day = len(history.records) * 24 / HOURS
    note = (
        f"{len(catalog.services)} services in {len(catalog.environments)} environments; {HOURS} h"
    )
    yield Figure("watch_rows_per_day", per_day, "rows", 15_000, note)
