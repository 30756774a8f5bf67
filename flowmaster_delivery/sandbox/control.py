"""Orders to the sandbox over HTTP: what pods, services and servers shall do from now on.

On an address of its own, opened by a token of its own, so that no client under test can reach it by
mistake. Pipelines and webhooks take their orders from GitLab's address (`sandbox.gitlab`).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmaster_delivery.model.errors import NotFound, UnknownName
from flowmaster_delivery.sandbox.bodies import read_object
from flowmaster_delivery.sandbox.breaking import Breaking, Illness
from flowmaster_delivery.sandbox.echo import Echo
from flowmaster_delivery.sandbox.faults import Fault, Faults
from flowmaster_delivery.sandbox.orders import (
    Behaviours,
    Outcome,
    PodBehaviour,
    ServiceBehaviour,
)

Seconds = Annotated[float, Field(ge=0, le=3600)]
Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")
OrderT = TypeVar("OrderT", bound="Order")


class Order(BaseModel):
    """What every order has in common: unknown words are refused, since they are mistyped ones."""

    model_config = ConfigDict(extra="forbid")


class Patterns(Order):
    """Shell patterns of whom an order is for; by default everybody."""

    namespace: str = "*"
    workload: str = "*"
    image: str = "*"

    def as_dict(self) -> dict[str, str]:
        return {"namespace": self.namespace, "workload": self.workload, "image": self.image}


class PodOrder(Patterns):
    outcome: Outcome = "ready"
    ready_after: Seconds = 1.0
    message: str = ""


class ServiceOrder(Patterns):
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    status: Annotated[int, Field(ge=100, le=599)] = 503
    delay: Seconds = 0.0
    down: bool = False
    requests_per_second: Annotated[float, Field(ge=0)] = 400.0
    cpu: Annotated[float, Field(ge=0, le=1)] = 0.2
    memory: Annotated[float, Field(ge=0, le=1)] = 0.4


class BreakOrder(Order):
    """What shall be wrong with what runs of a service in an environment."""

    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay: Seconds = 0.0
    down: bool = False
    crash: bool = False

    @model_validator(mode="after")
    def _breaks_something(self) -> Self:
        if not (self.failure_rate or self.delay or self.down or self.crash):
            raise ValueError("one of failure_rate, delay, down and crash must say what is wrong")
        return self


class FaultOrder(Order):
    server: Literal["gitlab", "kubernetes", "registry", "prometheus", "services", "inbox", "*"] = (
        "*"
    )
    match: str = "*"
    header: str = ""
    method: str = "*"
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    delay: Annotated[float, Field(ge=0, le=300)] = 0.0
    drop: bool = False
    echo: Echo | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None
    skew: Annotated[float, Field(ge=-86_400, le=86_400)] = 0.0


@dataclass(frozen=True, slots=True)
class Control:
    """`changed` is called after each order to pods or services."""

    behaviours: Behaviours
    breaking: Breaking
    faults: Faults
    token: str
    changed: Callable[[], None]

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._guarded(self._list)),
                Route("/sandbox/orders", self._guarded(self._list)),
                Route("/sandbox/orders", self._guarded(self._forget), methods=["DELETE"]),
                Route("/sandbox/pods", self._guarded(self._pods), methods=["POST"]),
                Route("/sandbox/services", self._guarded(self._services), methods=["POST"]),
                Route("/sandbox/break/{service}", self._guarded(self._break), methods=["POST"]),
                Route(
                    "/sandbox/break/{service}/{environment}",
                    self._guarded(self._break_running),
                    methods=["POST"],
                ),
                Route("/sandbox/mend/{service}", self._guarded(self._mend), methods=["POST"]),
                Route("/sandbox/faults", self._guarded(self._fault), methods=["POST"]),
                Route("/sandbox/faults", self._guarded(self._clear), methods=["DELETE"]),
            ],
            exception_handlers={HTTPException: _refused},
        )

    def _guarded(self, handler: Handler) -> Handler:
        expected = f"Bearer {self.token}".encode()

        async def guarded(request: Request) -> Response:
            brought = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(brought, expected):
                words = "send `Authorization: Bearer <control_token of sandbox.json>`"
                raise HTTPException(401, words)
            return await handler(request)

        return guarded

    async def _list(self, _: Request) -> Response:
        return JSONResponse(
            {
                "pods": [asdict(r) for r in self.behaviours.pod_rules],
                "services": [asdict(r) for r in self.behaviours.service_rules],
                "faults": [asdict(f) for f in self.faults.listed()],
            }
        )

    async def _pods(self, request: Request) -> Response:
        order = await _read(request, PodOrder)
        behaviour = PodBehaviour(order.outcome, order.ready_after, order.message)
        self.behaviours.set_pod(behaviour, **order.as_dict())
        self.changed()
        return _done(order)

    async def _services(self, request: Request) -> Response:
        order = await _read(request, ServiceOrder)
        fields = order.model_dump(exclude={"namespace", "workload", "image"})
        self.behaviours.set_service(ServiceBehaviour(**fields), **order.as_dict())
        self.changed()
        return _done(order)

    async def _break(self, request: Request) -> Response:
        """The service answers 503 from now on, whatever it runs, and its pods are not ready."""
        whom = {"workload": request.path_params["service"]}
        self.behaviours.set_service(ServiceBehaviour(failure_rate=1.0), **whom)
        self.behaviours.set_pod(PodBehaviour("never_ready"), **whom)
        self.changed()
        return JSONResponse({"broken": whom["workload"]})

    async def _break_running(self, request: Request) -> Response:
        """What runs of the service in one environment is ill from now on."""
        service, environment = (request.path_params[name] for name in ("service", "environment"))
        order = await _read(request, BreakOrder)
        illness = Illness.of(order.failure_rate, order.delay, down=order.down, crash=order.crash)
        broken = self._known(lambda: self.breaking.break_down(service, environment, illness))
        self.changed()
        return JSONResponse(asdict(broken), 201)

    async def _mend(self, request: Request) -> Response:
        service = request.path_params["service"]
        taken_back = self._known(lambda: self.breaking.mend(service))
        self.changed()
        return JSONResponse({"mended": service, "orders": taken_back})

    @staticmethod
    def _known(order: Callable[[], T]) -> T:
        try:
            return order()
        except (NotFound, UnknownName) as error:
            raise HTTPException(404, str(error)) from error

    async def _forget(self, request: Request) -> Response:
        self.behaviours.forget(request.query_params.get("workload", "*"))
        self.changed()
        return Response(status_code=204)

    async def _fault(self, request: Request) -> Response:
        order = await _read(request, FaultOrder)
        fault = self.faults.add(Fault(**order.model_dump()))
        return JSONResponse(asdict(fault), 201)

    async def _clear(self, request: Request) -> Response:
        self.faults.clear(request.query_params.get("server", "*"))
        return Response(status_code=204)


async def _read(request: Request, kind: type[OrderT]) -> OrderT:
    try:
        return kind.model_validate(await read_object(request))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise HTTPException(400, "; ".join(faults)) from error


def _done(order: Order) -> Response:
    return JSONResponse(order.model_dump(), 201)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = error.detail if isinstance(error, HTTPException) else "the order failed"
    return JSONResponse({"error": words}, status)
