"""The pod of a run: what the installation says, hardened, with what one environment adds.

Pure: mappings as Kubernetes' Python client spells them (snake_case). Nothing here comes from a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowmaster_delivery.defs.executor import LAST_WORDS

USER = 10001
KUBECONFIG_FOLDER = "/etc/flowmaster/kubeconfig"
KUBECONFIG = f"{KUBECONFIG_FOLDER}/kubeconfig"
SMOKE_FOLDER = "/etc/flowmaster/smoke"
PART_OF = "flowmaster-delivery"
ENVIRONMENT_LABEL = "flowmaster.ai/environment"
GRACE = int(LAST_WORDS) + 15
"""Seconds from asking a pod to end until it is killed: the steps' last words, and the run's own."""
KEPT_SECONDS = 3600
BEYOND = 900
"""Seconds that a Job may live beyond the longest run, so that Dagster is the first to end it."""
READABLE = 0o440

CONTAINER_SECURITY: Mapping[str, Any] = {
    "allow_privilege_escalation": False,
    "read_only_root_filesystem": True,
    "run_as_non_root": True,
    "run_as_user": USER,
    "run_as_group": USER,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY: Mapping[str, Any] = {
    "run_as_non_root": True,
    "run_as_user": USER,
    "run_as_group": USER,
    "fs_group": USER,
    "seccomp_profile": {"type": "RuntimeDefault"},
}
SCRATCH = "/tmp"  # noqa: S108  # nosec B108  # in the pod, its own
NOBODY: Mapping[str, Any] = {"pod_spec_config": {"automount_service_account_token": False}}
"""The pod of a run that no environment stands behind."""


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """What the runs of one environment may hold."""

    name: str
    service_account_name: str
    kubeconfig_secret: str | None = None
    """Secret with the key `kubeconfig`; without one, the ServiceAccount's own token is used."""
    smoke_secret: str | None = None
    """Secret with a key for each name that smoke tests log in with."""

    @classmethod
    def parsed(cls, name: str, given: Mapping[str, Any]) -> RunEnvironment:
        return cls(
            name,
            given["service_account_name"],
            given.get("kubeconfig_secret"),
            given.get("smoke_secret"),
        )


def common_labels() -> dict[str, str]:
    return {
        "app.kubernetes.io/name": PART_OF,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/component": "run",
    }


def hardened(home: str, mounted: Iterable[str] = ()) -> dict[str, Any]:
    """What every run's pod is like; `mounted` are the paths that the installation has seen to."""
    taken = set(mounted)
    wanted = {"flowmaster-tmp": SCRATCH, "flowmaster-home": home}
    empty = {name: path for name, path in wanted.items() if path not in taken}
    return {
        "container_config": {
            "termination_message_policy": "FallbackToLogsOnError",
            "volume_mounts": [{"name": n, "mount_path": path} for n, path in empty.items()],
        },
        "pod_template_spec_metadata": {
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        },
        "pod_spec_config": {
            "restart_policy": "Never",
            "termination_grace_period_seconds": GRACE,
            "security_context": dict(POD_SECURITY),
            "volumes": [{"name": name, "empty_dir": {}} for name in empty],
        },
    }


def of_environment(environment: RunEnvironment) -> dict[str, Any]:
    """Identity and credentials: this environment's, and no other's."""
    held = [
        _held("flowmaster-kubeconfig", environment.kubeconfig_secret, KUBECONFIG_FOLDER),
        _held("flowmaster-smoke", environment.smoke_secret, SMOKE_FOLDER),
    ]
    variables = [
        *_told("FLOWMASTER_KUBECONFIG", environment.kubeconfig_secret, KUBECONFIG),
        *_told("FLOWMASTER_SECRETS_DIR", environment.smoke_secret, SMOKE_FOLDER),
    ]
    labels = {ENVIRONMENT_LABEL: environment.name}
    return {
        "container_config": {
            "volume_mounts": [mount for mounts, _ in held for mount in mounts],
            "env": variables,
        },
        "pod_template_spec_metadata": {"labels": labels},
        "job_metadata": {"labels": labels},
        "pod_spec_config": {
            "service_account_name": environment.service_account_name,
            "automount_service_account_token": environment.kubeconfig_secret is None,
            "volumes": [volume for _, volumes in held for volume in volumes],
        },
    }


def _held(
    name: str, secret: str | None, folder: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A Secret's mount and volume, where there is one."""
    if not secret:
        return [], []
    source = {"secret_name": secret, "default_mode": READABLE}
    mount = {"name": name, "mount_path": folder, "read_only": True}
    return [mount], [{"name": name, "secret": source}]


def _told(variable: str, secret: str | None, value: str) -> list[dict[str, str]]:
    return [{"name": variable, "value": value}] if secret else []


def of_job(kept_seconds: int, longest_seconds: int) -> dict[str, Any]:
    """A Job is tried once; it ends by itself if Dagster forgets it. 0: runs may take for ever."""
    spec = {"backoff_limit": 0, "ttl_seconds_after_finished": kept_seconds}
    if longest_seconds:
        spec["active_deadline_seconds"] = longest_seconds + BEYOND
    return {"job_spec_config": spec}
