"""Prometheus' HTTP API over the sandbox's traffic."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from flowmaster_delivery.sandbox.bodies import read_body
from flowmaster_delivery.sandbox.prometheus.evaluation import Labels, Sample, Value, evaluate
from flowmaster_delivery.sandbox.prometheus.syntax import QueryError, parse
from flowmaster_delivery.sandbox.traffic import Traffic

BODY_LIMIT = 64 * 1024
POINTS_LIMIT = 11_000
"""Most points of a range query, Prometheus' own limit."""


class PrometheusSandbox:
    """Answers instant and range queries; `run` takes a sample every few seconds."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        both = ["GET", "POST"]
        self.app = Starlette(
            routes=[
                Route("/api/v1/query", self._query, methods=both),
                Route("/api/v1/query_range", self._query_range, methods=both),
                Route("/api/v1/labels", self._labels, methods=both),
                Route("/api/v1/label/{name}/values", self._values),
                Route("/api/v1/series", self._series, methods=both),
                Route("/api/v1/status/buildinfo", self._build),
                Route("/-/ready", self._ready),
                Route("/-/healthy", self._ready),
            ]
        )

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self._traffic.advance()
            await asyncio.sleep(self._traffic.every)

    async def _query(self, request: Request) -> Response:
        params = await _params(request)
        self._traffic.advance()
        try:
            now = _time(params, "time", self._traffic.clock())
            value = evaluate(parse(params.get("query", "")), self._traffic, now)
        except QueryError as error:
            return _refused(str(error))
        if isinstance(value, float):
            return _success({"resultType": "scalar", "result": [now, _text(value)]})
        result = [{"metric": dict(sorted(s.labels)), "value": [now, _text(s.value)]} for s in value]
        return _success({"resultType": "vector", "result": result})

    async def _query_range(self, request: Request) -> Response:
        params = await _params(request)
        self._traffic.advance()
        try:
            times = _times(params)
            expression = parse(params.get("query", ""))
            points = [(now, evaluate(expression, self._traffic, now)) for now in times]
        except QueryError as error:
            return _refused(str(error))
        rows: dict[Labels, list[list[object]]] = {}
        for now, value in points:
            for sample in _samples(value):
                rows.setdefault(sample.labels, []).append([now, _text(sample.value)])
        result = [{"metric": dict(sorted(k)), "values": v} for k, v in rows.items()]
        return _success({"resultType": "matrix", "result": result})

    async def _labels(self, _: Request) -> Response:
        names = {name for s in self._traffic.series() for name in s.labels}
        return _success(sorted({"__name__", *names}))

    async def _values(self, request: Request) -> Response:
        name = request.path_params["name"]
        all_labels = [{**s.labels, "__name__": s.name} for s in self._traffic.series()]
        return _success(sorted({labels[name] for labels in all_labels if name in labels}))

    async def _series(self, _: Request) -> Response:
        return _success([{**s.labels, "__name__": s.name} for s in self._traffic.series()])

    async def _build(self, _: Request) -> Response:
        return _success({"version": "3.0.0-sandbox", "revision": "sandbox", "branch": "sandbox"})

    async def _ready(self, _: Request) -> Response:
        return PlainTextResponse("The sandbox's Prometheus is ready.\n")


async def _params(request: Request) -> Mapping[str, str]:
    """Of the query and, where it is a form, of the body; the body wins, as in Prometheus."""
    found = dict(request.query_params)
    if request.method == "POST":
        body = await read_body(request, BODY_LIMIT)
        found |= dict(parse_qsl(body.decode(errors="replace")))
    return found


def _time(params: Mapping[str, str], name: str, default: float | None = None) -> float:
    text = params.get(name)
    if text is None:
        if default is None:
            raise QueryError(f"invalid parameter {name!r}: it is missing")
        return default
    try:
        found = float(text)
    except ValueError:
        found = _timestamp(name, text)
    if not math.isfinite(found):
        raise QueryError(f"invalid parameter {name!r}: {text[:40]!r} is no time")
    return found


def _timestamp(name: str, text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise QueryError(f"invalid parameter {name!r}: cannot parse {text[:40]!r}") from error


def _times(params: Mapping[str, str]) -> list[float]:
    start, end, step = _time(params, "start"), _time(params, "end"), _step(params)
    if end < start:
        raise QueryError("invalid parameter 'end': end timestamp must not be before start time")
    count = int((end - start) / step) + 1
    if count > POINTS_LIMIT:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    return [start + i * step for i in range(count)]


def _step(params: Mapping[str, str]) -> float:
    text = params.get("step", "")
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    factor = units.get(text[-1:], 0.0)
    step = _time({"step": text[:-1] if factor else text}, "step") * (factor or 1.0)
    if step <= 0:
        raise QueryError("zero or negative query resolution step widths are not accepted")
    return step


def _samples(value: Value) -> list[Sample]:
    return value if isinstance(value, list) else [Sample(frozenset(), value)]


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.15g}"


def _success(data: object) -> Response:
    return JSONResponse({"status": "success", "data": data})


def _refused(message: str) -> Response:
    return JSONResponse({"status": "error", "errorType": "bad_data", "error": message}, 400)
