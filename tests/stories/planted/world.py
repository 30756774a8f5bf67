"""The platform as it is installed: real protocols at the far end, secrets in files."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from rich.console import Console
from ruamel.yaml import YAML

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.demo.narrator import Narrator
from flowmaster_delivery.cli.demo.release import Release
from flowmaster_delivery.cli.demo.stage import Stage
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.cli.up.command import chosen_ports
from flowmaster_delivery.cli.up.home import write_private
from flowmaster_delivery.cli.up.platform import Platform, running
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.assembly import urls_of
from flowmaster_delivery.sandbox.hosting import LOOPBACK
from flowmaster_delivery.sandbox.server import SERVERS, Options, in_thread
from flowmaster_delivery.settings import Settings
from tests.stories.node import free_port

SERVICES = ("api", "web")
ENVIRONMENTS = ("dev", "staging", "production")
WATCH = {"timeout": "2s", "look_every": "5s", "heartbeat": "10s"}


def catalog(urls: Mapping[str, str]) -> dict[str, Any]:
    """Two services whose smoke tests log in: with a header, and with a body."""
    common = {"metrics": {"url": urls["prometheus"]}, "rollout_timeout": "30s", "health": WATCH}
    places: dict[str, dict[str, Any]] = {
        name: {
            **common,
            "namespace": f"shop-{name}",
            "context": f"shop-{name}",
            "base_url": f"{urls['services']}/{name}",
            "gates": ["ci_passed", "image", "hold"],
            "validation": ["health", "smoke"],
            "performance": {"window": "6s", "error_rate": "50%"},
            "rollback": {"once_in": "1s"},
        }
        for name in ENVIRONMENTS
    }
    places["dev"] |= {"ref": {"branch": "develop"}, "automatic": True}
    places["dev"]["validation"] = ["health", "smoke", "performance"]
    places["staging"] |= {"upstream": "dev", "ref": {"branch": "staging"}, "automatic": True}
    places["production"] |= {
        "upstream": "staging",
        "ref": {"tag": "vX.Y.Z"},
        "automatic": False,
        "operators": "flow-master",
        "gates": ["ci_passed", "image", "soak", "approvals", "hold", "tag_unmoved", "on_main"],
        "soak": {"standard": "1s", "critical": "1s"},
        "approvals": {"count": 2, "group": "flow-master/senior-engineers"},
        "override": {"group": "flow-master/senior-engineers", "gates": ["soak"], "lasts": "4h"},
    }
    header = {"path": "/me", "headers": {"Authorization": "secret:smoke-authorization"}}
    body = {"method": "POST", "path": "/login", "body": {"password": "secret:smoke-password"}}
    steps = [{**header, "expect": {"path": "/me"}}, {**body, "expect": {"path": "/login"}}]
    return {
        "name": "shop",
        "forge_url": urls["gitlab"],
        "registry_url": urls["registry"],
        "notify_channel": "#shop",
        "repositories": {"shop": {"project": "flow-master/shop"}},
        "environments": places,
        "services": {
            name: {
                "repository": "shop",
                "path": f"services/{name}",
                "port": 9000 + number,
                "protocol": "HTTP/REST",
                "owners": ["shop-team"],
                "description": name,
                "smoke": [{"name": "login", "steps": steps}],
            }
            for number, name in enumerate(SERVICES, 1)
        },
    }


@dataclass(frozen=True)
class Insider(Stage):
    """A real installation tells only those whom GitLab knows: Sam asks. Connections are closed."""

    stack: ExitStack

    @property
    def session(self) -> Session:
        return Session(self.platform.settings, self._connect, token=self.told["users"]["sam"])

    def _connect(self, url: str, headers: Mapping[str, str]) -> httpx.Client:
        client = httpx.Client(base_url=url, headers=dict(headers), timeout=60, trust_env=False)
        return self.stack.enter_context(client)


@dataclass(frozen=True)
class World:
    """What is up, what is planted in it, and the people who use it."""

    platform: Platform
    told: Addresses
    stage: Stage
    planted: Mapping[str, str]
    """Name to value of every secret that the platform or its people hold."""

    def fault(self, **order: object) -> None:
        """Let one of the far ends misbehave from now on."""
        self._control("POST", json=order)

    def mended(self, server: str) -> None:
        self._control("DELETE", params={"server": server})

    def _control(self, method: str, **request: Any) -> None:
        headers = {"Authorization": f"Bearer {self.told.control_token}"}
        url = f"{self.told.control_url}/sandbox/faults"
        httpx.request(method, url, headers=headers, trust_env=False, **request).raise_for_status()

    def release(self, version: str) -> Release:
        return Release(self.stage, "shop", version, SERVICES, self.stage.person("dana"))

    def graphql(self, query: str, **variables: object) -> Any:
        url = f"{self.platform.ports.ui_url}/graphql"
        body = {"query": query, "variables": variables}
        answer = httpx.post(url, json=body, timeout=30, trust_env=False).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """All of it up in this block; `folder/home` is the installation's, `folder/sandbox` is not."""
    ports = {name: free_port() for name in SERVERS}
    ours = chosen_ports(0, 0)
    shop = folder / "catalog.yaml"
    shop.write_text(json.dumps(catalog(urls_of(ports, LOOPBACK))))
    options = Options(
        folder / "sandbox", load_catalog(shop), webhook_url=ours.webhook_url, ports=ports
    )
    with in_thread(options) as told:
        certificate, key = _pair()
        planted = _planted(told, key)
        kubeconfig = _kubeconfig(told, certificate, key)
        settings = Settings.from_environ(_environ(folder, shop, kubeconfig, planted))
        console = Console(file=StringIO())
        with (
            running(settings, folder / "home", ours, console, on_sandbox_=False) as platform,
            ExitStack() as stack,
        ):
            about = (platform, Narrator(console), load_catalog(shop), told.as_dict())
            yield World(platform, told, Insider(*about, stack), planted)


