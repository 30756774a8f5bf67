"""Changes of a namespace: one pair of watches that all services of the process share.

A watch only says *that* something changed; whoever was woken reads again. So a lost event costs a
little time and nothing else, and every wait has a time limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import urllib3

from flowmaster_delivery.adapters.kubernetes.api import Api, Object
from flowmaster_delivery.adapters.kubernetes.shapes import deployment_of
from flowmaster_delivery.model.errors import DeliveryError

SERVER_SECONDS = 240
"""How long the server keeps one watch open."""
IDLE_SECONDS = 60.0
"""A watch that nobody has waited on for so long ends."""
PAUSE = 1.0
"""Seconds before a watch that broke is opened again."""


class NamespaceWatch:
    """Wakes those who wait for a workload. Its threads run only while somebody waits."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._changed = threading.Condition()
        self._counts: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        base = f"/namespaces/{namespace}"
        self._streams = (
            _Stream(api, f"/apis/apps/v1{base}/deployments", self._deployment),
            _Stream(api, f"/api/v1{base}/pods", self._pod),
        )

    def wait(self, workload: str, seen: str, timeout: float) -> None:
        """Return when the workload or one of its pods changed since this was returned from last,
        when it is not at version `seen` any more, or after `timeout` seconds."""
        for stream in self._streams:
            stream.keep_running()
        end = time.monotonic() + timeout
        with self._changed:
            while not self._is_news(workload, seen):
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._told[workload] = self._counts.get(workload, 0)

    def close(self) -> None:
        """End the threads; returns when they are gone."""
        for stream in self._streams:
            stream.close()

    def _is_news(self, workload: str, seen: str) -> bool:
        count = self._counts.get(workload, 0)
        if workload in self._told:
            return count != self._told[workload]
        return self._versions.get(workload, seen) != seen

    def _deployment(self, item: Object) -> None:
        meta = item["metadata"]
        self._tell(meta["name"], meta["resourceVersion"])

    def _pod(self, item: Object) -> None:
        name = deployment_of(item)
        if name:
            self._tell(name, None)

    def _tell(self, workload: str, version: str | None) -> None:
        with self._changed:
            if version is not None:
                if self._versions.get(workload) == version:
                    return
                self._versions[workload] = version
            self._counts[workload] = self._counts.get(workload, 0) + 1
            self._changed.notify_all()


class _Stream:
    """One watched list: lists, watches on, lists again when the server has forgotten."""

    def __init__(self, api: Api, path: str, on_item: Callable[[Object], None]) -> None:
        self._api, self._path, self._on_item = api, path, on_item
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._response: urllib3.response.BaseHTTPResponse | None = None
        self._wanted = 0.0

    def keep_running(self) -> None:
        with self._guard:
            self._wanted = time.monotonic()
            if self._thread is None and not self._stop.is_set():
                name = f"watch {self._path}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._guard:
            self._stop.set()
            thread = self._thread
            _cut(self._response)
        if thread is not None:
            thread.join(timeout=10.0)

    def _run(self) -> None:
        while self._go_on():
            try:
                version = self._list()
                while self._go_on():
                    version = self._watch(version)
            except DeliveryError:
                self._stop.wait(PAUSE)

    def _go_on(self) -> bool:
        """Whether to go on; when not, the thread's place is free before anybody can ask again."""
        with self._guard:
            idle = time.monotonic() - self._wanted > IDLE_SECONDS
            if self._stop.is_set() or idle:
                self._thread = None
                return False
            return True

    def _list(self) -> str:
        found = self._api.once("GET", self._path)
        for item in found.get("items") or ():
            self._on_item(item)
        return str(found["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """Follow the changes until the server ends the watch; the version to go on from."""
        response = self._api.open_watch(self._path, version, SERVER_SECONDS)
        with self._guard:
            self._response = response
            if self._stop.is_set():
                _cut(response)
        try:
            for kind, item in self._api.changes(response):
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._on_item(item)
        finally:
            with self._guard:
                self._response = None
            response.close()
        return version


def _cut(response: urllib3.response.BaseHTTPResponse | None) -> None:
    """Wake the thread that reads the response; it finds the stream at its end."""
    if response is not None:
        with suppress(ValueError, RuntimeError, OSError):
            response.shutdown()
