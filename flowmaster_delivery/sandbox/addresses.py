"""Where everything of a running sandbox is, as `sandbox.json` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """One environment: where its services answer, and where they run."""

    namespace: str
    context: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """What clients need. Tokens and secrets are in it: the file is for its owner alone."""

    gitlab_url: str
    gitlab_token: str
    """Of the administrator."""
    registry_url: str
    prometheus_url: str
    kubeconfig: str
    """Path of the file."""
    git_remote: str
    """Of the first project; where there is none, what a project's path is put behind."""
    webhook_url: str
    """Where the projects' hooks send to."""
    webhook_secret: str
    webhook_signing_token: str
    kubernetes_url: str
    services_url: str
    inbox_url: str
    control_url: str
    control_token: str
    git_credentials: str
    """Path of a file for `git -c credential.helper='store --file …'`."""
    slack_webhook_url: str
    pagerduty_url: str
    pagerduty_routing_key: str
    grafana_url: str
    grafana_token: str
    tier: str
    users: Mapping[str, str] = field(default_factory=dict)
    """Username to token, the administrator's included; each opens GitLab, git and the registry."""
    environments: Mapping[str, Place] = field(default_factory=dict)
    pid: int = 0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
