"""From where a request came: as far as those who say so are trusted."""

from __future__ import annotations

import pytest

from flowmaster_delivery.policy.addresses import LOOPBACK, client_address, networks

PROXIES = networks(["10.0.0.0/8", *LOOPBACK])


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.1.1.1", "203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9,10.9.9.9"], "203.0.113.9"),
        ("127.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.1.2.3", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.2.3", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", ["1.1.1.1, <script>"], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("", ["203.0.113.9"], ""),
        ("testclient", ["203.0.113.9"], "testclient"),
    ],
)
def test_an_address_is_believed_from_the_end_as_far_as_proxies_are_trusted(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == found


def test_without_a_trusted_proxy_the_sockets_peer_is_all_there_is() -> None:
    assert client_address("127.0.0.1", ["203.0.113.9"], ()) == "127.0.0.1"


def test_networks_are_read_and_what_is_none_is_named() -> None:
    assert [str(one) for one in networks(["10.0.0.1", " 192.0.2.7/24 ", ""])] == [
        "10.0.0.1/32", "192.0.2.0/24",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="ten"):
        networks(["ten"])
