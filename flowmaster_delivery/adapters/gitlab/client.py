"""GitLab's API as parsed JSON: sessions, pages, patience, and faults in our words."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import requests
from gitlab.exceptions import GitlabError, GitlabParsingError, RedirectError
from pydantic import BaseModel, ValidationError

from flowmaster_delivery.adapters.gitlab.session import Session, open_session
from flowmaster_delivery.adapters.wire import OnRequest, Patience, excerpt, fault
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    Permanent,
    Unreachable,
)

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")

Query = Mapping[str, object]

PAGE = 100
MOST = 10_000
"""Items of one list: more of them are a fault, not an answer."""

TOKEN = re.compile(r"[\x21-\x7e]{1,2048}")
RENEW = "put a valid token with the scope api where FLOWMASTER_GITLAB_TOKEN_FILE points"
RIGHTS = "give the platform's GitLab user the right to it, and its token the scope api"


class Client:
    """Requests of the platform's own GitLab user. Thread-safe: a session serves one call at a time.

    The token is read for every call, so that a renewed one counts at once.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        timeout: float,
        patience: Patience,
        on_request: OnRequest | None = None,
    ) -> None:
        self.url = url
        self._token, self._timeout, self._patience = token, timeout, patience
        self._on_request = on_request
        self._idle: deque[tuple[str, Session]] = deque()

    def one(self, shape: type[S], path: str, query: Query | None = None) -> S:
        """GET one object."""
        return parsed(shape, self._json(path, query or {}), path)

    def first_page(self, shape: type[S], path: str, query: Query, size: int = PAGE) -> list[S]:
        """GET the first page of a list: one request."""
        items, _ = self._page(path, {**query, "per_page": size})
        return [parsed(shape, item, path) for item in items]

    def all(
        self, shape: type[S], path: str, query: Query | None = None, limit: int = MOST
    ) -> list[S]:
        """GET a whole list, page by page, of at most `limit` items (Malformed from MOST on)."""
        found: list[S] = []
        asked: Query | None = {**(query or {}), "per_page": min(PAGE, limit)}
        while asked is not None and len(found) < limit:
            items, asked = self._page(path, asked)
            found.extend(parsed(shape, item, path) for item in items)
            if not items:
                break
        if len(found) >= MOST:
            raise Malformed(f"GitLab lists {MOST} or more at {path}; that is not believable")
        return found[:limit]

    def dated(self, shape: type[S], path: str) -> tuple[S, str]:
        """GET one object, with the Date header of the answer."""
        answer = self._patience.call(lambda: self._send("get", path, {}))
        return parsed(shape, _decoded(answer, path), path), answer.headers.get("Date", "")

    def write(self, method: str, shape: type[S], path: str, data: Mapping[str, object]) -> S:
        """POST or PUT, once: Unreachable says that it may or may not have been done."""
        answer = self._send(method, path, {}, dict(data))
        return parsed(shape, _decoded(answer, path), path)

    def person(self, shape: type[S], token: str) -> S:
        """GET /user with somebody else's token, which is used for this alone and forgotten."""
        if not TOKEN.fullmatch(token):
            raise Denied("this is no GitLab token; it contains characters that none has")

        def read() -> S:
            session = open_session(self.url, token, self._timeout, self._on_request, bearer=True)
            try:
                return parsed(shape, _decoded(_ask(session, "get", "/user", {}, None), "/user"))
            finally:
                session.close()

        return self._patience.call(read)

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    def _page(self, path: str, query: Query) -> tuple[list[object], Query | None]:
        answer = self._patience.call(lambda: self._send("get", path, query))
        items = _decoded(answer, path)
        if not isinstance(items, list):
            raise Malformed(f"GitLab answered {path} with something that is no list")
        return items, _next_query(answer)

    def _json(self, path: str, query: Query) -> object:
        return _decoded(self._patience.call(lambda: self._send("get", path, query)), path)

    def _send(
        self, method: str, path: str, query: Query, data: dict[str, object] | None = None
    ) -> requests.Response:
        with self._session() as session:
            return _ask(session, method, path, query, data)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        token = self._token()
        if not TOKEN.fullmatch(token):
            raise Denied(f"the platform's GitLab token has characters that no token has; {RENEW}")
        session = self._borrowed(token)
        try:
            yield session
        finally:
            self._idle.append((token, session))

    def _borrowed(self, token: str) -> Session:
        while self._idle:
            try:
                known, session = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            if known == token:
                return session
            session.close()
        return open_session(self.url, token, self._timeout, self._on_request)


def project_path(project: str, *parts: str) -> str:
    """API path of a project's part; each part is one segment, whatever it contains."""
    return "/".join(["/projects", *(quote(part, safe="") for part in (project, *parts))])


def parsed(shape: type[S], value: object, path: str = "/user") -> S:
    """Raise Malformed, naming the first thing wrong, where the JSON is not of that shape."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise Malformed(f"GitLab's answer to {path} is odd: {where}: {first['msg']}") from error


def _ask(
    session: Session, method: str, path: str, query: Query, data: dict[str, object] | None
) -> requests.Response:
    what = f"GitLab {method.upper()} {path}"
    try:
        return session.request(method, path, query, data)
    except DeliveryError:
        raise
    except (GitlabParsingError, RedirectError) as error:
        raise Malformed(f"{what} was answered oddly: {excerpt(str(error))}") from error
    except GitlabError as error:
        raise _fault(what, error, session) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise Permanent(f"{what} cannot be asked: {error}; check the address") from error
    except requests.Timeout as error:
        raise Unreachable(f"{what}: no answer in time") from error
    except (requests.RequestException, OSError) as error:
        raise Unreachable(f"{what}: no usable answer ({type(error).__name__})") from error


def _fault(what: str, error: GitlabError, session: Session) -> DeliveryError:
    status = error.response_code or 0
    to_do = {401: RENEW, 403: RIGHTS, 404: "check that it exists and that our token may see it"}
    return fault(
        what,
        status,
        said=excerpt(str(error.error_message)),
        retry_after=session.retry_after,
        to_do=to_do.get(status, ""),
    )


def _decoded(answer: requests.Response, path: str) -> object:
    try:
        value: object = answer.json()
    except (ValueError, RecursionError) as error:
        raise Malformed(f"GitLab answered {path} with something that is no JSON") from error
    return value


def _next_query(answer: requests.Response) -> Query | None:
    """The query of the next page. Only the query is taken: a link never leads to another host."""
    link = answer.links.get("next", {}).get("url")
    return parse_qs(urlsplit(link).query, keep_blank_values=True) if link else None
