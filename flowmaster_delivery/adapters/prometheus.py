"""The port `Metrics` on Prometheus' query API, and on what speaks it (Thanos, Mimir, …)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from flowmaster_delivery.adapters.wire import (
    MEGABYTE,
    Answer,
    OnRequest,
    Patience,
    Wire,
    excerpt,
    fault,
    retry_after,
)
from flowmaster_delivery.model.analysis import Sample
from flowmaster_delivery.model.errors import DeliveryError, Malformed, Permanent, Unreachable

LIMIT = 32 * MEGABYTE
"""Bytes of an answer: a thousand services with their buckets fit in."""
PATIENCE = Patience(attempts=2, budget=10.0)
"""A look waits no longer: the next one comes in seconds."""
WHAT = "the metrics server"
RENEW = "check its bearer token (FLOWMASTER_METRICS_TOKEN_FILE)"
INFO = "PromQL info:"
"""What Prometheus before 3 puts among the warnings though it says nothing against the answer."""

T = TypeVar("T")
Labels = dict[str, str]
Point = tuple[float, str]


class _Element(BaseModel):
    metric: Labels
    value: Point


class _Data(BaseModel):
    kind: str = Field(alias="resultType")
    result: object


class _Body(BaseModel):
    """What every answer of the API has in common; what is not named here (`infos`) is ignored."""

    status: str
    data: _Data | None = None
    kind: str = Field("", alias="errorType")
    error: str = ""
    warnings: list[str] = []

    @property
    def doubts(self) -> list[str]:
        return [warning for warning in self.warnings if not warning.startswith(INFO)]


VECTOR = TypeAdapter(list[_Element])
SCALAR = TypeAdapter(Point)
BODY = TypeAdapter(_Body)


class PrometheusMetrics:
    """The server at `url`, a path below which the API stands included. Thread-safe.

    `timeout` in seconds is for each step of a request; queries are repeated within `patience`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str | None] = lambda: None,
        timeout: float = 5.0,
        patience: Patience | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        if "@" in urlsplit(url).netloc:
            raise Permanent(
                f"the address of {WHAT} has a password in it; take it out of the catalog and put a "
                "bearer token into the file that FLOWMASTER_METRICS_TOKEN_FILE names"
            )
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._token, self._patience = token, patience or PATIENCE
        self._wire = Wire(WHAT, url, timeout=timeout, on_request=on_request)

    def close(self) -> None:
        """Give all connections back; the door is of no use after."""
        self._wire.close()

    def query(self, expression: str, at: datetime) -> tuple[Sample, ...]:
        """A scalar is one sample without labels. NaN and infinities stay what they are."""
        form = {"query": expression, "time": f"{at.timestamp():.3f}"}
        content = urlencode(form).encode()
        return self._patience.call(lambda: _samples(self._ask(content)))

    def _ask(self, content: bytes) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        token = self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self._wire.send("POST", self._url, headers=headers, content=content, limit=LIMIT)


def _samples(answer: Answer) -> tuple[Sample, ...]:
    """All or nothing: of an answer in part only nothing is used."""
    body = _body(answer)
    if body.doubts:
        said = excerpt("; ".join(body.doubts))
        raise Unreachable(f"{WHAT} answered in part only ({said}); it was not used")
    match body.data:
        case _Data(kind="vector", result=result):
            elements = _parsed(VECTOR, result, "a vector")
            return tuple(Sample(one.metric, _number(one.value[1])) for one in elements)
        case _Data(kind="scalar", result=result):
            return (Sample({}, _number(_parsed(SCALAR, result, "a scalar")[1])),)
        case _Data(kind=kind):
            raise Malformed(f"{WHAT} answered with a {excerpt(kind, 20)}; ask for a vector")
    raise Malformed(f"{WHAT} answered without data; check its address in the catalog")


def _body(answer: Answer) -> _Body:
    """The body of a success; every other answer as an error of ours."""
    try:
        body = BODY.validate_json(answer.body)
    except ValidationError as error:
        if answer.status != 200:
            raise _refusal(answer) from error
        said = excerpt(answer.body, 80)
        raise Malformed(
            f"{WHAT} answered with what is no answer of Prometheus ({said}); "
            "check its address in the catalog"
        ) from error
    if body.status == "success" and answer.status == 200:
        return body
    raise _refusal(answer, body)


def _refusal(answer: Answer, body: _Body | None = None) -> DeliveryError:
    """By Prometheus' own word for it, where it has one, else by the status."""
    said = excerpt(body.error if body else answer.body)
    kind = body.kind if body else ""
    if kind == "bad_data":
        return Malformed(f"{WHAT} refuses the query: {said}; check the metrics' names and labels")
    if kind in ("timeout", "canceled", "execution", "internal", "unavailable"):
        return Unreachable(f"{WHAT} could not answer ({kind}): {said}")
    to_do = RENEW if answer.status in (401, 403) else "check its address in the catalog"
    wait = retry_after(answer.headers)
    return fault(WHAT, answer.status, said=said, retry_after=wait, to_do=to_do)


def _parsed(form: TypeAdapter[T], result: object, what: str) -> T:
    try:
        return form.validate_python(result)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Malformed(f"{WHAT} sent {what} that is none: see {place or 'its result'}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Malformed(f"{WHAT} sent {excerpt(text, 40)!r} as a number") from error
