"""From where a request came, as far as the proxies before us are trusted."""

from __future__ import annotations

from starlette.requests import Request

from flowmaster_delivery.policy.addresses import client_address, networks
from flowmaster_delivery.settings import Settings


def address_of(request: Request, settings: Settings) -> str:
    """The client's address; empty where the server has none."""
    peer = request.client.host if request.client else ""
    forwarded = request.headers.getlist("x-forwarded-for")
    return client_address(peer, forwarded, networks(settings.trusted_proxies))
