"""What the adapters that speak HTTP share: time limits, size caps, patience, and the error tree.

No technology of its own, so every adapter may use it.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Permanent,
    Throttled,
    Transient,
    Unreachable,
)
from flowmaster_delivery.redaction import hidden

T = TypeVar("T")

AGENT = "flowmaster-delivery"
MEGABYTE = 1024 * 1024

OnRequest = Callable[[str, str], None]
"""Told the method and the path of every request, repeated ones included."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a read is tried, and for how many seconds in all, pauses included."""

    attempts: int = 3
    budget: float = 20.0
    first_pause: float = 0.2

    def call(self, read: Callable[[], T]) -> T:
        """Try while what goes wrong is Transient. Only for calls that may be repeated.

        A wait that the server asks for is kept if it fits the budget, else given back at once.
        """
        return Retrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.budget),
            wait=self._pause,
            reraise=True,
        )(read)

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        pause = self.first_pause
        backoff = wait_exponential(multiplier=pause) + wait_random(0, pause)
        asked = error.retry_after if isinstance(error, Throttled) else None
        return (asked or 0.0) + backoff(state)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end. `headers` ignore the case of names."""

    method: str
    url: str
    status: int
    headers: httpx.Headers
    body: bytes


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Whom TLS trusts (SSL_CERT_FILE, else certifi's), read once: it takes a tenth of a second."""
    return httpx.create_ssl_context()


class Wire:
    """Requests to one far end, called `what` in messages. Follows no redirect. Thread-safe.

    `timeout` in seconds is for each step (connecting, sending, waiting for the next bytes); the
    whole answer has four times as long.
    """

    def __init__(
        self, what: str, url: str, *, timeout: float, on_request: OnRequest | None = None
    ) -> None:
        self.what = what
        self._total = 4 * timeout
        self._on_request = on_request
        # It logs whole addresses, and those of Slack and of redirected blobs are secrets.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.Client(
            timeout=timeout,
            headers={"User-Agent": AGENT},
            trust_env=not on_loopback(url),
            verify=trusted_authorities(),
        )

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """The answer, whatever its status; Malformed where its body is over `limit` bytes.

        Raise Unreachable where there is none. Not repeated.
        """
        if self._on_request:
            self._on_request(method, urlsplit(url).path)
        try:
            with self._client.stream(method, url, headers=headers, content=content) as response:
                body = self._read(response, limit)
                return Answer(method, url, response.status_code, response.headers, body)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            raise Permanent(f"{self.what} cannot be asked: {error}; check its address") from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self.what} did not answer in time") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.what} gave no usable answer: {error}") from error

    def _read(self, response: httpx.Response, limit: int) -> bytes:
        budget = Budget(self.what, limit, self._total)
        chunks = []
        for chunk in response.iter_bytes():
            budget.spend(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)


class Budget:
    """What one answer may cost: `limit` bytes, `seconds` of time."""

    def __init__(self, what: str, limit: int, seconds: float) -> None:
        self._what, self._limit, self._left = what, limit, limit
        self._end = time.monotonic() + seconds

    def spend(self, size: int) -> None:
        """Raise Malformed over the size, Unreachable over the time."""
        self._left -= size
        if self._left < 0:
            raise Malformed(f"{self._what} sent more than {self._limit} bytes; it was not read")
        if time.monotonic() > self._end:
            raise Unreachable(f"{self._what} was too slow to send its whole answer")


def fault(
    what: str, status: int, *, said: str = "", retry_after: float | None = None, to_do: str = ""
) -> DeliveryError:
    """A status that is no success, as an error of ours: `what` was asked, `to_do` may help."""
    words = f"{what} answered {status}" + (f" ({said})" if said else "")
    words += f"; {to_do}" if to_do else ""
    if status in (401, 403):
        return Denied(words)
    if status == 404:
        return NotFound(words)
    if status == 429:
        return Throttled(words, retry_after)
    if status in (408, 425) or status >= 500:
        return Unreachable(words)
    if status < 400:
        return Malformed(words)
    return Permanent(words)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: Retry-After as a number or a date. None: unsaid."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None


def clock_of(date: str) -> datetime | None:
    """A Date header as a moment; None where there is none that can be read."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None


def on_loopback(url: str) -> bool:
    """Whether the address is this machine's own: no proxy of the environment leads there."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def on_own_link(url: str) -> bool:
    """Whether the address is this machine's or that of its link: a cloud's metadata are there."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return on_loopback(url)
    return address.is_loopback or address.is_link_local or address.is_unspecified


def excerpt(text: str | bytes, limit: int = 200) -> str:
    """The beginning of what a server said, in one printable line.

    Some say our own secrets back to us: they are hidden before the cut, which would halve them.
    """
    words = hidden(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
    line = " ".join("".join(c if c.isprintable() else " " for c in words[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
