"""Reading what a client sends without trusting its length or its form."""

from __future__ import annotations

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request

ORDER_LIMIT = 1024 * 1024
"""Bytes of a JSON body: an order, a chat message, an alert."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; HTTPException 413 over `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_object(request: Request) -> dict[str, object]:
    """A JSON object; HTTPException 400 for anything else."""
    content = await read_body(request, ORDER_LIMIT)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is no JSON object")
    return found
