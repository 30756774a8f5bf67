"""Errors as the API server says them: `Status` objects with reason, code and details."""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster_delivery.sandbox.kubernetes.kinds import Kind, Object

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class ApiError(Exception):
    """A refused request; `status` is the JSON body of the answer."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "code": code,
        }
        if reason:
            self.status["reason"] = reason
        if details is not None:
            self.status["details"] = details


def _of(kind: Kind, name: str, **more: object) -> Object:
    details: Object = {"name": name, "group": kind.group, "kind": kind.plural, **more}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', _of(kind, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> ApiError:
    message = f'{kind.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _of(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """Somebody else wrote in between, or a precondition does not hold."""
    why = why or MODIFIED
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _of(kind, name))


def invalid(kind: Kind, name: str, *causes: tuple[str, str, str]) -> ApiError:
    """Refuse an object; each cause is a field, a reason (`FieldValueRequired`) and words."""
    said = [f"{field}: {words}" for field, _, words in causes]
    shown = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    listed = [{"reason": r, "message": words, "field": field} for field, r, words in causes]
    owner = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": listed}
    return ApiError(
        422,
        "Invalid",
        f'{owner} "{name}" is invalid: {shown}',
        {key: value for key, value in details.items() if value},
    )


def version_needed(kind: Kind, name: str) -> ApiError:
    """An update of a lock that does not say which state it is meant for."""
    words, field = "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion"
    cause = {"reason": "FieldValueInvalid", "message": words, "field": field}
    message = f'{kind.qualified} "{name}" is invalid: {field}: {words}'
    return ApiError(422, "Invalid", message, _of(kind, name, causes=[cause]))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unprocessable(message: str) -> ApiError:
    """A patch that cannot be applied, or a parameter that is not supported."""
    return ApiError(422, "Invalid", message, {})


def expired(asked: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def success(kind: Kind, name: str, uid: str) -> Object:
    """The answer to a deletion that is finished."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _of(kind, name, uid=uid),
    }


def go_map(values: Mapping[str, object], *, typed: bool = False) -> str:
    """A map as Go prints it: `map[a:b]`, or `map[string]string{"a":"b"}` where typed."""
    if typed:
        inside = ", ".join(f'"{key}":"{value}"' for key, value in sorted(values.items()))
        return f"map[string]string{{{inside}}}"
    return f"map[{' '.join(f'{key}:{value}' for key, value in sorted(values.items()))}]"
