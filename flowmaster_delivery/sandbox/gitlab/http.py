"""Requests and answers as GitLab's API does them: raw paths, lax parameters, paging headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

from flowmaster_delivery.sandbox.gitlab.answers import (
    Answer,
    ApiError,
    bad,
    forbidden,
    no_route,
    unauthorized,
)
from flowmaster_delivery.sandbox.gitlab.state import User
from flowmaster_delivery.sandbox.gitlab.world import World

T = TypeVar("T")
MAX_PER_PAGE = 100
COUNTED_UP_TO = 10_000
"""Above so many records GitLab tells no total."""


@dataclass(slots=True)
class Params:
    """Parameters of query, JSON and form in one; numbers and truth values come as text too."""

    values: dict[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def raw(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None else str(value)

    def need(self, name: str) -> str:
        """A text that must be there. Raise 400 as GitLab's parameter check does."""
        if self.values.get(name) in (None, ""):
            raise ApiError(400, {"error": f"{name} is missing"})
        return str(self.values[name])

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.values.get(name)
        return default if value is None else str(value).lower() in ("true", "1", "t", "on", "yes")

    def number(self, name: str, default: int | None = None) -> int | None:
        value = self.values.get(name)
        if value in (None, ""):
            return default
        try:
            return int(str(value))
        except ValueError:
            raise ApiError(400, {"error": f"{name} is invalid"}) from None

    def need_number(self, name: str) -> int:
        self.need(name)
        return self.number(name) or 0

    def many(self, name: str) -> tuple[str, ...]:
        """A list: JSON, `name[]=…` repeated, or words with commas between."""
        value = self.values.get(name)
        if value is None or value == "":
            return ()
        if isinstance(value, list):
            return tuple(str(v) for v in value)
        return tuple(part.strip() for part in str(value).split(","))

    def numbers(self, name: str) -> tuple[int, ...]:
        try:
            return tuple(int(v) for v in self.many(name))
        except ValueError:
            raise ApiError(400, {"error": f"{name} is invalid"}) from None

    def moment(self, name: str) -> datetime | None:
        """An ISO 8601 time; without a zone it is UTC."""
        value = self.values.get(name)
        if value in (None, ""):
            return None
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            raise ApiError(400, {"error": f"{name} is invalid"}) from None
        return read if read.tzinfo else read.replace(tzinfo=UTC)


