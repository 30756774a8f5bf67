"""What pydantic found, in words: where it stands, what is wrong, the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flowmaster_delivery.adapters.yaml_catalog.documents import Document, Way
from flowmaster_delivery.model.errors import nearest


def of_validation(
    error: ValidationError, form: type[BaseModel], document: Document, around: Way = ()
) -> list[str]:
    """One line for each error; `around` leads to the entry that was validated."""
    return [_line(one, form, document, around) for one in error.errors(include_url=False)]


def said(document: Document, way: Way, words: str) -> str:
    """A fault as it is reported: place, the value's name, what is wrong."""
    place = document.at(way)
    return f"{place}: {name_of(way)}: {words}" if place else f"{name_of(way)}: {words}"


def name_of(way: Iterable[str | int]) -> str:
    return ".".join(str(step) for step in way) or "catalog"


def _line(error: ErrorDetails, form: type[BaseModel], document: Document, around: Way) -> str:
    loc = tuple(error["loc"])
    way = (*around, *loc)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return said(document, way, f"no such field; {nearest(str(loc[-1]), _fields(form, loc))}")
    if kind == "missing":
        return said(document, way, "is missing")
    if kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        value = str(error["input"])
        return said(document, way, f"{value!r} is not known; {nearest(value, known)}")
    if kind == "string_pattern_mismatch" and str(context["pattern"]).startswith("^https?"):
        return said(document, way, "is no address: http(s)://host[:port][/path], no user, no query")
    if kind == "string_pattern_mismatch":
        return said(document, way, f"{error['input']!r} is not of the form {context['pattern']}")
    message = error["msg"].removeprefix("Value error, ")
    return said(document, way, f"{message[:1].lower()}{message[1:]} (it is {_shown(error)})")


def _shown(error: ErrorDetails) -> str:
    text = repr(error["input"])
    return text if len(text) <= 60 else f"{text[:57]}…"


def _fields(form: type[BaseModel], loc: Way) -> Mapping[str, object]:
    """The fields that are valid where an unknown one stands."""
    current: object = form
    for step in loc[:-1]:
        fields = getattr(current, "model_fields", {})
        current = fields[step].annotation if step in fields else _inner(current)
        while not hasattr(current, "model_fields") and get_args(current) and not _maps(current):
            current = _inner(current)
    known: Mapping[str, object] = getattr(current, "model_fields", {})
    return known


def _maps(annotation: object) -> bool:
    return getattr(annotation, "__origin__", None) in (dict, tuple)


def _inner(annotation: object) -> object:
    """What a container holds: the value of a mapping, the item of a sequence."""
    arguments = [a for a in get_args(annotation) if a not in (str, type(None), Ellipsis)]
    return arguments[0] if arguments else annotation


def by_place(fault: str) -> tuple[str, int]:
    """Sorts faults as they stand in their files."""
    place = re.match(r"(.*?):(\d+): ", fault)
    return (place[1], int(place[2])) if place else ("", 0)
