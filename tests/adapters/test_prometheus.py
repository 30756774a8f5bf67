"""A metrics server that misbehaves: an answer in part, or none, is no figure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from flowmaster_delivery.adapters.prometheus import PrometheusMetrics
from flowmaster_delivery.adapters.wire import Patience
from flowmaster_delivery.model.analysis import MetricsRule, Sample
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Throttled,
    Unreachable,
)
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import metrics as door
from tests.builders import dev, staging
from tests.fakes.far_end import FarEnd, Reply

PATH = "/api/v1/query"
AT = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
QUICK = Patience(attempts=2, budget=1.0, first_pause=0.01)


def success(result: object, kind: str = "vector", **more: object) -> Reply:
    return Reply({"status": "success", "data": {"resultType": kind, "result": result}, **more})


def refusal(kind: str, status: int, said: str = "in its own words") -> Reply:
    return Reply({"status": "error", "errorType": kind, "error": said}, status)


def element(value: object, **labels: str) -> dict[str, object]:
    return {"metric": labels, "value": [1.5, value]}


GOOD = success([element("0.25", pod="a")])


@pytest.fixture
def metrics(far_end: FarEnd) -> Iterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(far_end.url, timeout=0.4, patience=QUICK)
    yield metrics
    metrics.close()


def say(far_end: FarEnd, *replies: Reply) -> None:
    far_end.say(PATH, *replies, method="POST")


def test_a_query_is_posted_as_a_form_with_its_time(
    far_end: FarEnd, metrics: PrometheusMetrics
) -> None:
    say(far_end, GOOD)
    assert metrics.query('sum(up{a="+"})', AT) == (Sample({"pod": "a"}, 0.25),)
    form = parse_qs(far_end.asked[0].body.decode())
    assert form == {"query": ['sum(up{a="+"})'], "time": ["1772452800.250"]}


def test_what_is_no_number_stays_what_it_is(far_end: FarEnd, metrics: PrometheusMetrics) -> None:
    say(far_end, success([element(text) for text in ("NaN", "+Inf", "-Inf", "1e-07")]))
    nan, high, low, small = (sample.value for sample in metrics.query("up", AT))
    assert math.isnan(nan)
    assert (high, low, small) == (math.inf, -math.inf, 1e-07)


def test_no_series_is_an_empty_answer(far_end: FarEnd, metrics: PrometheusMetrics) -> None:
    say(far_end, success([]))
    assert metrics.query("up", AT) == ()


def test_a_scalar_is_one_sample_without_labels(far_end: FarEnd, metrics: PrometheusMetrics) -> None:
    say(far_end, success([1.5, "2"], "scalar"))
    assert metrics.query("2", AT) == (Sample({}, 2.0),)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(b"", 500), Unreachable, "answered 500"),
        (Reply(b"bad gateway", 502), Unreachable, "bad gateway"),
        (Reply(hang_up=True), Unreachable, "no usable answer"),
        (Reply(b"{", delay=0.6), Unreachable, "did not answer in time"),
        (Reply(b"{}", cut=5), Unreachable, "no usable answer"),
        (refusal("timeout", 503), Unreachable, "in its own words"),
        (refusal("canceled", 499), Unreachable, "canceled"),
        (refusal("execution", 422), Unreachable, "could not answer"),
        (refusal("internal", 500), Unreachable, "internal"),
        (success([element("1")], warnings=["one store is away"]), Unreachable, "in part only"),
        (success([], warnings=["one store is away"]), Unreachable, "one store is away"),
        (Reply(b"", 429), Throttled, "429"),
    ],
)
def test_trouble_of_the_metrics_server_is_transient_and_asked_about_again(
    far_end: FarEnd,
    metrics: PrometheusMetrics,
    reply: Reply,
    error: type[DeliveryError],
    words: str,
) -> None:
    say(far_end, reply)
    with pytest.raises(error, match=words):
        metrics.query("up", AT)
    assert len(far_end.asked) == 2


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (refusal("bad_data", 400, "unexpected ("), Malformed, r"refuses the query: unexpected \("),
        (Reply(b"<html>", 200), Malformed, "check its address"),
        (Reply({"status": "success"}), Malformed, "without data"),
        (success([], "matrix"), Malformed, "answered with a matrix"),
        (success([1, "words"], "string"), Malformed, "answered with a string"),
        (success([{"metric": {}, "histogram": [1, {}]}]), Malformed, "see 0.value"),
        (success([element("much")]), Malformed, "'much' as a number"),
        (success({}), Malformed, "a vector that is none"),
        (Reply(b"", 401), Denied, "FLOWMASTER_METRICS_TOKEN_FILE"),
        (Reply(b"", 403), Denied, "FLOWMASTER_METRICS_TOKEN_FILE"),
        (Reply(b"", 404), NotFound, "check its address"),
        (Reply(b"", 302), Malformed, "answered 302"),
    ],
)
def test_what_cannot_get_better_is_permanent_and_asked_once(
    far_end: FarEnd,
    metrics: PrometheusMetrics,
    reply: Reply,
    error: type[DeliveryError],
    words: str,
) -> None:
    say(far_end, reply)
    with pytest.raises(error, match=words):
        metrics.query("up", AT)
    assert len(far_end.asked) == 1


def test_a_server_that_recovers_is_read(far_end: FarEnd, metrics: PrometheusMetrics) -> None:
    say(far_end, Reply(b"", 503), GOOD)
    assert len(metrics.query("up", AT)) == 1


@pytest.mark.parametrize("more", [{"infos": ["a hint"]}, {"warnings": ["PromQL info: a hint"]}])
def test_a_hint_says_nothing_against_an_answer(
    far_end: FarEnd, metrics: PrometheusMetrics, more: dict[str, object]
) -> None:
    say(far_end, success([element("1")], **more))
    assert len(metrics.query("up", AT)) == 1


def test_a_token_is_read_at_each_use_and_shown_in_no_error(far_end: FarEnd) -> None:
    tokens = iter(["first", "second"])
    metrics = PrometheusMetrics(far_end.url, token=lambda: next(tokens), patience=QUICK)
    say(far_end, GOOD, Reply(b"", 401))
    metrics.query("up", AT)
    with pytest.raises(Denied) as caught:
        metrics.query("up", AT)
    metrics.close()
    sent = [asked.headers["Authorization"] for asked in far_end.asked]
    assert sent == ["Bearer first", "Bearer second"]
    assert "second" not in str(caught.value)


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(Permanent, match="METRICS_TOKEN_FILE") as caught:
        PrometheusMetrics("http://user:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)


def test_an_environment_without_metrics_says_what_to_set() -> None:
    with pytest.raises(Permanent, match="name its Prometheus in the catalog"):
        door(Settings.from_environ({}))(dev())


def test_environments_of_one_server_share_its_door() -> None:
    metrics_of = door(Settings.from_environ({}))
    here, there = MetricsRule("http://127.0.0.1:1"), MetricsRule("http://127.0.0.1:2")
    found = metrics_of(dev(metrics=here))
    assert metrics_of(staging(metrics=here)) is found
    assert metrics_of(staging(metrics=there)) is not found


def test_a_path_below_which_the_api_stands_is_kept(far_end: FarEnd) -> None:
    far_end.say(f"/prometheus{PATH}", GOOD, method="POST")
    metrics = PrometheusMetrics(f"{far_end.url}/prometheus/", patience=QUICK)
    assert len(metrics.query("up", AT)) == 1
    metrics.close()
