"""A second image of a service, pushed as any client would: the same layers, another manifest."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

KINDS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)


def push_again(registry_url: str, path: str, digest: str, login: tuple[str, str]) -> str:
    """Push a copy of an image that differs in an annotation alone; its digest."""
    url = f"{registry_url}/v2/{path}/manifests"
    with httpx.Client(trust_env=False, timeout=20) as client:
        headers = _authorised(client, f"{url}/{digest}", login, path)
        found = client.get(f"{url}/{digest}", headers={**headers, "Accept": ", ".join(KINDS)})
        manifest: dict[str, Any] = found.raise_for_status().json()
        manifest["annotations"] = {"benchmark": uuid.uuid4().hex}
        content = json.dumps(manifest).encode()
        made = f"sha256:{hashlib.sha256(content).hexdigest()}"
        kind = {"Content-Type": found.headers["Content-Type"]}
        client.put(f"{url}/{made}", content=content, headers={**headers, **kind}).raise_for_status()
    return made


def _authorised(
    client: httpx.Client, url: str, login: tuple[str, str], path: str
) -> Mapping[str, str]:
    """The bearer token that the registry's challenge leads to."""
    challenge = client.get(url).headers.get("WWW-Authenticate", "")
    told = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    wanted = {"service": told.get("service", ""), "scope": f"repository:{path}:pull,push"}
    answer = client.get(told["realm"], params=wanted, auth=login).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['token']}"}
