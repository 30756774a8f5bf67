"""The sandbox as one process: all servers on one address, in one event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.assembly import Assembly, Tier, urls_of
from flowmaster_delivery.sandbox.faults import FaultyApp
from flowmaster_delivery.sandbox.folder import claimed, write_addresses
from flowmaster_delivery.sandbox.hosting import LOOPBACK, Server, bind
from flowmaster_delivery.sandbox.seed import Hooks

SERVERS = ("gitlab", "kubernetes", "registry", "prometheus", "services", "inbox", "control")
WEBHOOK_URL = "http://127.0.0.1:3080/webhooks/gitlab"
"""Where the platform's own server listens by default."""

START_LIMIT = 60.0
"""Seconds that a start in a thread may take before it counts as failed."""


@dataclass(frozen=True, slots=True)
class Options:
    """`catalog` is what the sandbox is seeded from; None leaves it empty but for the administrator.

    `ports` fixes the port of a server by its name in SERVERS; the others take free ones. `host` is
    another address of this machine than loopback, for clients in containers. `program` is a static
    Linux program that the images of the sandbox's CI start, for clusters that really run them.
    """

    data: Path
    catalog: Catalog | None = None
    tier: Tier = "free"
    webhook_url: str = WEBHOOK_URL
    host: str = LOOPBACK
    program: Path | None = None
    ports: Mapping[str, int] = field(default_factory=dict)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Addresses]:
    """All of it answers, and `sandbox.json` tells where, until the block ends.

    Raise FolderRefused for a folder that is not the sandbox's, OSError for a port that is taken.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(claimed(options.data))
        sockets = {name: _bound(stack, options, name) for name in SERVERS}
        ports = {name: int(bound.getsockname()[1]) for name, bound in sockets.items()}
        hooks = Hooks.of(options.webhook_url)
        urls, program = urls_of(ports, options.host), options.program
        content = program.read_bytes() if program else None
        assembly = Assembly(folder, urls, options.tier, hooks, options.catalog, content)
        servers = [_server(assembly, name, bound) for name, bound in sockets.items()]
        await stack.enter_async_context(_serving(servers))
        await stack.enter_async_context(_working(assembly))
        addresses = assembly.addresses()
        write_addresses(folder, addresses.as_dict())
        yield addresses


async def serve(options: Options, ready: Callable[[Addresses], None]) -> None:
    """Run until SIGINT or SIGTERM; `ready` is called once all of it answers."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        async with running(options) as addresses:
            ready(addresses)
            await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def in_thread(options: Options) -> Iterator[Addresses]:
    """The sandbox beside a caller that has no event loop (a test, a benchmark)."""
    host = _Host(options)
    host.thread.start()
    try:
        yield host.started()
    finally:
        host.stop()


class _Host:
    """A thread with an event loop of its own that runs one sandbox."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ready = threading.Event()
        self._addresses: Addresses | None = None
        self._fault: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self.thread = threading.Thread(target=self._work, name="sandbox", daemon=True)

    def started(self) -> Addresses:
        if not self._ready.wait(START_LIMIT):
            raise TimeoutError(f"the sandbox did not answer within {START_LIMIT:g} s")
        if self._addresses is None:
            raise self._fault or RuntimeError("the sandbox ended before it answered")
        return self._addresses

    def stop(self) -> None:
        if self._loop is not None and self._ended is not None:
            with suppress(RuntimeError):  # the loop is closed: it ended by itself
                self._loop.call_soon_threadsafe(self._ended.set)
        self.thread.join(START_LIMIT)

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._fault = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with running(self._options) as addresses:
            self._addresses = addresses
            self._ready.set()
            await self._ended.wait()


def _bound(stack: AsyncExitStack, options: Options, name: str) -> socket:
    bound = stack.enter_context(closing(bind(options.ports.get(name, 0), options.host)))
    # Until somebody listens at it, the system may give the same free port to another process.
    bound.listen()
    return bound


def _server(assembly: Assembly, name: str, bound: socket) -> Server:
    app = assembly.apps[name]
    if name != "control":
        app = FaultyApp(app, name, assembly.faults)
    if name != "kubernetes":
        return Server(app, bound)
    of = assembly.certificates
    return Server(app, bound, certificate=of.certificate, key=of.key)


@asynccontextmanager
async def _serving(servers: Sequence[Server]) -> AsyncIterator[None]:
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


@asynccontextmanager
async def _working(assembly: Assembly) -> AsyncIterator[None]:
    """What goes on by itself: pipelines, controllers, samples. A fault of one ends the sandbox."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in assembly.work()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
