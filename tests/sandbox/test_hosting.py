"""Serving on loopback."""

from __future__ import annotations

import socket

import pytest

from flowmaster_delivery.sandbox.hosting import bind, port_of


def test_answers_are_not_held_back_for_delayed_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only where the socket names its protocol: 42 ms a request else."""
    with bind() as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_only_this_machine_can_reach_it() -> None:
    with bind() as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named() -> None:
    with bind() as taken:
        taken.listen()
        with pytest.raises(OSError, match=f"port {port_of(taken)} on 127.0.0.1"):
            bind(port_of(taken))
