"""The platform on this machine: brought up part by part, and taken down in order."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from flowmaster_delivery.cli.up import parts
from flowmaster_delivery.cli.up.far_end import on_real_servers, on_sandbox, sandbox_addresses
from flowmaster_delivery.cli.up.home import Home, claimed
from flowmaster_delivery.cli.up.parts import Ports
from flowmaster_delivery.cli.up.processes import Part, PartFailed, Processes
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.settings import Settings, variables_of

ORDER_OF_STOPPING = (("server", "daemon"), ("webserver",), ("code server",), ("sandbox",))
INSTANCE = "dagster.yaml"


@dataclass(frozen=True, slots=True)
class Platform:
    """What is up, and where."""

    home: Home
    settings: Settings
    ports: Ports
    processes: Processes

    @property
    def sandbox(self) -> dict[str, object] | None:
        """Addresses and tokens of the sandbox; None where the servers are real."""
        return sandbox_addresses(self.home) if self.settings.sandbox else None

    def wait(self) -> None:
        """Stay until interrupted; raise PartFailed where a part ends by itself."""
        while True:
            self.processes.check()
            time.sleep(0.5)


@contextmanager
def running(
    settings: Settings, folder: Path, ports: Ports, console: Console, *, on_sandbox_: bool
) -> Iterator[Platform]:
    """The platform, up within this block and gone after it, however the block ends."""
    with claimed(folder, fresh=on_sandbox_) as home, _interrupted_by_signals():
        processes = Processes(home.logs)
        try:
            yield _bring_up(settings, home, ports, processes, console, on_sandbox_)
        finally:
            with _deaf_to_signals():
                killed = processes.stop(ORDER_OF_STOPPING)
            if killed:
                console.print(f"[dim]had to be killed: {', '.join(killed)}[/dim]")


def _bring_up(
    settings: Settings,
    home: Home,
    ports: Ports,
    processes: Processes,
    console: Console,
    on_sandbox_: bool,
) -> Platform:
    steps = _Steps(processes, console)
    home.write(INSTANCE, instance_yaml())
    workspace = home.write("workspace.yaml", parts.workspace_yaml(ports))
    own = at_these_addresses(replace(settings, home=home.folder), ports)
    processes.share(variables_of(own))
    if on_sandbox_:
        sandbox = parts.sandbox(home.sandbox, ports, settings.catalog)
        steps.start(sandbox)
        processes.run("instance", parts.OPENING)
        steps.await_([sandbox])
        own = on_sandbox(own, home)
    else:
        own = on_real_servers(own, home)
        processes.run("instance", parts.OPENING)
    processes.share(variables_of(own))
    code, ui = parts.code_server(ports), parts.webserver(workspace, ports)
    steps.start(code, ui)
    steps.await_([code])
    daemon, server = parts.daemon(workspace, ports), parts.server(ports)
    steps.start(server, daemon)
    steps.await_([ui, replace(ui, name="assets", answers=lambda: parts.assets_are_loaded(ports))])
    steps.await_([server, daemon])
    platform = Platform(home, own, ports, processes)
    home.tell_addresses(
        {
            "server_url": ports.server_url,
            "dagster_url": ports.ui_url,
            "catalog": str(own.catalog) if own.catalog else None,
            "overlay": str(own.overlay) if own.overlay else None,
        }
    )
    return platform


def at_these_addresses(settings: Settings, ports: Ports) -> Settings:
    """Links lead to the webserver as people reach it, which is at its port unless it is said."""
    elsewhere = settings.ui_url != settings.dagster_url
    return replace(
        settings,
        dagster_url=ports.ui_url,
        ui_url=settings.ui_url if elsewhere else ports.ui_url,
        server_url=ports.server_url,
    )


class _Steps:
    """Says what is being waited for, and how long it took."""

    def __init__(self, processes: Processes, console: Console) -> None:
        self._processes, self._console = processes, console
        self._started = time.monotonic()

    def start(self, *these: Part) -> None:
        for part in these:
            self._processes.start(part)

    def await_(self, these: list[Part]) -> None:
        for part in these:
            self._processes.wait_for([part])
            took = time.monotonic() - self._started
            self._console.print(f"  [green]✓[/green] {part.name} [dim]{took:.1f} s[/dim]")


def instance_yaml() -> str:
    """Dagster's instance settings: those of the checkout, or those that came with the package."""
    checkout, installed = (
        Path(__file__).parents[3],
        Path(sys.prefix, "share", "flowmaster-delivery"),
    )
    for path in (checkout / INSTANCE, installed / INSTANCE):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise Permanent("the package is not whole: dagster.yaml is missing; install it again")


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """A plain kill, or a terminal that closes, ends the platform as Ctrl-C does; after `nohup` a
    terminal that closes does not."""
    both = (signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in both if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """While stopping, a second Ctrl-C must not leave anything behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["PartFailed", "Platform", "running"]
