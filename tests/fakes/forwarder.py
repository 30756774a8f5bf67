"""A way to a server on loopback that can be closed and opened again, at the same address."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit


class Forwarder:
    """Listens on a port of its own and passes on what comes. Closed, it refuses connections."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """Refuse whoever comes, and hang up on whoever is there."""
        listener, self._listener = self._listener, None
        if listener:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._guard:
            ends = list(self._open)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._guard:
                self._open |= {near, far}
            self._start(self._pass_on, near, far)
            self._start(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._guard:
            if source not in self._open:  # the other direction has ended before
                sink.close()
                source.close()
            self._open -= {source, sink}


@contextmanager
def forwarder(kubeconfig: Path, to: Path) -> Iterator[Forwarder]:
    """A way to that kubeconfig's first cluster; `to` becomes the kubeconfig that leads through."""
    content = json.loads(kubeconfig.read_text())
    cluster = content["clusters"][0]["cluster"]
    port = urlsplit(cluster["server"]).port
    assert port
    way = Forwarder(port)
    cluster["server"] = f"https://127.0.0.1:{way.port}"
    to.write_text(json.dumps(content))
    try:
        yield way
    finally:
        way.close()
