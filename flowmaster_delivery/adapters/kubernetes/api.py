"""Calls to one API server: limited, timed, repeated where that is safe, errors translated.

Objects travel as the JSON that the server speaks; `shapes` turns them into nouns.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from flowmaster_delivery.adapters.kubernetes.limits import LOOKS_PER_SECOND, TokenBucket
from flowmaster_delivery.adapters.wire import excerpt
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Superseded,
    Throttled,
    Transient,
    Unreachable,
)
from flowmaster_delivery.redaction import learn

Object = dict[str, Any]

TIMEOUT = (3.05, 10.0)
"""Seconds to connect, and to wait for the next bytes, of every call."""
READ_BUDGET = 15.0
"""Seconds that a read may take in all, repeats included."""
MANAGER = "flowmaster"
NEW_CREDENTIALS_EVERY = 10.0
"""Seconds between two readings of credentials that the server does not know any more."""
STRATEGIC = "application/strategic-merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class AlreadyThere(Permanent):
    """The object to create exists: who creates decides whether that is news."""


class Outdated(Superseded):
    """409: the object changed after the resource version that the write was based on."""


class Expired(Transient):
    """410: the server has forgotten the resource version to watch from; list again."""


class TooSlow(Unreachable):
    """The server took the request and gave no answer in time."""


class Api:
    """One API server. Thread-safe. `connect_again` reads the credentials anew after a 401."""

    def __init__(
        self,
        api_client: client.ApiClient,
        *,
        timeout: tuple[float, float] = TIMEOUT,
        read_budget: float = READ_BUDGET,
        connect_again: Callable[[], client.ApiClient] | None = None,
    ) -> None:
        self._client, self._timeout, self._read_budget = api_client, timeout, read_budget
        self._connect_again, self._connected = connect_again, 0.0
        self._connecting = threading.Lock()
        self._bucket = TokenBucket()
        self._looks = TokenBucket(LOOKS_PER_SECOND, LOOKS_PER_SECOND)
        self.server = str(api_client.configuration.host)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()
        self._client.rest_client.pool_manager.clear()

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "") -> Object:
        """Read an object or a list; repeated within its budget while what fails is Transient."""
        patience = Retrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_before_delay(self._read_budget),
            wait=wait_exponential(multiplier=0.1, max=3.0) + wait_random(0, 0.2),
            reraise=True,
        )
        return patience(self.once, "GET", path, query=query, accept=accept)

    def once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "",
        accept: str = "",
    ) -> Object:
        """One call, not repeated: a write that got no answer may have been carried out."""
        time.sleep(self._bucket.take())
        headers = {"Accept": accept or "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        response = self._send(method, path, query, headers, body, self._timeout)
        try:
            text = response.data
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self._where(method, path)} broke off: {error}") from error
        if not 200 <= response.status < 300:
            raise self._fault(method, path, response.status, text, response.headers)
        return self._parse(method, path, text)

    def raw(self, path: str, timeout: float) -> tuple[int, bytes]:
        """Status and the first bytes of what a proxied address answers; TooSlow after `timeout`
        seconds, Unreachable where the API server itself cannot be asked."""
        time.sleep(self._looks.take())
        response = self._send("GET", path, None, {"Accept": "*/*"}, None, (3.05, timeout))
        try:
            return response.status, response.read(4096)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self._where('GET', path)} broke off: {error}") from error
        finally:
            response.close()

    def date(self) -> str:
        """What the server's clock shows, as the header of its answer says it; empty without one."""
        accept = {"Accept": "application/json"}
        response = self._send("GET", "/version", None, accept, None, self._timeout)
        response.close()
        return response.headers.get("Date", "")

    def open_watch(
        self, path: str, version: str, seconds: int
    ) -> urllib3.response.BaseHTTPResponse:
        """A stream of changes after `version`, ended by the server after `seconds`."""
        time.sleep(self._bucket.take())
        query = {
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        accept = {"Accept": "application/json"}
        response = self._send("GET", path, query, accept, None, (3.05, seconds + 5.0))
        if response.status != 200:
            text = response.data
            raise self._fault("GET", path, response.status, text, response.headers)
        return response

    def changes(self, response: urllib3.response.BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
        """Kind and object of each change of an opened watch, until it ends."""
        rest = b""
        try:
            for chunk in response.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (self._change(line) for line in lines if line.strip())
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"a watch at {self.server} was cut: {error}") from error

    def _change(self, line: bytes) -> tuple[str, Object]:
        event = json.loads(line)
        if event["type"] == "ERROR":
            code = int(event["object"].get("code") or 0)
            said = excerpt(str(event["object"].get("message", "")))
            if code == 410:
                raise Expired(f"the watch at {self.server} has expired: {said}")
            raise Unreachable(f"the watch at {self.server} failed: {said}")
        return event["type"], event["object"]

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: Object | None,
        timeout: tuple[float, float],
    ) -> urllib3.response.BaseHTTPResponse:
        """A 401 was not carried out: with credentials that are newer it is sent once more."""
        with_these = self._client
        response = self._sent(with_these, method, path, query, headers, body, timeout)
        if response.status != 401 or not self._has_newer(with_these):
            return response
        response.close()
        return self._sent(self._client, method, path, query, headers, body, timeout)

    def _has_newer(self, than: client.ApiClient) -> bool:
        with self._connecting:
            if self._client is not than:
                return True
            now = time.monotonic()
            if self._connect_again is None or now - self._connected < NEW_CREDENTIALS_EVERY:
                return False
            self._connected = now
            try:
                self._client = self._connect_again()
            except Permanent:  # what was read before stays; the 401 says what is wrong
                return False
            return True

    def _sent(
        self,
        api_client: client.ApiClient,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: Object | None,
        timeout: tuple[float, float],
    ) -> urllib3.response.BaseHTTPResponse:
        headers = dict(headers)
        api_client.update_params_for_auth(headers, [], ["BearerToken"])
        if "authorization" in headers:
            learn(f"credentials for {self.server}", headers["authorization"].rpartition(" ")[2])
        payload = None if body is None else json.dumps(body).encode()
        try:
            pool: urllib3.PoolManager = api_client.rest_client.pool_manager
            return pool.request(
                method,
                self.server + path + (f"?{urlencode(query)}" if query else ""),
                body=payload,
                headers=headers,
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            slow = isinstance(reason, urllib3.exceptions.ReadTimeoutError)
            raise (TooSlow if slow else Unreachable)(
                f"{self._where(method, path)} got no answer: {reason}"
            ) from error

    def _fault(
        self, method: str, path: str, status: int, text: bytes, headers: Mapping[str, str]
    ) -> DeliveryError:
        reason, said = _said(text)
        words = f"{self._where(method, path)} answered {status}: {said}"
        if status == 409 and reason == "AlreadyExists":
            return AlreadyThere(words)
        if status == 429:
            return Throttled(words, _seconds(headers.get("Retry-After")))
        kinds: dict[int, type[DeliveryError]] = {
            401: Denied,
            403: Denied,
            404: NotFound,
            409: Outdated,
            410: Expired,
        }
        fallback = Unreachable if status >= 500 or status == 408 else Permanent
        return kinds.get(status, fallback)(words)

    def _parse(self, method: str, path: str, text: bytes) -> Object:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Malformed(
                f"{self._where(method, path)} sent something that is no JSON"
            ) from error
        if not isinstance(content, dict):
            raise Malformed(f"{self._where(method, path)} sent JSON that is no object")
        return content

    def _where(self, method: str, path: str) -> str:
        return f"the cluster at {self.server} ({method} {path})"


def _said(text: bytes) -> tuple[str, str]:
    """Reason and message of a Status object; the beginning of the text where it is none."""
    try:
        status = json.loads(text)
        return str(status.get("reason", "")), excerpt(str(status.get("message", "")), 500)
    except (ValueError, AttributeError):
        return "", excerpt(text)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
