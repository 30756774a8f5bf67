"""A line to a server that is cut at a chosen request, before or after the server had it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flowmaster_delivery.sandbox.hosting import bind, port_of

PIECE = 1 << 20


class CutLine:
    """Forwards bytes on loopback to a port. `cut` is for the next request with these words."""

    def __init__(self, port: int) -> None:
        self._far_port, self._words, self._after = port, b"", False
        self._always = False
        self.cuts = 0
        self._listening = bind()
        self._listening.listen()
        self.port = port_of(self._listening)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, words: str, *, after_effect: bool) -> None:
        self._words, self._after = words.encode(), after_effect

    @contextmanager
    def always(self, words: str) -> Iterator[None]:
        """Every request with these words is lost on the way."""
        self._always = True
        self.cut(words, after_effect=False)
        try:
            yield
        finally:
            self._always, self._words = False, b""

    def close(self) -> None:
        for one in (self._listening, *self._open):
            _end(one)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._far_port))
                self._open += [near, far]
                answered = threading.Event()
                threading.Thread(target=_back, args=(near, far, answered), daemon=True).start()
                ends = (near, far, answered)
                threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while asked := near.recv(PIECE):
                if self._words and self._words in asked:
                    self._cut(asked, near, far, answered)
                    break
                far.sendall(asked)
        _end(near)
        _end(far)

    def _cut(
        self, asked: bytes, near: socket.socket, far: socket.socket, answered: threading.Event
    ) -> None:
        self._words = b"" if not self._always else self._words
        self.cuts += 1
        if self._after:
            near.shutdown(socket.SHUT_WR)  # the answer reaches nobody
            answered.clear()
            far.sendall(asked)
            answered.wait(10)


def _back(near: socket.socket, far: socket.socket, answered: threading.Event) -> None:
    with suppress(OSError):
        while answer := far.recv(PIECE):
            answered.set()
            near.sendall(answer)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
