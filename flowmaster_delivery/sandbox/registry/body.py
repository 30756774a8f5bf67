"""Reading a request's body without trusting its length."""

from __future__ import annotations

from starlette.requests import Request

from flowmaster_delivery.sandbox.registry.errors import RegistryError


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; RegistryError SIZE_INVALID (413) over `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RegistryError("SIZE_INVALID", f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
