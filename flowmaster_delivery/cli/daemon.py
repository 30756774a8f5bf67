"""`flowmaster daemon`: Dagster's own daemon, which shows that it works."""

from __future__ import annotations

import runpy
import sys
import threading
from pathlib import Path

import click

from flowmaster_delivery.cli.session import Session

DAEMON = "dagster._daemon"


@click.command()
@click.option(
    "--workspace", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.pass_obj
def daemon(session: Session, workspace: Path) -> None:
    """Run `dagster-daemon run`, until SIGTERM or Ctrl-C.

    Beside it, in the same process, it is examined every quarter of a minute whether its loops go
    round and its sensors tick: what `flowmaster alive daemon` tells.
    """
    from datetime import UTC, datetime

    from flowmaster_delivery.flows.examining import Examination
    from flowmaster_delivery.policy.liveness import expected_sensors
    from flowmaster_delivery.wiring import heartbeat, open_instance, pulse_of

    def clock() -> datetime:
        return datetime.now(tz=UTC)  # noqa: TID251  # the one clock of the examination

    settings = session.settings
    with open_instance() as instance:
        examination = Examination(
            pulse_of(instance),
            heartbeat(settings, "daemon"),
            expected_sensors(watch_apart=settings.watch_apart),
            clock(),
            clock,
        )
        stop = threading.Event()
        threading.Thread(target=examination.keep, args=[stop], daemon=True).start()
        sys.argv = ["dagster-daemon", "run", "--workspace", str(workspace)]
        try:
            runpy.run_module(DAEMON, run_name="__main__")
        finally:
            stop.set()
