"""A registry served on a port, and what every part tells of itself."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, Info, start_http_server


def a_registry(part: str) -> CollectorRegistry:
    """Nothing of the process in it but that this part of the platform is there, and its version."""
    registry = CollectorRegistry(auto_describe=False)
    up = Gauge("flowmaster_up", "1 where this part answers.", ["part"], registry=registry)
    up.labels(part).set(1)
    build = Info("flowmaster_build", "What is installed.", ["part"], registry=registry)
    build.labels(part).info(
        {
            "version": version("flowmaster-delivery"),
            "dagster": version("dagster"),
            "python": platform.python_version(),
        }
    )
    return registry


@contextmanager
def served(registry: CollectorRegistry, host: str, port: int | None) -> Iterator[int | None]:
    """The metrics at `http://HOST:PORT/metrics` within this block; nothing where no port is given.

    The port that was bound: port 0 is any free one. Raise OSError where it is taken.
    """
    if port is None:
        yield None
        return
    server, thread = start_http_server(port, host, registry)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
