"""Values as a catalog file says them: durations, shares, addresses, names."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic import WithJsonSchema as JsonSchema

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION = re.compile(r"(?:\d+[dhms])+")
DURATION_PATTERN = f"^{DURATION.pattern}$"
DAY = 86_400
PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
PERCENT_PATTERN = f"^{PERCENT.pattern}$"
LONGEST = timedelta(days=366)
"""More than any duration here can mean: an upper end keeps date arithmetic in range."""


def duration(value: object) -> timedelta:
    """`24h`, `300s`, `1h30m`, `14d` as a time span; at most a year. Raise ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not DURATION.fullmatch(value) or len(value) > 32:
        raise ValueError("a duration is a number with its unit: 24h, 300s, 10m, 1h30m, 14d")
    parts = re.findall(r"(\d+)([dhms])", value)
    try:
        span = sum((timedelta(**{UNITS[u]: int(n)}) for n, u in parts), timedelta(0))
    except OverflowError:
        span = LONGEST + timedelta(days=1)
    if span > LONGEST:
        raise ValueError(f"a duration is at most {LONGEST.days}d")
    return span


def spelled(span: timedelta) -> str:
    """A time span as a file says it: `14d`, `1h30m`, `0s`."""
    left, parts = int(span.total_seconds()), []
    if left and not left % DAY:
        return f"{left // DAY}d"
    for unit, size in (("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def relative(value: str) -> str:
    """A file or folder below the repository's root, in git's own spelling; ValueError otherwise."""
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\s\0\\]", value):
        raise ValueError("a path stands below the repository's root, without '.', '..' and blanks")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(spelled, return_type=str),
    JsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["24h", "300s"]}),
]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$")]
"""Scheme and host, a port and a path where needed; never a user or password."""
ProjectPath = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)+$", max_length=255)]
GroupPath = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)*$", max_length=255)]
ImagePath = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$", max_length=255
    ),
]
RepositoryPath = Annotated[str, AfterValidator(relative)]
Label = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
]
"""A name as Kubernetes takes it."""
ResourceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$", max_length=253)
]
"""A resource of a cluster: its plural, with its API group behind a dot where it has one."""
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
"""A metric or label as Prometheus takes it."""


def share(value: object) -> float:
    """`5%` or `0.05` as a share of one. Raise ValueError otherwise."""
    if isinstance(value, str) and (match := PERCENT.fullmatch(value)):
        return float(match[1]) / 100
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError("a share is a percentage, 5% or 0.1%, or a number from 0 to 1")


Share = Annotated[
    float,
    BeforeValidator(share),
    Field(ge=0, le=1),
    PlainSerializer(lambda found: f"{found * 100:.10g}%", return_type=str),
    JsonSchema(
        {"anyOf": [{"type": "string", "pattern": PERCENT_PATTERN}, {"type": "number"}]},
    ),
]


class Entry(BaseModel):
    """No field that is not known, and no guessing of types."""

    model_config = ConfigDict(extra="forbid", frozen=True)
