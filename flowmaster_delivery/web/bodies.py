"""Request bodies: read with a limit before all of it is here, and parsed into what they must be."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.rollback import RollbackMethod

API_LIMIT = 64 * 1024
"""Bytes of an API request's body."""

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._@+-]+$")]
Reason = Annotated[str, Field(max_length=2000)]
Services = Annotated[tuple[Name, ...], Field(max_length=1000)]


class TooLarge(Exception):
    """More bytes than the limit."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PromotionBody(_Body):
    environment: Name
    version: Name
    services: Services = ()
    reason: Reason = ""
    partial: bool = False


class ApprovalBody(_Body):
    environment: Name
    version: Name
    withdraw: bool = False


class RollbackBody(_Body):
    environment: Name
    services: Services = ()
    to: Name = "previous"
    method: RollbackMethod | None = None
    """As little of the schema as possible where None."""
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class DecisionBody(_Body):
    reason: Reason = ""


class HoldBody(_Body):
    service: Name
    environment: Name
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class CanaryOrderBody(_Body):
    environment: Name
    service: Name
    command: Name
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class ReleaseBody(_Body):
    reason: Reason = ""


class OverrideBody(_Body):
    environment: Name
    version: Name
    gate: GateName
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    seconds: Annotated[float, Field(gt=0, le=366 * 86_400)] | None = None


class SettlementBody(_Body):
    job: Name
    environment: Name
    version: Annotated[int, Field(strict=True)]
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


class AdoptionBody(_Body):
    environment: Name
    reason: Reason = ""


B = TypeVar("B", bound=BaseModel)


async def read_limited(request: Request, limit: int) -> bytes:
    """The whole body. Raise TooLarge as soon as it is clear that it has more than `limit` bytes."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit:
        raise TooLarge
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise TooLarge
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise Malformed("the request ended before its body did") from error
    return b"".join(chunks)


async def parse(request: Request, body: type[B]) -> B:
    """The JSON body as `body`; raise Malformed naming every field that is wrong.

    Only `application/json` is read: a form of a foreign web page cannot send that unasked.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Malformed("the request must be application/json")
    try:
        found = body.model_validate_json(await read_limited(request, API_LIMIT))
    except TooLarge as error:
        raise Malformed(f"the request has more than {API_LIMIT} bytes") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise Malformed(f"the request is not of its form: {faults}") from error
    attempt = getattr(request.state, "attempt", None)
    if attempt:
        attempt.body = found
    return found
