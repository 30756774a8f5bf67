"""One python-gitlab connection, with a cap on what it reads and an ear on what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import gitlab
import requests

from flowmaster_delivery.adapters.wire import (
    AGENT,
    MEGABYTE,
    Budget,
    OnRequest,
    on_loopback,
    retry_after,
)
from flowmaster_delivery.model.errors import DeliveryError, Malformed

LIMIT = 32 * MEGABYTE


class Session:
    """A python-gitlab client that waits for nothing by itself and trusts no redirect."""

    def __init__(self, client: gitlab.Gitlab, timeout: float, on_request: OnRequest | None) -> None:
        self.retry_after: float | None = None
        """Seconds that the last answer asked to wait, where it did."""
        self._client, self._timeout, self._on_request = client, timeout, on_request
        client.session.hooks["response"].append(self._heard)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        data: dict[str, object] | None,
    ) -> requests.Response:
        """One request; errors are python-gitlab's and those of requests."""
        self.retry_after = None
        return self._client.http_request(
            method,
            path,
            query_data=dict(query),
            post_data=data,
            timeout=self._timeout,
            obey_rate_limit=False,
            retry_transient_errors=False,
        )

    def close(self) -> None:
        self._client.session.close()

    def _heard(self, response: requests.Response, **_: object) -> None:
        asked = response.request
        if self._on_request:
            self._on_request(asked.method or "", urlsplit(asked.url or "").path)
        self.retry_after = retry_after(response.headers)
        if response.is_redirect:
            _stay(response)
        response.raw = _Capped(response.raw, Budget("GitLab", LIMIT, 4 * self._timeout))


class _Capped:
    """A response's raw stream that ends with an error where it is too long or too slow."""

    def __init__(self, raw: Any, budget: Budget) -> None:
        self._raw, self._budget = raw, budget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, size: int, decode_content: bool = True) -> Iterator[bytes]:
        """By `read1`, which gives what has come: urllib3's own would wait for the whole `size`."""
        try:
            while chunk := self._raw.read1(size, decode_content=decode_content):
                self._budget.spend(len(chunk))
                yield chunk
        except DeliveryError:
            self._raw.close()
            raise


def _stay(response: requests.Response) -> None:
    """Raise Malformed where a redirect leads to another host, which would get our token."""
    target = urljoin(response.url, response.headers.get("Location", ""))
    here, there = urlsplit(response.url), urlsplit(target)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        response.close()
        raise Malformed(
            f"GitLab redirects {here.path} to {there.scheme}://{there.netloc}, where our token "
            "does not belong; name GitLab's present address in the catalog"
        )


def open_session(
    url: str, token: str, timeout: float, on_request: OnRequest | None, *, bearer: bool = False
) -> Session:
    """A connection for one token. `bearer` fits personal and OAuth tokens alike."""
    named: Callable[..., gitlab.Gitlab] = gitlab.Gitlab
    key = "oauth_token" if bearer else "private_token"
    client = named(
        url, **{key: token}, timeout=timeout, keep_base_url=True, user_agent=AGENT, per_page=100
    )
    client.session.trust_env = not on_loopback(url)
    client.session.max_redirects = 3
    return Session(client, timeout, on_request)
