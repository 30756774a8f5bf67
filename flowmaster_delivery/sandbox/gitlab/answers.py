"""Answers of the API: what is sent back, and the errors in GitLab's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class ApiError(Exception):
    """An answer that is no success: status and body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


def missing(what: str) -> ApiError:
    """404, in GitLab's words: `404 Project Not Found`."""
    return ApiError(404, {"message": f"404 {what} Not Found"})


def no_route() -> ApiError:
    return ApiError(404, {"error": "404 Not Found"})


def forbidden() -> ApiError:
    return ApiError(403, {"message": "403 Forbidden"})


def unauthorized() -> ApiError:
    return ApiError(401, {"message": "401 Unauthorized"})


def bad(message: object, status: int = 400) -> ApiError:
    return ApiError(status, {"message": message})


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and a body: JSON unless it is bytes."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


NO_CONTENT = Answer(b"", 204)
