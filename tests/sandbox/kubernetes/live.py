"""A sandbox cluster served over TLS from a thread, in real time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flowmaster_delivery.sandbox.hosting import Server, bind, port_of
from flowmaster_delivery.sandbox.kubernetes import Certificates, KubernetesSandbox
from flowmaster_delivery.sandbox.orders import Behaviours, PodBehaviour
from tests.sandbox.kubernetes.lab import KnownImages


@dataclass(frozen=True)
class Live:
    sandbox: KubernetesSandbox
    kubeconfig: Path
    images: KnownImages
    behaviours: Behaviours


@contextmanager
def served(folder: Path, *, ready_after: float = 0.1) -> Iterator[Live]:
    """A running cluster whose pods are ready after a moment, until the block ends."""
    images, behaviours = KnownImages(), Behaviours(PodBehaviour("ready", ready_after))
    bound, certificates = bind(), Certificates.issue(folder)
    sandbox = KubernetesSandbox(images=images, behaviours=behaviours)
    kubeconfig = folder / "kubeconfig"
    config = sandbox.kubeconfig(f"https://127.0.0.1:{port_of(bound)}", ca=certificates.ca)
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    loop, ended, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        server = Server(
            sandbox.app, bound, certificate=certificates.certificate, key=certificates.key
        )
        await server.start()
        work = asyncio.create_task(sandbox.run())
        ready.set()
        await ended.wait()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await server.stop()

    def host() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=host, daemon=True)
    thread.start()
    assert ready.wait(10), "the sandbox cluster did not start"
    try:
        yield Live(sandbox, kubeconfig, images, behaviours)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
