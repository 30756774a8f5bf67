"""Queries: exactly the pods that are meant, whatever they are called."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.analysis import Figure, MetricsRule
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.policy.queries import of_fleet, of_pods, prefixes

RULE = MetricsRule("http://127.0.0.1:1")
FIVE = timedelta(minutes=5)
POD_MATCHER = re.compile(r'pod=~"((?:[^"\\]|\\.)*)"')


def a_pod(name: str, template_hash: str | None) -> Pod:
    return Pod(name, None, True, template_hash, None)


def matched(query: str, pod: str) -> bool:
    """As Prometheus reads it: unescaped, anchored at both ends."""
    found = POD_MATCHER.search(query)
    assert found is not None
    return re.fullmatch(re.sub(r"\\(.)", r"\1", found[1]), pod) is not None


def test_old_and_new_pods_of_a_service_are_never_mixed() -> None:
    new = [a_pod("api-6f7d9-x1x1x", "6f7d9"), a_pod("api-6f7d9-y2y2y", "6f7d9")]
    assert prefixes(new) == ("api-6f7d9-",)
    for figure in Figure:
        for part in of_pods(RULE, "shop", prefixes(new), figure, FIVE).parts:
            assert matched(part, "api-6f7d9-z3z3z")
            assert not matched(part, "api-5c5c5-x1x1x")
            assert not matched(part, "api-canary-6f7d9-x1x1x")
            assert not matched(part, "my-api-6f7d9-x1x1x")
            assert not matched(part, "api-6f7d9-x1x1x-0")


def test_a_pod_whose_name_shows_no_template_is_asked_for_by_its_name() -> None:
    pods = [a_pod("database-0", None), a_pod("a-very-long-name-cut-o-x1x1x", "6f7d9")]
    assert prefixes(pods) == ("a-very-long-name-cut-o-x1x1x", "database-0")
    query = of_pods(RULE, "shop", prefixes(pods), Figure.ERROR_RATE, FIVE).parts[0]
    assert matched(query, "database-0")
    assert not matched(query, "database-1")


@pytest.mark.parametrize(
    ("figure", "parts", "whole"),
    [
        (
            Figure.ERROR_RATE,
            (
                'sum by (pod) (increase(http_requests_total{namespace="shop",pod="p"}[300s]))',
                (
                    'sum by (pod) (increase(http_requests_total{namespace="shop",pod="p",'
                    'code=~"5.."}[300s]))'
                ),
            ),
            (
                '(sum(increase(http_requests_total{namespace="shop",pod="p",code=~"5.."}[300s])) '
                'or vector(0)) / sum(increase(http_requests_total{namespace="shop",pod="p"}[300s]))'
            ),
        ),
        (
            Figure.LATENCY_P95,
            (
                (
                    "sum by (pod, le) (increase(http_request_duration_seconds_bucket"
                    '{namespace="shop",pod="p"}[300s]))'
                ),
            ),
            (
                "histogram_quantile(0.95, sum by (le) ("
                'increase(http_request_duration_seconds_bucket{namespace="shop",pod="p"}[300s])))'
            ),
        ),
        (
            Figure.CPU,
            (
                (
                    "sum by (pod, container) (rate(container_cpu_usage_seconds_total"
                    '{namespace="shop",pod="p",container!=""}[300s]))'
                ),
                (
                    "max by (pod, container) (kube_pod_container_resource_limits"
                    '{namespace="shop",pod="p",resource="cpu"})'
                ),
            ),
            (
                "max(sum by (pod, container) (rate(container_cpu_usage_seconds_total"
                '{namespace="shop",pod="p",container!=""}[300s])) / max by (pod, container) '
                '(kube_pod_container_resource_limits{namespace="shop",pod="p",resource="cpu"}))'
            ),
        ),
        (
            Figure.MEMORY,
            (
                (
                    "max by (pod, container) (container_memory_working_set_bytes"
                    '{namespace="shop",pod="p",container!=""})'
                ),
                (
                    "max by (pod, container) (kube_pod_container_resource_limits"
                    '{namespace="shop",pod="p",resource="memory"})'
                ),
            ),
            (
                "max(max by (pod, container) (container_memory_working_set_bytes"
                '{namespace="shop",pod="p",container!=""}) / max by (pod, container) '
                '(kube_pod_container_resource_limits{namespace="shop",pod="p",resource="memory"}))'
            ),
        ),
    ],
)
def test_each_figure_is_asked_for_by_pod_and_once_as_a_whole(
    figure: Figure, parts: tuple[str, ...], whole: str
) -> None:
    query = of_pods(RULE, "shop", ["p"], figure, FIVE)
    assert tuple(part.replace('=~"p"', '="p"') for part in query.parts) == parts
    assert query.whole.replace('=~"p"', '="p"') == whole


def test_the_queries_of_a_fleet_do_not_name_its_pods() -> None:
    for figure in Figure:
        query = of_fleet(RULE, "shop", figure, FIVE)
        assert len(query.parts) <= 2
        assert all('{namespace="shop",pod!=""' in part for part in query.parts)


def test_names_and_labels_are_those_of_the_catalog() -> None:
    rule = MetricsRule(
        "http://127.0.0.1:1", requests="hits_total", code="status", labels={"cluster": "eu-1"}
    )
    query = of_pods(rule, "shop", ["p"], Figure.ERROR_RATE, FIVE)
    assert 'hits_total{cluster="eu-1",namespace="shop",pod=~"p",status=~"5.."}' in query.parts[1]


@given(st.text(max_size=30))
def test_no_name_gets_out_of_its_quotes_or_is_a_wildcard(name: str) -> None:
    query = of_pods(RULE, name, ["p"], Figure.MEMORY, FIVE).parts[0]
    quoted = re.search(r'_bytes\{namespace="((?:[^"\\]|\\.)*)",pod=', query)
    assert quoted is not None
    assert re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], quoted[1]) == name


@given(
    st.from_regex(r"[a-z][a-z0-9.-]{0,20}[a-z0-9]", fullmatch=True), st.text("a.-x", max_size=23)
)
def test_a_name_is_matched_by_itself_alone(name: str, other: str) -> None:
    query = of_pods(RULE, "shop", [name], Figure.MEMORY, FIVE).parts[0]
    assert matched(query, name)
    assert matched(query, other) == (name == other)
