"""Addresses: from where a request came, when proxies stand between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK = ("127.0.0.0/8", "::1/128")


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Of `10.0.0.0/8`, or of one address; raise ValueError, naming it, for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts if text.strip())


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The nearest address that no trusted proxy has; `peer` is the socket's.

    `forwarded` are the values of X-Forwarded-For. Each proxy writes whom it heard at the end, and
    what stands before that is only what it was told: so it is read from the end, as far as those
    who wrote it are trusted.
    """
    found = peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and _is_in(found, trusted):
        hop = _read(hops.pop())
        if hop is None:  # whoever wrote that is no proxy of ours
            break
        found = str(hop)
    return found


def _is_in(text: str, trusted: Sequence[Network]) -> bool:
    found = _read(text)
    return found is not None and any(found in network for network in trusted)


def _read(text: str) -> Address | None:
    """An address as proxies write it, with a port or without."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
