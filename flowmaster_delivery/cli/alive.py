"""`flowmaster alive`: what the probes of a pod ask, in the pod and of nothing outside it.

It starts every few seconds beside the part that it probes: what a part does not need is not
imported for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import click

from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.errors import DeliveryError, Permanent
from flowmaster_delivery.settings import Settings

CODE_PORT = 3030
WEBSERVER_PORT = 3000
SECONDS = 5.0
"""Within which a server on loopback must have answered."""


class Lifeless(Permanent):
    """The part does not do its work; says why."""


@click.command()
@click.argument("part", type=click.Choice(["watch", "code", "daemon", "webserver"]))
@click.option("--ready", is_flag=True, help="Whether it is ready, not just alive.")
@click.option("--port", type=int, help="Of the server asked.  [default: 3030, 3000]")
@click.pass_obj
def alive(session: Session, part: str, *, ready: bool, port: int | None) -> None:
    """Whether the part that runs in this pod does its work.

    Alive is what is not stuck in its own work; an outage of somebody else never counts. Ready is
    what came to something at its last turn.

    Exit status: 0 it does, 1 it does not; why not is printed.
    """
    try:
        reasons = CHECKS[part](session.settings, ready, port)
    except DeliveryError as error:
        reasons = (str(error),)
    if reasons:
        raise Lifeless(f"{part} is not {'ready' if ready else 'alive'}: {'; '.join(reasons)}")
    click.echo(f"{part} is {'ready' if ready else 'alive'}")


def _watch(settings: Settings, ready: bool, _port: int | None) -> tuple[str, ...]:
    from flowmaster_delivery.adapters.heartbeat_file import read_heart
    from flowmaster_delivery.policy.liveness import watch_is_not_ready, watch_is_stuck

    check = watch_is_not_ready if ready else watch_is_stuck
    return check(read_heart(settings.home, "watch"), time.monotonic())


def _code(settings: Settings, _ready: bool, port: int | None) -> tuple[str, ...]:
    """It serves once the definitions are loaded: ready is being alive."""
    from flowmaster_delivery.adapters.heartbeat_file import read_heart
    from flowmaster_delivery.adapters.loopback_servers import check_code_server
    from flowmaster_delivery.policy.liveness import code_is_stuck

    check_code_server(port or CODE_PORT, SECONDS)
    return code_is_stuck(read_heart(settings.home, "code"), time.monotonic())


def _webserver(_settings: Settings, ready: bool, port: int | None) -> tuple[str, ...]:
    from flowmaster_delivery.adapters.loopback_servers import (
        check_webserver,
        check_webserver_reads,
    )

    check = check_webserver_reads if ready else check_webserver
    check(port or WEBSERVER_PORT, SECONDS)
    return ()


def _daemon(settings: Settings, ready: bool, _port: int | None) -> tuple[str, ...]:
    from flowmaster_delivery.adapters.heartbeat_file import read_heart
    from flowmaster_delivery.policy import liveness

    check = liveness.daemon_process_is_not_ready if ready else liveness.daemon_process_is_stuck
    return check(read_heart(settings.home, "daemon"), time.monotonic())


Check = Callable[[Settings, bool, int | None], tuple[str, ...]]
CHECKS: Mapping[str, Check] = {
    "watch": _watch,
    "code": _code,
    "daemon": _daemon,
    "webserver": _webserver,
}
