"""What was seen of the metrics server and of Dagster."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from flowmaster_delivery.model.checkup import DagsterFacts, Finding, Topic
from flowmaster_delivery.policy.checkup.grading import failed, fine, warning


def of_series(about: str, series: Mapping[str, float]) -> Finding:
    """Metric to how many series it has now."""
    absent = sorted(name for name, count in series.items() if not count)
    if absent:
        seen = f"it answers, and has no series of {', '.join(absent)}"
        mend = "let it scrape the pods, or name the metrics in the catalog (`metrics` of "
        mend += f"{about}): until then what is judged by them stays inconclusive"
        return warning(Topic.METRICS, about, seen, mend)
    return fine(Topic.METRICS, about, f"it answers, and has series of {', '.join(series)}")


def of_dagster(facts: DagsterFacts, services: Collection[str]) -> Iterator[Finding]:
    yield fine(Topic.DAGSTER, "webserver", f"Dagster {facts.version}")
    for name, trouble in facts.locations.items():
        if trouble:
            mend = "see the log of the code server, and reload it on the Deployment page"
            yield failed(Topic.DAGSTER, f"code location {name}", trouble, mend)
        else:
            seen = f"loaded; the catalog has {len(services)} services"
            yield fine(Topic.DAGSTER, f"code location {name}", seen)
    if not facts.locations:
        mend = "see the webserver's workspace.yaml and the log of the code server"
        yield failed(Topic.DAGSTER, "code location", "there is none", mend)
    for name, healthy in facts.daemons.items():
        if not healthy:
            mend = "see the log of the daemon's pod; nothing is launched while it is down"
            seen = "Dagster has not heard from it lately"
            yield failed(Topic.DAGSTER, f"daemon {name}", seen, mend)
    if facts.daemons and all(facts.daemons.values()):
        yield fine(Topic.DAGSTER, "daemons", f"{', '.join(facts.daemons)} run")
