"""`flowmaster watch`: the watch of environments as a process of its own.

One thread looks at each environment, so that a cluster that is slow keeps no other environment
waiting. The process ends within seconds whatever it waits for: what it leaves half-done is on
record, and the next one carries it on.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import click

from flowmaster_delivery.cli.session import Session

GRACE = 5.0
"""Seconds within which looks that are under way may end by themselves once the process is told to;
after as many again it ends whatever it still tells people."""


@click.command()
@click.option("--environment", "names", multiple=True, required=True, help="May be repeated.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True)
@click.option("--metrics-port", type=int, help="Of the metrics.  [default: none]")
@click.pass_obj
def watch(
    session: Session, names: tuple[str, ...], metrics_host: str, metrics_port: int | None
) -> None:
    """Look at what runs, record it, and take back what turned bad, until SIGTERM or Ctrl-C.

    The sensor `health_watch` does the same for all environments in one process, which then needs
    the cluster rights of all; FLOWMASTER_WATCH_APART=1 leaves it out. Of several processes for one
    environment one looks, and the others stand by.

    Exit status: 0 once told to stop, 2 for an environment that the catalog does not have.
    """
    import logging
    import socket
    import uuid
    from datetime import UTC, datetime

    from flowmaster_delivery.flows.watch.vigil import Vigil
    from flowmaster_delivery.flows.watch.watch import Watch
    from flowmaster_delivery.web.metrics.serving import a_registry, served
    from flowmaster_delivery.web.metrics.watching import WatchMetrics
    from flowmaster_delivery.wiring import heartbeat, open_catalog, open_instance, open_ports

    def clock() -> datetime:
        return datetime.now(tz=UTC)  # noqa: TID251  # the one clock of the watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    catalog = open_catalog(session.settings)
    environments = [catalog.environment(name) for name in dict.fromkeys(names)]
    holder = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    with open_instance() as instance:
        ports = open_ports(session.settings, catalog, instance)

        def a_watch(name: str) -> Watch:
            return Watch(catalog, clock, environments=[name])

        heart = heartbeat(session.settings, "watch")
        registry = a_registry("watch")
        told = WatchMetrics(registry, tuple(one.name for one in environments)).told
        vigils = [
            Vigil(one, ports, holder, clock, time.monotonic, a_watch, heart, told)
            for one in environments
        ]
        with served(registry, metrics_host, metrics_port):
            until_told([vigil.keep for vigil in vigils])


def until_told(loops: Sequence[Callable[[threading.Event], None]], grace: float = GRACE) -> None:
    """Run the loops side by side until a signal comes; then end soon, whatever they wait for."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [threading.Thread(target=loop, args=[stop], daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    stop.wait()
    # The interpreter waits for threads that ask a server without a hurry; nobody else should.
    last = threading.Timer(2 * grace, os._exit, [0])
    last.daemon = True
    last.start()
    end = time.monotonic() + grace
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