def _planted(told: Addresses, key: str) -> dict[str, str]:
    kubeconfig = YAML(typ="safe").load(Path(told.kubeconfig))
    return {
        "gitlab_token": told.gitlab_token,
        "webhook_secret": told.webhook_secret,
        "webhook_signing_token": told.webhook_signing_token,
        "seal_key": secrets.token_urlsafe(32),
        "registry_password": told.users["sergio"],
        "slack_webhook": told.slack_webhook_url,
        "metrics_token": secrets.token_urlsafe(24),
        "smoke-authorization": f"Bearer {secrets.token_urlsafe(24)}",
        "smoke-password": f"pass \"word\" {secrets.token_urlsafe(12)} 'x'",
        "kubeconfig token": kubeconfig["users"][0]["user"]["token"],
        "kubeconfig key": key,
        **{f"token of {name}": told.users[name] for name in ("dana", "devi", "sam", "sofia")},
    }


def _pair() -> tuple[str, str]:
    """A client certificate, which the sandbox does not ask for, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flowmaster")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    valid = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    return valid.sign(key, SHA256()).public_bytes(pem).decode(), secret.decode()


def _environ(
    folder: Path, shop: Path, kubeconfig: str, planted: Mapping[str, str]
) -> dict[str, str]:
    """The variables of the installation: references to files, as everywhere."""
    keys = folder / "keys"
    files = ("gitlab_token", "webhook_secret", "webhook_signing_token", "seal_key")
    files += ("registry_password", "slack_webhook", "metrics_token")
    for name in (*files, "smoke-authorization", "smoke-password"):
        write_private(keys / name, planted[name] + "\n")
    write_private(keys / "kubeconfig", kubeconfig)
    return {
        "FLOWMASTER_CATALOG": str(shop),
        "FLOWMASTER_KUBECONFIG": str(keys / "kubeconfig"),
        "FLOWMASTER_REGISTRY_USER": "sergio",
        "FLOWMASTER_SECRETS_DIR": str(keys),
        **{f"FLOWMASTER_{name.upper()}_FILE": str(keys / name) for name in files},
    }


def _kubeconfig(told: Addresses, certificate: str, key: str) -> str:
    """The sandbox's, with a client certificate beside the token."""
    content = YAML(typ="safe").load(Path(told.kubeconfig))
    pair = {"client-certificate-data": certificate, "client-key-data": key}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in pair.items()}
    content["users"][0]["user"] |= encoded
    return json.dumps(content)
