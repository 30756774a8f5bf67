"""Metrics and alerts of the chart: whoever is selected has the port, and says what alerts want."""

from __future__ import annotations

from tests.helm.charts import ROOT, named, render

ALWAYS = {"monitoring": {"always": True}}


def test_every_pod_that_prometheus_is_led_to_serves_metrics_there() -> None:
    objects = render(ALWAYS)
    service = named(objects, "Service", "metrics")
    wanted = service["spec"]["selector"].items()
    parts = set()
    for one in (o for o in objects if o["kind"] == "Deployment"):
        template = one["spec"]["template"]
        if not wanted <= template["metadata"]["labels"].items():
            continue
        container = template["spec"]["containers"][0]
        at = {port["name"]: port["containerPort"] for port in container["ports"]}
        command = container["command"]
        assert command[command.index("--metrics-port") + 1] == str(at["metrics"]) == "3081"
        parts.add(one["metadata"]["name"].rpartition("delivery-")[2])
    assert parts == {"server", "watch-dev", "watch-staging", "watch-production"}


def test_the_rules_are_those_of_the_file() -> None:
    (rule,) = [o for o in render(ALWAYS) if o["kind"] == "PrometheusRule"]
    text = (ROOT / "helm/flowmaster-delivery/files/alerts.yaml").read_text("utf-8")
    (group,) = rule["spec"]["groups"]
    assert len(group["rules"]) == text.count("- alert: ") > 10
    summaries = [one["annotations"]["summary"] for one in group["rules"]]
    assert "Sensor {{ $labels.sensor }} does not tick" in summaries
