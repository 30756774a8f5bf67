"""Deployment by canary as an asset: what is judged bad does not come, and people give orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from dagster import AssetKey, DagsterInstance

from flowmaster_delivery.defs.resources import Recent
from flowmaster_delivery.model.analysis import Figure, Limit, MetricsRule
from flowmaster_delivery.model.canary import CanaryCommand, CanaryRule, CanaryStep
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.policy.canary_marks import marks
from flowmaster_delivery.settings import Settings
from tests.defs.test_deployments import DevLab
from tests.fakes.fake_cluster import FakeCluster
from tests.flows.conftest import NOW, Platform
from tests.flows.killing import API, NEW
from tests.policy.test_canary import CANARY

ERRORS = Limit(Figure.ERROR_RATE, 0.01, timedelta(minutes=1))
ONE_STEP = CanaryRule(
    steps=(CanaryStep(1, timedelta(0)),), limits=(ERRORS,), look_every=timedelta(milliseconds=1)
)


class CanaryLab(DevLab):
    """Dev asks for canaries; time passes whenever it is asked for."""

    @property
    def now(self) -> datetime:  # type: ignore[override]
        self._now += timedelta(seconds=5)
        return self._now

    @now.setter
    def now(self, moment: datetime) -> None:
        self._now = moment


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> CanaryLab:
    platform = Platform()
    dev = replace(
        platform.catalog.environments["dev"],
        metrics=MetricsRule("http://127.0.0.1:1"),
        safeguards=Safeguards(canary=ONE_STEP),
    )
    places = {**platform.catalog.environments, "dev": dev}
    platform.catalog = replace(platform.catalog, environments=places)
    lab = CanaryLab(memory, settings, platform, {"dev": FakeCluster()})
    commit = platform.start()
    for name, service in platform.catalog.services.items():
        reference = platform.catalog.reference(service, lab.built(name, commit))
        lab.dev.deploy(service, reference, desired=3, updated=3, total=3, available=3)
    return lab


def figures(lab: CanaryLab, error_rate: float) -> None:
    lab.metrics.tell("api-", requests=1000.0, error_rate=0.0)
    lab.metrics.tell("api-canary-", requests=1000.0, error_rate=error_rate)


def table(lab: CanaryLab, *, materialized: bool) -> str:
    """The Markdown that the UI shows of the newest deployment."""
    key = AssetKey(["api", "deployment"])
    fetch = lab.instance.fetch_materializations if materialized else lab.instance.fetch_observations
    event = fetch(key, limit=1).records[0]
    found = event.asset_materialization or event.asset_observation
    assert found is not None
    return str(found.metadata["canary"].value)


def test_a_good_image_comes_with_its_judgements_on_record(lab: CanaryLab) -> None:
    figures(lab, 0.001)
    head = lab.push("api")
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "SUCCESS", ran.words
    assert lab.digest("api") == lab.built("api", head)
    assert "api-canary" not in lab.dev.deployments
    (record, *_) = lab.platform.history.deployments("api", "dev")
    assert [j.outcome for j in record.judgements] == [Outcome.SUCCESS]
    assert "| error_rate | success | 0.1 % | 1 % |" in table(lab, materialized=True)


def test_a_bad_image_does_not_come_and_leaves_what_runs(lab: CanaryLab) -> None:
    figures(lab, 0.05)
    before = lab.digest("api")
    lab.push("api")
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "FAILURE"
    assert "5 % of 1000 requests failed" in ran.words
    assert lab.digest("api") == before
    assert "api-canary" not in lab.dev.deployments
    assert "set_image" not in lab.dev.calls
    (record, *_) = lab.platform.history.deployments("api", "dev")
    assert (record.outcome, record.changed) == (Outcome.FAILURE, False)
    assert "| error_rate | failure | 5 % | 1 % |" in table(lab, materialized=False)


def test_a_gate_that_closes_while_the_canary_runs_keeps_the_image_out(
    lab: CanaryLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recent, "SECONDS", 0.0)  # here all of it happens within a moment
    figures(lab, 0.0)
    before = lab.digest("api")
    lab.push("api")
    lab.run("dev", ("api",), ("image", "promotion"), ship=True)

    def hold() -> None:
        lab.platform.history.record(Hold("h1", "api", "dev", "devi", "it is broken", NOW))

    lab.dev.on_call["create_canary"] = hold
    ran = lab.run("dev", ("api",), ("deployment", "health"), ship=True)
    assert "its gate has closed: hold" in ran.words
    assert lab.digest("api") == before
    assert "api-canary" not in lab.dev.deployments


def test_an_order_from_the_form_is_on_record_and_touches_nothing(lab: CanaryLab) -> None:
    annotations = marks(replace(CANARY, started_at=NOW - timedelta(minutes=5)))
    lab.dev.create_canary(API, NEW, pods=1, annotations=annotations)
    lab.dev.calls.clear()
    ran = lab.run("dev", ("api",), ("deployment",), canary="abort", reason="it smells")
    assert ran.status == "SUCCESS", ran.words
    assert (ran.observed, ran.materialized) == ({"api/deployment"}, set())
    (order,) = lab.platform.history.canary_orders("api", "dev")
    assert (order.command, order.by, order.reason) == (CanaryCommand.ABORT, "dana", "it smells")
    assert lab.dev.calls == ["canaries"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"canary": "abort", "reason": "x"}, "no canary of api in dev is running"),
        ({"canary": "abrot", "reason": "x"}, "did you mean 'abort'?"),
        ({"canary": "abort"}, "needs a reason"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused_in_words(
    lab: CanaryLab, form: dict[str, str], words: str
) -> None:
    ran = lab.run("dev", ("api",), ("deployment",), **form)
    assert ran.status == "FAILURE"
    assert words in ran.words


def test_production_takes_no_orders_from_nobody(lab: CanaryLab) -> None:
    ran = lab.run("production", ("api",), ("deployment",), by=None, canary="abort", reason="x")
    assert "needs to know who asks" in ran.words
