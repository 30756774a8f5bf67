"""The far end: a sandbox of our own, or the real servers that the caller named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.adapters.yaml_catalog.documents import read_documents
from flowmaster_delivery.adapters.yaml_catalog.loading import shipped
from flowmaster_delivery.cli.up.home import Home
from flowmaster_delivery.flows.verification.templates import secrets_in
from flowmaster_delivery.settings import Secret, Settings


def on_sandbox(settings: Settings, home: Home) -> Settings:
    """Settings that point at the sandbox which has told its addresses in this home."""
    told = sandbox_addresses(home)
    overlay = home.write("overlay.yaml", _overlay(told, settings.catalog))
    return replace(
        settings,
        overlay=overlay,
        kubeconfig=Path(told["kubeconfig"]),
        gitlab_token=_secret(home, "gitlab_token", told["gitlab_token"]),
        webhook_secret=_secret(home, "webhook_secret", told["webhook_secret"]),
        webhook_signing_token=_secret(home, "webhook_signing_token", told["webhook_signing_token"]),
        seal_key=_secret(home, "seal_key"),
        registry_user="root",
        registry_password=_secret(home, "registry_password", told["gitlab_token"]),
        slack_webhook=_secret(home, "slack_webhook", told["slack_webhook_url"]),
        secrets_dir=_smoke_secrets(home, settings.catalog),
        sandbox=True,
    )


def on_real_servers(settings: Settings, home: Home) -> Settings:
    """The caller's own settings; a seal key is made where none is configured."""
    if settings.seal_key.path is not None:
        return settings
    return replace(settings, seal_key=_secret(home, "seal_key"))


def sandbox_addresses(home: Home) -> dict[str, Any]:
    """What the sandbox wrote once all of it answered."""
    told: dict[str, Any] = json.loads((home.sandbox / "sandbox.json").read_text(encoding="utf-8"))
    return told


def _smoke_secrets(home: Home, catalog: Path | None) -> Path:
    """The folder of what the catalog's smoke tests log in with: the sandbox takes anything."""
    for service in load_catalog(catalog).services.values():
        for step in (step for test in service.smoke for step in test.steps):
            for name in secrets_in([step.headers, step.body]):
                home.secret(f"smoke/{name}")
    return home.folder / "secrets" / "smoke"


def _secret(home: Home, name: str, value: str | None = None) -> Secret:
    return Secret(home.secret(name, value), name)


ALWAYS = ("rollout_timeout", "health", "rollback", "performance")
"""What an environment has whether or not its catalog says it."""


def _overlay(told: dict[str, Any], catalog: Path | None) -> str:
    """The sandbox's short durations, with every address on loopback. JSON is YAML too.

    Of an environment's durations just those of rules that the catalog has itself: what it does not
    ask for is not asked for on the sandbox either.
    """
    names = load_catalog(catalog).environments
    services = str(told["services_url"]).rstrip("/")
    environments = {}
    short = _plain(read_documents([shipped("sandbox.yaml")]).data)["environments"]
    written = _plain(read_documents([catalog or shipped("flowmaster.yaml")]).data)["environments"]
    for name in names:
        known = {*ALWAYS, *written[name]}
        entry = {key: value for key, value in short.get(name, {}).items() if key in known}
        environments[name] = {**entry, "base_url": f"{services}/{name}"}
        if "metrics" in written[name]:
            environments[name]["metrics"] = {"url": told["prometheus_url"]}
    overlay = {
        "forge_url": told["gitlab_url"],
        "registry_url": told["registry_url"],
        "environments": environments,
    }
    return json.dumps(overlay, indent=2) + "\n"


def _plain(document: Any) -> Any:
    return json.loads(json.dumps(document, default=str))