@dataclass(slots=True)
class Call:
    """One request, as a handler sees it. `path` holds the decoded parts that the route names."""

    world: World
    user: User | None
    method: str
    raw_path: str
    base_url: str
    params: Params
    path: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    @property
    def someone(self) -> User:
        """Who asks; raise 401 where nobody said."""
        if self.user is None:
            raise unauthorized()
        return self.user

    def need_user(self) -> None:
        """Raise 401 where nobody asks."""
        if self.user is None:
            raise unauthorized()

    def need_admin(self) -> None:
        if not self.someone.admin:
            raise forbidden()

    def number(self, name: str) -> int:
        """A number in the path; anything else is no such object."""
        try:
            return int(self.path[name])
        except ValueError:
            raise no_route() from None

    def premium(self) -> None:
        """Raise 404 where the tier does not have this."""
        if self.world.state.tier == "free":
            raise no_route()

    def paged(self, items: Iterable[T], show: Callable[[T], object]) -> Answer:
        """One page of a list by number (`page`, `per_page`) with GitLab's headers."""
        everything = items if isinstance(items, Sequence) else list(items)
        per_page = self.per_page
        page = max(self.params.number("page", 1) or 1, 1)
        chosen = everything[(page - 1) * per_page : page * per_page]
        headers = self._page_headers(page, per_page, len(everything))
        return Answer([show(item) for item in chosen], headers=headers)

    def after(
        self, items: Sequence[T], key: Callable[[T], str], show: Callable[[T], object]
    ) -> Answer:
        """One page of a list by `page_token`, the key of the last item seen (keyset)."""
        token = self.params.text("page_token")
        start = 0
        if token:
            keys = [key(item) for item in items]
            if token not in keys:
                raise bad("Invalid page token", 422)
            start = keys.index(token) + 1
        chosen = items[start : start + self.per_page]
        headers = {"X-Per-Page": str(self.per_page)}
        if chosen and len(chosen) == self.per_page:
            headers["Link"] = self.link("next", page_token=key(chosen[-1]))
        return Answer([show(item) for item in chosen], headers=headers)

    @property
    def keyset(self) -> bool:
        return self.params.text("pagination") == "keyset"

    @property
    def per_page(self) -> int:
        return min(max(self.params.number("per_page", 20) or 20, 1), MAX_PER_PAGE)

    def _page_headers(self, page: int, per_page: int, total: int) -> dict[str, str]:
        pages = max((total + per_page - 1) // per_page, 1)
        following = page + 1 if page < pages else None
        before = page - 1 if 1 < page <= pages + 1 else None
        links = {"prev": before, "next": following, "first": 1, "last": pages}
        if total > COUNTED_UP_TO:
            links["last"] = None
        headers = {
            "X-Page": str(page),
            "X-Per-Page": str(per_page),
            "X-Next-Page": str(following or ""),
            "X-Prev-Page": str(before or ""),
            "Link": ", ".join(self.link(r, page=n) for r, n in links.items() if n is not None),
        }
        if total <= COUNTED_UP_TO:
            headers |= {"X-Total": str(total), "X-Total-Pages": str(pages)}
        return headers

    def link(self, relation: str, **changed: object) -> str:
        query = {k: v for k, v in self.params.values.items() if not isinstance(v, dict)}
        query |= {"per_page": self.per_page, **changed}
        pairs = [
            (f"{name}[]" if isinstance(value, list) else name, one)
            for name, value in query.items()
            for one in (value if isinstance(value, list) else [value])
        ]
        return f'<{self.base_url}{self.raw_path}?{urlencode(pairs)}>; rel="{relation}"'


def read_params(query: str, content_type: str, body: bytes) -> Params:
    """Query first, then JSON or form over it. Raise 400 where the JSON is none."""
    values = _pairs(query)
    if content_type.startswith("application/json") and body.strip():
        try:
            given = json.loads(body)
        except ValueError:
            raise ApiError(400, {"error": "400 Bad Request: invalid JSON"}) from None
        if isinstance(given, dict):
            values.update(given)
    elif content_type.startswith("application/x-www-form-urlencoded"):
        values.update(_pairs(body.decode(errors="replace")))
    return Params(values)


def _pairs(text: str) -> dict[str, Any]:
    """`a=1&b[]=2&b[]=3&c[d]=4` as `{"a": "1", "b": ["2", "3"], "c": {"d": "4"}}`."""
    values: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name.endswith("[]"):
            values.setdefault(name[:-2], []).append(value)
        elif nested := re.fullmatch(r"(\w+)\[(\w+)\]", name):
            values.setdefault(nested[1], {})[nested[2]] = value
        else:
            values[name] = value
    return values


Handler = Callable[[Call], object]


@dataclass(slots=True)
class Routes:
    """Handlers by method and raw path: `:name` stands for one undecoded part of the path."""

    _patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], Handler]]] = field(
        default_factory=dict
    )

    def on(self, method: str, *templates: str) -> Callable[[Handler], Handler]:
        """Register a handler for `/projects/:id/…`, without the `/api/v4` before it."""

        def register(handler: Handler) -> Handler:
            for template in templates:
                pattern = re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", template) + "$")
                self._patterns.setdefault((method, template.count("/")), []).append(
                    (pattern, handler)
                )
            return handler

        return register

    def include(self, other: Routes) -> None:
        for key, patterns in other._patterns.items():
            self._patterns.setdefault(key, []).extend(patterns)

    def find(self, method: str, raw_path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and the decoded parts. Raise 405 or 404 where there is none."""
        parts = raw_path.count("/")
        for pattern, handler in self._patterns.get((method, parts), ()):
            if found := pattern.match(raw_path):
                return handler, {k: unquote(v) for k, v in found.groupdict().items()}
        for (other, count), patterns in self._patterns.items():
            if other != method and count == parts and any(p.match(raw_path) for p, _ in patterns):
                raise ApiError(405, {"error": "405 Not Allowed"})
        raise no_route()
